package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/fakecloud"
)

func TestHuaweiCloud(t *testing.T) {
	cleanEnv(t)
	c := load(t, "testdata/good/huawei.yml")
	signed, agency, login := c.Clouds[0], c.Clouds[1], c.Clouds[2]
	for i, want := range [][]client.Visibility{
		{client.Shared, client.Private}, {client.Shared}, {client.Shared, client.Private},
	} {
		if diff := cmp.Diff(want, c.Clouds[i].Collector.MembersFor); diff != "" {
			t.Errorf("clouds[%d]: %s", i, diff)
		}
		if c.Clouds[i].Collector.API != client.IMS || c.Clouds[i].Client.API != client.IMS {
			t.Errorf("clouds[%d] is no ims", i)
		}
	}
	key, err := signed.Client.Keys.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := client.Key{Access: "QTWAOYTTINDUT2QVKYUC", Secret: "hunter2", SecurityToken: "hunter3"}
	if diff := cmp.Diff(want, key); diff != "" {
		t.Error(diff)
	}
	if signed.Client.MembersAPI != client.MembersV1 || signed.Client.ProjectID != "edc89b490d7d4392898e19b2deb34797" ||
		signed.Client.Auth != nil {
		t.Errorf("got %+v", signed.Client)
	}
	if agency.Client.Metadata == nil || agency.Client.Keys != nil || agency.Client.Auth != nil {
		t.Errorf("got %+v", agency.Client)
	}
	if login.Client.Auth == nil || login.Client.Keys != nil || login.Client.Metadata != nil {
		t.Errorf("got %+v", login.Client)
	}
	if cmp.Equal(collector.DefaultOptions().MembersFor, login.Collector.MembersFor) {
		t.Error("members_for is Glance's")
	}
}

// A secret key in a file may change at any time; while it is gone, the last one is used.
func TestSecretKeyFile(t *testing.T) {
	cleanEnv(t)
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, "one\n")
	c, err := loadText(t, `clouds:
  - name: huawei
    api: ims
    endpoint: https://ims.cn-north-4.myhuaweicloud.com
    auth: {aksk: {access_key: AK, secret_key_file: `+file+`, project_id: edc8}}
    discover: [{}]
`)
	if err != nil {
		t.Fatal(err)
	}
	keys := c.Clouds[0].Client.Keys
	is := func(want string) {
		t.Helper()
		if key, err := keys.Key(t.Context()); err != nil || key.Secret != want {
			t.Errorf("got %q, %v", key.Secret, err)
		}
	}
	is("one")
	write(t, file, "two")
	is("two")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	is("two")
	write(t, file, "three")
	is("three")
}

func keyText(name string, expires time.Time) string {
	return fmt.Sprintf(`{"credential": {"access": %q, "secret": "secret of %[1]s", "securitytoken": "token of %[1]s", "expires_at": %q}}`,
		name, expires.UTC().Format("2006-01-02T15:04:05.000000Z"))
}

// watchFile is a cloud whose keys are in a file.
func watchFile(t *testing.T, file string) *config.Config {
	t.Helper()
	cleanEnv(t)
	c, err := loadText(t, `clouds:
  - name: huawei
    api: ims
    endpoint: http://ims.test
    auth: {aksk: {credential_file: `+file+`, project_id: edc8}}
    images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]
`)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCredentialFile(t *testing.T) {
	file, later := filepath.Join(t.TempDir(), "key"), time.Now().Add(time.Hour).Truncate(time.Second)
	write(t, file, keyText("AK1", later))
	keys := watchFile(t, file).Clouds[0].Client.Keys
	is := func(want, wantErr string) {
		t.Helper()
		key, err := keys.Key(t.Context())
		if key.Access != want || fmt.Sprint(err) != wantErr {
			t.Errorf("got  %+v, %v\nwant %s, %s", key, err, want, wantErr)
		}
	}
	is("AK1", "<nil>")
	if key, _ := keys.Key(t.Context()); !key.Expires.Equal(later) || key.SecurityToken != "token of AK1" {
		t.Errorf("got %+v", key)
	}
	write(t, file, keyText("AK2", later))
	is("AK2", "<nil>")
	write(t, file, keyText("AK3", later)[:40]) // half of it
	is("AK2", "<nil>")
	write(t, file, keyText("AK0", later.Add(-2*time.Hour)))
	is("AK2", "<nil>")
	keys = watchFile(t, file).Clouds[0].Client.Keys // one that has ended may be renewed soon
	is("", "logging in: auth.aksk.credential_file: "+file+" has a key that ended at "+
		""+later.Add(-2*time.Hour).UTC().Format(time.RFC3339)+": write the next one before that")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	is("", "logging in: auth.aksk.credential_file: "+file+" cannot be read, no such file: correct the path, or create the file")
}

// A day in which something writes the next key 10 minutes before the last one ends, the file being cut for a moment, and is away for
// an hour. Whenever there was a valid key in the file, or still is, the members are read.
func TestADayOfACredentialFile(t *testing.T) {
	const every = 30 * time.Second
	file := filepath.Join(t.TempDir(), "key")
	synctest.Test(t, func(t *testing.T) {
		world := fakecloud.New(fakecloud.Options{Huawei: true})
		world.AddProjectID("edc8", "cn-north-4")
		world.AddImage(fakecloud.Image{ID: "d164b5df-1bc3-4c3f-893e-3e471fd16e64", Owner: "edc8"})
		began, written, ends, without := time.Now(), -1, time.Time{}, 0
		var complete func() // writes the rest of a file that is cut
		var cut time.Time
		rotate := func() {
			if complete != nil && time.Since(cut) > every {
				complete()
				complete = nil
			}
			n := int(time.Since(began) / (50 * time.Minute))
			away := time.Since(began) - 10*time.Hour
			if n == written || away >= 0 && away < time.Hour {
				return
			}
			written = n
			name, until := fmt.Sprint("AK", n), began.Add(time.Duration(n)*50*time.Minute+time.Hour)
			world.AddAccessKey(fakecloud.AccessKey{
				Access: name, Secret: "secret of " + name,
				SecurityToken: "token of " + name, ProjectID: "edc8", Expires: until,
			})
			whole := func() {
				write(t, file, keyText(name, until))
				ends = until
			}
			if n == 0 {
				whole()
				return
			}
			write(t, file, keyText(name, until)[:60])
			complete, cut = whole, time.Now()
		}
		rotate()
		opts := watchFile(t, file).Clouds[0].Client
		opts.Transport = fakecloud.InMemory(world)
		c, err := client.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for time.Since(began) < 24*time.Hour {
			rotate()
			_, err := c.Members(t.Context(), "d164b5df-1bc3-4c3f-893e-3e471fd16e64")
			if toBeHad := time.Now().Before(ends); toBeHad != (err == nil) {
				t.Fatalf("after %s: %v", time.Since(began), err)
			}
			if err != nil {
				without++
			}
			time.Sleep(every)
		}
		if without == 0 || without > int(time.Hour/every) {
			t.Errorf("%d scrapes without a key", without)
		}
	})
}
