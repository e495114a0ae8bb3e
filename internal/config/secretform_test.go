package config_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// A secret that would arrive at Keystone in another form than it is written is refused, wherever it is written.
func TestSecretThatIsNone(t *testing.T) {
	const (
		bom    = " begins with a byte order mark: save it as UTF-8 without one"
		lines  = " has more than one line: write the secret alone, in one line"
		coding = " is not UTF-8: save it as UTF-8"
	)
	texts := []struct{ text, want string }{
		{"\ufeffhunter2\n", bom},
		{"\xff\xfeh\x00u\x00n\x00", bom},
		{"\xfe\xff\x00h\x00u\x00n", bom},
		{"hunter2\nhunter3\n", lines},
		{"user\r\nhunter2", lines},
		{"\nhunter2\n", lines},
		{"hunter2\xe9\n", coding},
	}
	const userpass = "auth_url: " + keystone + ", user_id: abc, project_id: edc89b490d7d4392898e19b2deb34797, "
	none := "none: {project_id: edc89b490d7d4392898e19b2deb34797}"
	for _, place := range []struct{ path, auth, more string }{
		{"auth.password.password_file", "password: {" + userpass + "password_file: FILE}", ""},
		{"auth.application_credential.secret_file", "application_credential: {auth_url: " + keystone + ", id: abc, secret_file: FILE}", ""},
		{"auth.token.token_file", "token: {auth_url: " + keystone + ", token_file: FILE}", ""},
		{"auth.aksk.secret_key_file", "aksk: {access_key: AK, project_id: edc8, secret_key_file: FILE}", "api: ims"},
		{"auth.aksk.security_token_file", "aksk: {access_key: AK, project_id: edc8, secret_key: hunter2, security_token_file: FILE}", "api: ims"},
		{"http.basic_auth.password_file", none, "http: {basic_auth: {username: u, password_file: FILE}}"},
		{"http.authorization.credentials_file", none, "http: {authorization: {credentials_file: FILE}}"},
		{"http.oauth2.client_secret_file", none, "http: {oauth2: {client_id: a, token_url: 'https://id.example.com', client_secret_file: FILE}}"},
		{"http.http_headers.X-Zone.files[0]", none, "http: {http_headers: {X-Zone: {files: [FILE]}}}"},
	} {
		for _, tc := range texts {
			cleanEnv(t)
			file := filepath.Join(t.TempDir(), "secret")
			write(t, file, tc.text)
			config := oneCloud(place.auth, "endpoint: https://image.example.com", place.more)
			_, err := loadText(t, strings.ReplaceAll(config, "FILE", file))
			if want := ": clouds[0]." + place.path + ": " + file + tc.want; err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%q:\ngot  %v\nwant %s", tc.text, err, want)
			}
			write(t, file, "hunter2\r\n\n") // what editors leave at the end
			if _, err := loadText(t, strings.ReplaceAll(config, "FILE", file)); err != nil {
				t.Error(err)
			}
		}
	}
}

// No variable of the environment is expanded, so its name in place of a value is a mistake.
func TestUnexpanded(t *testing.T) {
	cleanEnv(t)
	const base = "auth_url: " + keystone + ", project_id: edc89b490d7d4392898e19b2deb34797, "
	const what = ": is a placeholder, which is not expanded: write "
	const inFile = what + "the path of a file with the secret as "
	const user = base + "user_id: abc, password: "
	for _, tc := range []struct{ auth, more, want string }{
		{"password: {" + user + "'${OS_PASSWORD}'}", "", "auth.password.password" + inFile + "password_file, or use auth: {env: {}}"},
		{"password: {" + user + "$OS_PASSWORD}", "", "auth.password.password" + inFile + "password_file, or use auth: {env: {}}"},
		{"password: {" + user + "'{{ vault.password }}'}", "", "auth.password.password" + inFile + "password_file, or use auth: {env: {}}"},
		{
			"password: {" + base + "user_id: $(OS_USER_ID), password: hunter2}", "",
			"auth.password.user_id" + what + "the value itself, or use auth: {env: {}}",
		},
		{"token: {auth_url: '${OS_AUTH_URL}', token: hunter2}", "", "auth.token.auth_url" + what + "the value itself, or use auth: {env: {}}"},
		{"aksk: {access_key: AK, project_id: edc8, secret_key: '${SK}'}", "api: ims", "auth.aksk.secret_key" + inFile + "secret_key_file"},
		{"env: {}", "http: {basic_auth: {username: u, password: '${P}'}}", "http.basic_auth.password" + inFile + "password_file"},
		{"env: {}", "http: {http_headers: {X-Zone: {secrets: ['${P}']}}}", "http.http_headers.X-Zone.secrets[0]" + what + "the value itself"},
		{"env: {}", "region: '${OS_REGION_NAME}'", "region" + what + "the value itself"},
	} {
		_, err := loadText(t, oneCloud(tc.auth, tc.more))
		if want := ": clouds[0]." + tc.want; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s %s\ngot  %v\nwant %s", tc.auth, tc.more, err, want)
		}
	}
	for _, secret := range []string{"$hunter2", "'hunter${2}'", "'{hunter2}'", "$HUNTER2", "'${'"} {
		if _, err := loadText(t, oneCloud("password: {"+user+secret+"}")); err != nil {
			t.Errorf("%s: %v", secret, err)
		}
	}
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	write(t, file, strings.Replace(cloudEntry(""), password, "${OS_PASSWORD}", 1))
	_, err := loadText(t, oneCloud("clouds_yaml: {cloud: prod, file: "+file+"}"))
	want := ": cloud prod of " + file + ": auth.password is a placeholder, which is not expanded: write the value itself"
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// A block of YAML ends with a line break, which no password has.
func TestSecretWithLineBreak(t *testing.T) {
	cleanEnv(t)
	for _, block := range []string{"|", ">"} {
		token := "      token:\n        auth_url: " + keystone + "\n        token: " + block + "\n          hunter2\n"
		_, err := loadText(t, "clouds:\n  - name: prod\n    auth:\n"+token+"    discover: [{}]\n")
		const want = ":6: clouds[0].auth.token.token: contains a line break: write it in the line of its key"
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
