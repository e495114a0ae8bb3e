package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
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
	if signed.Client.MembersAPI != client.MembersV1 || signed.Client.ProjectID != "edc89b490d7d4392898e19b2deb34797" || signed.Client.Auth != nil {
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
