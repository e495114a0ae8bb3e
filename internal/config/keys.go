package config

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"glance_share_exporter/client"
)

// The kinds of auth that sign every request instead of sending a token.

func (a *akskAuth) credential(connection) (credential, *problem) {
	keys, bad := a.keys()
	if bad == nil {
		bad = checkProjectID("aksk.project_id", a.ProjectID)
	}
	return credential{keys: keys, projectID: a.ProjectID}, bad
}

// keys returns the source of the keys, and the first mistake in its settings.
func (a *akskAuth) keys() (client.KeySource, *problem) {
	if a.CredentialFile != "" {
		return a.keysOfFile()
	}
	key := &writtenKey{
		access: a.AccessKey,
		secret: secret{"aksk.secret_key", a.SecretKey, a.SecretKeyFile},
	}
	if a.SecurityToken != "" || a.SecurityTokenFile != "" {
		key.token = &secret{"aksk.security_token", a.SecurityToken, a.SecurityTokenFile}
	}
	bad := firstProblem(checkWord("aksk.access_key", a.AccessKey, "the access key's ID, or credential_file instead"), key.secret.check())
	if bad == nil && key.token != nil {
		bad = key.token.check()
	}
	if bad == nil {
		_, bad = key.read()
	}
	return &keySource{keyReader: key}, bad
}

func (a *akskAuth) keysOfFile() (client.KeySource, *problem) {
	for _, f := range []field{
		{"aksk.access_key", a.AccessKey},
		{"aksk.secret_key", string(a.SecretKey)},
		{"aksk.secret_key_file", a.SecretKeyFile},
		{"aksk.security_token", string(a.SecurityToken)},
		{"aksk.security_token_file", a.SecurityTokenFile},
	} {
		if f.value != "" {
			return nil, problemf(f.key, "has no effect with credential_file, which contains the whole key: remove it")
		}
	}
	key := &keyFile{a.CredentialFile}
	_, bad := key.parse()
	return &keySource{keyReader: key}, bad
}

func (a *agencyAuth) credential(connection) (credential, *problem) {
	bad := checkProjectID("ecs_agency.project_id", a.ProjectID)
	if bad == nil && a.MetadataURL != "" {
		if text := checkURL("auth_url", a.MetadataURL); text != "" {
			bad = problemf("ecs_agency.metadata_url", "must be a URL such as http://169.254.169.254: correct it, or remove the key")
		}
	}
	return credential{metadata: &client.MetadataOptions{URL: a.MetadataURL}, projectID: a.ProjectID}, bad
}

func checkProjectID(key, id string) *problem {
	if regionName.MatchString(id) {
		return problemf(key, "%s is the name of a region: write the ID of its project, which the console shows under My Credentials", shorten(id))
	}
	return checkWord(key, id, "the ID of the project that owns the images, which the console shows under My Credentials")
}

// regionName matches names of regions, such as cn-north-4 and eu-de, and of their projects, such as cn-north-4_images.
var regionName = regexp.MustCompile(`^[a-z]+-[a-z]+(-[0-9]+)?(_.*)?$`)

// checkWord refuses an empty value and one with whitespace.
func checkWord(key, value, what string) *problem {
	switch {
	case value == "":
		return problemf(key, "is required: write %s", what)
	case strings.ContainsFunc(value, unicode.IsSpace):
		return problemf(key, "contains whitespace: copy it again")
	}
	return nil
}

// keyReader reads the current key.
type keyReader interface {
	read() (client.Key, *problem)
}

// keySource is a client.KeySource that reads the key in exporter.yml, or its files, at each request. While there is no
// valid key, it returns the last one, as long as that has not expired.
type keySource struct {
	keyReader

	mu   sync.Mutex
	last client.Key
}

// Key implements client.KeySource.
func (k *keySource) Key(context.Context) (client.Key, error) {
	key, bad := k.read()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case bad == nil:
		k.last = key
	case k.last.Access == "" || k.last.Ended():
		return client.Key{}, &client.Error{Op: client.OpAuthenticate, Code: client.CodeConfig, Message: "auth." + bad.Error()}
	}
	return k.last, nil
}

// writtenKey is a key whose parts are in exporter.yml or in files.
type writtenKey struct {
	access string
	secret secret
	token  *secret // nil: a permanent key
}

func (k *writtenKey) read() (client.Key, *problem) {
	key := client.Key{Access: k.access}
	var bad *problem
	if key.Secret, bad = k.secret.read(); bad == nil {
		bad = k.secret.blank(key.Secret)
	}
	if bad == nil && k.token != nil {
		if key.SecurityToken, bad = k.token.read(); bad == nil {
			bad = k.token.blank(key.SecurityToken)
		}
	}
	return key, bad
}

// blank refuses a value with whitespace.
func (s *secret) blank(text string) *problem {
	key := s.key
	if s.file != "" {
		key += "_file"
	}
	if strings.ContainsFunc(text, unicode.IsSpace) {
		return problemf(key, "contains whitespace: copy the %s again", strings.ReplaceAll(lastKey(s.key), "_", " "))
	}
	return nil
}

// keyFile is a file with a temporary key that another program renews.
type keyFile struct{ path string }

func (k *keyFile) read() (client.Key, *problem) {
	key, bad := k.parse()
	if bad == nil && key.Ended() {
		ended := key.Expires.UTC().Format(time.RFC3339)
		bad = problemf("aksk.credential_file", "%s has a key that ended at %s: write the next one before that", k.path, ended)
	}
	return key, bad
}

// parse is like read, but accepts a key that has expired.
func (k *keyFile) parse() (client.Key, *problem) {
	text, err := readSmall(k.path)
	if err != nil {
		return client.Key{}, problemf("aksk.credential_file", "%s", err)
	}
	key, err := client.ParseKey([]byte(text))
	if err != nil {
		const want = "%s has %v: write the response of IAM or of the metadata service into it, %s"
		return client.Key{}, problemf("aksk.credential_file", want, k.path, err, keyForm)
	}
	return key, nil
}

const keyForm = `{"credential": {"access": "...", "secret": "...", "securitytoken": "...", "expires_at": "..."}}`
