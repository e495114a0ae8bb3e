package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuthSecretFile(t *testing.T) {
	cleanEnv(t)
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, password+"\r\n")
	c, err := loadText(t, oneCloud("token: {auth_url: "+keystone+", token_file: "+secret+"}"))
	if err != nil {
		t.Fatal(err)
	}
	auth := c.Clouds[0].Client.Auth
	expect := func(want string) {
		t.Helper()
		o, err := auth()
		if err != nil || o.TokenID != want {
			t.Errorf("got %q, %v, want %q", o.TokenID, err, want)
		}
	}
	refuse := func(want string) {
		t.Helper()
		if o, err := auth(); err == nil || err.Error() != want {
			t.Errorf("got %q, %v, want %s", o.TokenID, err, want)
		}
	}
	expect(password)
	write(t, secret, " blanks count ")
	expect(" blanks count ")
	write(t, secret, "\n")
	refuse("auth.token.token_file: " + secret + " is empty: write the secret into it")
	write(t, secret, strings.Repeat("x", 64<<10))
	expect(strings.Repeat("x", 64<<10))
	write(t, secret, strings.Repeat("x", 64<<10+1))
	refuse("auth.token.token_file: " + secret + " has more than 64 KiB: name a file that holds the secret alone")
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	refuse("auth.token.token_file: " + secret + " cannot be read, no such file: correct the path, or create the file")
	write(t, secret, password)
	expect(password)
}

func TestAuthRelativeFile(t *testing.T) {
	cleanEnv(t)
	o, err := load(t, "testdata/good/relative.yml").Clouds[0].Client.Auth()
	if err != nil || o.Password != password {
		t.Errorf("got %q, %v", o.Password, err)
	}
}

// ~/ is the home, in every key that names a file.
func TestFilesOfTheHome(t *testing.T) {
	cleanEnv(t)
	write(t, filepath.Join(os.Getenv("HOME"), "secret"), password)
	token := "token: {auth_url: " + keystone + ", token_file: ~/secret}"
	c, err := loadText(t, oneCloud(token, "http: {http_headers: {X-Zone: {files: [~/secret]}}}"))
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.Clouds[0].Client.Auth(); err != nil || o.TokenID != password {
		t.Errorf("got %q, %v", o.TokenID, err)
	}
}

func TestAliases(t *testing.T) {
	cleanEnv(t)
	type seen struct {
		Name, Region, Project, User, Password string
		Concurrency, Images                   int
	}
	var got []seen
	for _, c := range load(t, "testdata/good/aliases.yml").Clouds {
		o, err := c.Client.Auth()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got,
			seen{c.Collector.Name, c.Client.Region, o.Scope.ProjectID, o.UserID, o.Password, c.Collector.Concurrency, len(c.Collector.Images)})
	}
	want := []seen{
		{"prod", "", "edc8", "0123", password, 2, 1},
		{"copy", "RegionTwo", "edc8", "0123", password, 2, 1},
		{"merged", "", "abcd", "0123", password, 2, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
