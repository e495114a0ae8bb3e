package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"gopkg.in/yaml.v3"
)

// cloudsEntry is a cloud of clouds.yaml, merged with its settings in other files and in its region as openstacksdk
// does. gophercloud supports neither the values of regions nor the settings of a single service.
type cloudsEntry struct {
	path, name string // of clouds.yaml, and of the cloud in it

	Profile    string            `yaml:"profile"`
	Cloud      string            `yaml:"cloud"` // the old name of profile
	AuthType   string            `yaml:"auth_type"`
	Auth       map[string]string `yaml:"auth"`
	RegionName string            `yaml:"region_name"`
	Regions    []cloudsRegion    `yaml:"regions"`
	Interface  string            `yaml:"interface"`
	Verify     yaml.Node         `yaml:"verify"`
	Insecure   yaml.Node         `yaml:"insecure"`
	CACert     string            `yaml:"cacert"`
	Cert       string            `yaml:"cert"`
	Key        string            `yaml:"key"`

	ImageEndpointOverride string `yaml:"image_endpoint_override"`
	ImageRegionName       string `yaml:"image_region_name"`
	ImageInterface        string `yaml:"image_interface"`

	// The old names.
	EndpointType      string `yaml:"endpoint_type"`
	ImageEndpoint     string `yaml:"image_endpoint"`
	ImageEndpointType string `yaml:"image_endpoint_type"`
}

// cloudsRegion is a region's name, or its name with settings that override the cloud's.
type cloudsRegion struct {
	Name   string    `yaml:"name"`
	Values yaml.Node `yaml:"values"`
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (r *cloudsRegion) UnmarshalYAML(n *yaml.Node) error {
	*r = cloudsRegion{}
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&r.Name)
	}
	type plain cloudsRegion // without this method
	return n.Decode((*plain)(r))
}

func (e *cloudsEntry) problemf(format string, args ...any) *problem {
	return problemf("clouds_yaml", "cloud %s of %s: %s", e.name, e.path, fmt.Sprintf(format, args...))
}

// readCloudsEntry reads an entry and the files beside it. region is the one in exporter.yml.
func readCloudsEntry(path, name, region string) (*cloudsEntry, *problem) {
	layers, bad := readLayers(path, name)
	if bad != nil {
		return nil, bad
	}
	e := &cloudsEntry{path: path, name: name}
	for _, l := range layers {
		if bad := l.decode(e); bad != nil {
			return nil, bad
		}
	}
	if profile := cmp.Or(e.Profile, e.Cloud); profile != "" {
		public, bad := e.readProfile(profile)
		if bad != nil {
			return nil, bad
		}
		ownRegion, ownRegions := e.RegionName != "", e.Regions != nil
		*e = cloudsEntry{path: path, name: name}
		for _, l := range append([]layer{*public}, layers...) {
			if bad := l.decode(e); bad != nil {
				return nil, bad
			}
		}
		if ownRegion && !ownRegions {
			e.Regions = nil
		}
	}
	if bad := e.chooseRegion(region); bad != nil {
		return nil, bad
	}
	return e, e.check(region)
}

// layer is the settings of a cloud in one file.
type layer struct {
	path string
	node *yaml.Node
}

func (l layer) decode(e *cloudsEntry) *problem {
	if err := l.node.Decode(e); err != nil {
		return unusableYAML(l.path, err)
	}
	return nil
}

// readLayers returns the settings of a cloud in clouds.yaml and in the secure.yaml beside it.
func readLayers(path, name string) ([]layer, *problem) {
	all, bad := readClouds(path, "clouds")
	if bad != nil {
		return nil, bad
	}
	node, ok := all[name]
	if !ok {
		names := slices.Sorted(maps.Keys(all))
		if len(names) == 0 {
			return nil, problemf("clouds_yaml.cloud", "%s has no clouds: add one under the key clouds", path)
		}
		more := ""
		if len(names) > 20 {
			names, more = names[:20], " and others"
		}
		return nil, problemf("clouds_yaml.cloud", "%s has no cloud %q: write one of %s%s", path, name, strings.Join(names, ", "), more)
	}
	layers := []layer{{path, &node}}
	secure := filepath.Join(filepath.Dir(path), "secure.yaml")
	if _, err := os.Stat(secure); err != nil {
		return layers, nil
	}
	if all, bad = readClouds(secure, "clouds"); bad != nil {
		return nil, bad
	}
	if node, ok := all[name]; ok {
		layers = append(layers, layer{secure, &node})
	}
	return layers, nil
}

// readClouds returns the clouds of a file, which are under key.
func readClouds(path, key string) (map[string]yaml.Node, *problem) {
	var file map[string]yaml.Node
	if bad := readYAML(path, &file); bad != nil {
		return nil, bad
	}
	node, ok := file[key]
	if !ok {
		return nil, nil
	}
	var all map[string]yaml.Node
	if err := node.Decode(&all); err != nil {
		return nil, unusableYAML(path, err)
	}
	return all, nil
}

// readProfile returns the settings of a public cloud, which those of the entry override.
func (e *cloudsEntry) readProfile(profile string) (*layer, *problem) {
	const instead = "write its settings into the cloud itself"
	path, bad := locate("clouds-public.yaml", "")
	if bad != nil {
		return nil, e.problemf("profile %s needs a clouds-public.yaml, and there is none: %s", shorten(profile), instead)
	}
	public, bad := readClouds(path, "public-clouds")
	if bad != nil {
		return nil, bad
	}
	node, ok := public[profile]
	if !ok {
		return nil, e.problemf("profile %s is not in %s: %s", shorten(profile), path, instead)
	}
	return &layer{path, &node}, nil
}

// chooseRegion applies the settings of the region. If none of several is chosen, it fails: openstacksdk uses the first,
// but then the password would be sent to the Keystone of a region that nobody chose.
func (e *cloudsEntry) chooseRegion(name string) *problem {
	if len(e.Regions) == 0 {
		return nil
	}
	var names []string
	for i, r := range e.Regions {
		if r.Name == "" {
			return e.problemf("regions[%d] has no name: write regions: [{name: RegionOne, values: {...}}]", i)
		}
		names = append(names, r.Name)
	}
	at, choices := slices.Index(names, name), strings.Join(names, ", ")
	switch {
	case name == "" && len(names) > 1:
		return e.problemf("has several regions: write one of %s as region in exporter.yml", choices)
	case name == "":
		at = 0
	case at < 0:
		return e.problemf("has no region %q, which exporter.yml names in region: write one of %s", shorten(name), choices)
	}
	e.RegionName = names[at]
	values := e.Regions[at].Values
	if values.IsZero() {
		return nil
	}
	return layer{e.path, &values}.decode(e)
}

// check refuses what would be ignored, and what cannot be used. region is the one in exporter.yml.
func (e *cloudsEntry) check(region string) *problem {
	switch {
	case e.ImageEndpoint != "" && e.ImageEndpointOverride == "":
		return e.problemf("image_endpoint is not read: write image_endpoint_override")
	case e.ImageRegionName != "" && region != "" && e.ImageRegionName != region:
		const text = "image_region_name is %s, but region in exporter.yml is %s: write the same region in both"
		return e.problemf(text, shorten(e.ImageRegionName), shorten(region))
	case !knownInterface(e.iface()):
		key := "interface"
		if e.ImageInterface != "" || e.ImageEndpointType != "" {
			key = "image_interface"
		}
		return e.problemf("%s must be public, internal or admin, not %q", key, shorten(e.iface()))
	case e.ImageEndpointOverride != "":
		if text := checkURL("endpoint", e.ImageEndpointOverride); text != "" {
			return e.problemf("image_endpoint_override %s", text)
		}
	}
	var b bool
	const want = "must be true or false, without quotes"
	switch {
	case e.Verify.Decode(&b) != nil && strings.Contains(e.Verify.Value, "/"):
		return e.problemf("verify %s; write the path of a CA's certificate as cacert", want)
	case e.Verify.Decode(&b) != nil:
		return e.problemf("verify %s", want)
	case e.Insecure.Decode(&b) != nil:
		return e.problemf("insecure %s", want)
	}
	return nil
}

func (e *cloudsEntry) iface() string {
	return interfaceName(cmp.Or(e.ImageInterface, e.ImageEndpointType, e.EndpointType, e.Interface))
}

func (e *cloudsEntry) tls() tlsFiles {
	verify, insecure := true, false
	_, _ = e.Verify.Decode(&verify), e.Insecure.Decode(&insecure) // check has validated them
	return tlsFiles{ca: home(e.CACert), cert: home(e.Cert), key: home(e.Key), insecure: insecure || !verify}.or(envTLS())
}

func (e *cloudsEntry) checkTLS(tls tlsFiles) *problem {
	for _, file := range []struct{ key, path string }{{"cacert", tls.ca}, {"cert", tls.cert}, {"key", tls.key}} {
		if file.path == "" {
			continue
		}
		if err := readable(file.path); err != nil {
			return e.problemf("%s %s", file.key, err)
		}
	}
	if (tls.cert == "") != (tls.key == "") {
		return e.problemf("cert and key belong together: write both, or none")
	}
	return nil
}

// options returns the options of the login.
func (e *cloudsEntry) options(tls tlsFiles) (gophercloud.AuthOptions, *problem) {
	none := gophercloud.AuthOptions{}
	if e.Auth == nil {
		return none, e.problemf("has no auth: add it")
	}
	if bad := e.checkTLS(tls.or(e.tls())); bad != nil {
		return none, bad
	}
	o := loginOptions(func(names ...string) string {
		var value string
		for _, name := range names {
			value = cmp.Or(value, e.Auth[name])
		}
		return value
	})
	if e.Auth["system_scope"] != "" {
		o.Scope = nil
	}
	for _, name := range slices.Sorted(maps.Keys(e.Auth)) {
		if text := unusable("", e.Auth[name], false); text != "" {
			return none, e.problemf("auth.%s %s", name, text)
		}
	}
	m, err := methodOf(e.AuthType, o)
	if err != nil {
		return none, e.problemf("%s", err)
	}
	for old, name := range map[string]string{"tenant_name": "project_name", "tenant_id": "project_id"} {
		if e.Auth[old] != "" && e.Auth["project_id"]+e.Auth["project_name"] == "" {
			return none, e.problemf("auth has %s, which is not read: write %s", old, name)
		}
	}
	o, missing := settle(m, o)
	if len(missing) > 0 {
		return none, e.problemf("auth has no %s: add it", enumerate(missing.names(func(name string) string { return name }), "and"))
	}
	if text := checkURL("auth_url", o.IdentityEndpoint); text != "" {
		return none, e.problemf("auth_url %s", text)
	}
	return o, nil
}
