package config

import (
	"context"
	"strings"
	"sync"
	"unicode"

	"glance_share_exporter/client"
)

// The kinds of auth that sign every request instead of sending a token.

func (a *akskAuth) credential(connection) (credential, *fault) {
	keys := &writtenKeys{
		access: a.AccessKey,
		secret: secret{"aksk.secret_key", a.SecretKey, a.SecretKeyFile},
	}
	if a.SecurityToken != "" || a.SecurityTokenFile != "" {
		keys.token = &secret{"aksk.security_token", a.SecurityToken, a.SecurityTokenFile}
	}
	bad := firstFault(wordFault("aksk.access_key", a.AccessKey, "the access key's ID"), keys.secret.check())
	if bad == nil && keys.token != nil {
		bad = keys.token.check()
	}
	if bad == nil {
		_, bad = keys.read()
	}
	if bad == nil {
		bad = projectFault("aksk.project_id", a.ProjectID)
	}
	return credential{keys: keys, projectID: a.ProjectID}, bad
}

func (a *agencyAuth) credential(connection) (credential, *fault) {
	bad := projectFault("ecs_agency.project_id", a.ProjectID)
	if bad == nil && a.MetadataURL != "" {
		if text := checkAuthURL(a.MetadataURL); text != "" {
			bad = faultf("ecs_agency.metadata_url", "must be a URL such as http://169.254.169.254, or be left out")
		}
	}
	return credential{metadata: &client.MetadataOptions{URL: a.MetadataURL}, projectID: a.ProjectID}, bad
}

func projectFault(key, id string) *fault {
	return wordFault(key, id, "the ID of the project whose images are watched, as the console shows it under My Credentials")
}

// wordFault refuses an empty value and one with blanks in it.
func wordFault(key, value, what string) *fault {
	switch {
	case value == "":
		return faultf(key, "is required: write %s", what)
	case strings.ContainsFunc(value, unicode.IsSpace):
		return faultf(key, "has a blank in it: copy it again")
	}
	return nil
}

// writtenKeys is a client.KeySource. It reads the secrets' files at each request, and keeps what it had while one of them
// cannot be read.
type writtenKeys struct {
	access string
	secret secret
	token  *secret // nil: a permanent key

	mu   sync.Mutex
	last *client.Key
}

// Key implements client.KeySource.
func (k *writtenKeys) Key(context.Context) (client.Key, error) {
	key, bad := k.read()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case bad == nil:
		k.last = &key
	case k.last == nil:
		return client.Key{}, &client.Error{Op: client.OpAuthenticate, Code: client.CodeConfig, Message: "auth." + bad.Error()}
	}
	return *k.last, nil
}

func (k *writtenKeys) read() (client.Key, *fault) {
	key := client.Key{Access: k.access}
	var bad *fault
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

// blank refuses a value with blanks in it.
func (s *secret) blank(text string) *fault {
	key := s.key
	if s.file != "" {
		key += "_file"
	}
	if strings.ContainsFunc(text, unicode.IsSpace) {
		return faultf(key, "has a blank in it: copy the %s again", strings.ReplaceAll(lastKey(s.key), "_", " "))
	}
	return nil
}
