package config

import (
	"encoding/json"
	"hash/fnv"
	"slices"

	"gopkg.in/yaml.v3"

	"glance_share_exporter/collector"
)

// hashBits is how many bits of an integer Prometheus keeps.
const hashBits = 53

// hash returns a hash of what a cloud's configuration watches and expects, for [collector.Options].ConfigHash. It is
// the same after a restart. It does not depend on names of images and members, notes, and secrets.
func (e *entry) hash(o *collector.Options) uint64 {
	watched := struct {
		Scope                  string
		AdminRoles, MembersFor any
		Images                 []collector.Image
		Discover               []collector.Rule
		Inbound                *collector.Inbound
	}{e.scope(), o.AdminRoles, o.MembersFor, slices.Clone(o.Images), slices.Clone(o.Discover), o.Inbound}
	for i := range watched.Images {
		img := &watched.Images[i]
		img.Name, img.Policy.Members = "", nameless(img.Policy.Members)
	}
	for i := range watched.Discover {
		rule := &watched.Discover[i]
		rule.Policy.Members = nameless(rule.Policy.Members)
	}
	if o.Inbound != nil {
		watched.Inbound = &collector.Inbound{Owners: nameless(o.Inbound.Owners), MaxImages: o.Inbound.MaxImages}
	}
	sum := fnv.New64a()
	_ = json.NewEncoder(sum).Encode(watched) // every value can be encoded, and a hash never fails
	return sum.Sum64() >> (64 - hashBits)
}

// scope returns the settings that decide which images the credential sees. Secrets are hidden as in /config.
func (e *entry) scope() string {
	text, _ := yaml.Marshal(struct { // cannot fail: it was decoded from YAML
		API                         string
		Auth                        auth
		Projects                    projectList
		Except                      []string `yaml:",omitempty"`
		Region, Interface, Endpoint string
	}{e.API, e.Auth, e.Projects, e.ProjectsExcept, e.Region, e.Interface, e.Endpoint})
	return string(text)
}

// nameless returns a copy of expected members without their names and notes. nil stays nil, not an empty list.
func nameless(list []collector.ExpectedMember) []collector.ExpectedMember {
	list = slices.Clone(list)
	for i := range list {
		list[i].Name, list[i].Note = "", ""
	}
	return list
}
