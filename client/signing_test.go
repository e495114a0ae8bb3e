package client_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"glance_share_exporter/client"
)

// The published vectors: the first in the vendor's guide, the second made with the vendor's SDK.
func TestSign(t *testing.T) {
	key := client.Key{Access: "QTWAOYTTINDUT2QVKYUC", Secret: "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"}
	at := time.Date(2019, 11, 15, 3, 36, 55, 0, time.UTC)
	for _, test := range []struct {
		name, url string
		header    map[string]string
		signed    []string
		want      string
	}{
		{
			name:   "a query, in the vendor's guide",
			url:    "https://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
			header: map[string]string{"Content-Type": "application/json"},
			signed: []string{"content-type", "host", "x-sdk-date"},
			want:   "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
		},
		{
			name:   "a project",
			url:    "https://ims.cn-north-4.myhuaweicloud.com/v2/images/d164b5df-1bc3-4c3f-893e-3e471fd16e64/members",
			header: map[string]string{"X-Project-Id": "edc89b490d7d4392898e19b2deb34797"},
			signed: []string{"host", "x-project-id", "x-sdk-date", "x-security-token"},
			want:   "2c74f84a138e30c7302f6a9a1edc4cee58be2a974785ce98803a65e0a1ce5c50",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range test.header {
				req.Header.Set(name, value)
			}
			if err := client.Sign(req, key, at, test.signed...); err != nil {
				t.Fatal(err)
			}
			got := req.Header.Get("Authorization")
			if _, signature, _ := strings.Cut(got, "Signature="); signature != test.want {
				t.Errorf("got %s, want the signature %s", got, test.want)
			}
			if !strings.HasPrefix(got, "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=") {
				t.Errorf("got %s", got)
			}
		})
	}
}
