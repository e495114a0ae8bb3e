package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/internal/fakecloud"
)

// By an agency: temporary keys from the metadata service, whose security token the signature covers, and the least right.
func TestAgencyOfHuaweiCloud(t *testing.T) {
	world := fakecloud.New(fakecloud.Options{Huawei: true})
	world.AddProjectID(projectID, "cn-north-4")
	world.AddAccessKey(fakecloud.AccessKey{
		Access: "AK", Secret: "secret-key", SecurityToken: "security-token", ProjectID: projectID,
		Rights: []string{fakecloud.RightGet, fakecloud.RightList},
	})
	world.AddImage(fakecloud.Image{ID: imageID, Name: "golden", Owner: projectID, Whole: true})
	world.Share(imageID, "fb0d5993e8f14ca887876f3d14abb39d")
	ims := httptest.NewServer(world)
	defer ims.Close()
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			_, _ = w.Write([]byte("metadata-token"))
		case r.Header.Get("X-Metadata-Token") == "metadata-token":
			_, _ = fmt.Fprintf(w, `{"credential": {"access": "AK", "secret": "secret-key", "securitytoken": "security-token", "expires_at": %q}}`,
				time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer metadata.Close()
	text := fmt.Sprintf(`clouds:
  - name: huawei
    api: ims
    members_api: v1
    endpoint: %s/ims
    auth: {ecs_agency: {project_id: %s, metadata_url: %s}}
    discover: [{expected_members: []}]
`, ims.URL, projectID, metadata.URL)
	var page, lines bytes.Buffer
	err := run(context.WithoutCancel(t.Context()), []string{"--once", "--config.file=" + writeFile(t, "exporter.yml", text)}, &page, &lines)
	if err != nil {
		t.Fatalf("%v\n%s", err, &lines)
	}
	labels := `{cloud="huawei",image_id="` + imageID + `",image_name="golden"}`
	for _, want := range []string{
		`glance_up{cloud="huawei"} 1`, "glance_image_members_complete" + labels + " 1", "glance_image_unexpected_members" + labels + " 1",
		"glance_image_members_limit" + labels + " 10", `glance_api_requests_total{cloud="huawei",operation="authenticate"} 2`,
		"glance_token_expiry_timestamp_seconds{",
	} {
		if !strings.Contains(page.String(), "\n"+want) {
			t.Errorf("no %s in\n%s", want, &page)
		}
	}
	for _, secret := range []string{"secret-key", "security-token", "metadata-token"} {
		if strings.Contains(page.String()+lines.String(), secret) {
			t.Errorf("%s is told", secret)
		}
	}
}
