package config

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// files are what an entry may be read from, as far as they can be found.
func (c *cloudsYAMLAuth) files() []string {
	path := c.File
	if path == "" {
		var bad *fault
		if path, bad = locate("clouds.yaml", os.Getenv("OS_CLIENT_CONFIG_FILE")); bad != nil {
			return nil
		}
	}
	files := []string{path, filepath.Join(filepath.Dir(path), "secure.yaml")}
	if public, bad := locate("clouds-public.yaml", ""); bad == nil {
		files = append(files, public)
	}
	return files
}

// credential reads the cloud's entry of clouds.yaml. The environment has no say in it, but for OS_CACERT, OS_CERT and
// OS_KEY where neither file has such a thing: gophercloud would let OS_REGION_NAME and OS_INTERFACE go before the file.
func (c *cloudsYAMLAuth) credential(conn connection) (credential, *fault) {
	if c.Cloud == "" {
		return credential{}, faultf("clouds_yaml.cloud", "is required: write the name of a cloud in clouds.yaml")
	}
	key, path := "clouds_yaml.file", c.File
	if path == "" {
		key = "clouds_yaml"
		var bad *fault
		if path, bad = locate("clouds.yaml", os.Getenv("OS_CLIENT_CONFIG_FILE")); bad != nil {
			return credential{}, bad
		}
	}
	if err := readable(path); err != nil {
		return credential{}, &fault{key, err.Error()}
	}
	read := func() (gophercloud.AuthOptions, *fault) {
		f, bad := readCloudsFile(path, c.Cloud)
		if bad != nil {
			return gophercloud.AuthOptions{}, bad
		}
		return f.options(conn.tls)
	}
	if _, bad := read(); bad != nil {
		return credential{}, bad
	}
	f, bad := readCloudsFile(path, c.Cloud)
	if bad != nil {
		return credential{}, bad
	}
	cred := credential{
		auth:   loginFunc(read),
		region: f.first(func(c clouds.Cloud) string { return c.RegionName }),
		iface: interfaceName(cmp.Or(f.first(func(c clouds.Cloud) string { return c.EndpointType }),
			f.first(func(c clouds.Cloud) string { return c.Interface }))),
		tls: f.tls(),
	}
	if !knownInterface(cred.iface) {
		return credential{}, f.faultf("clouds_yaml", "interface must be public, internal or admin, not %q", shorten(cred.iface))
	}
	return cred, nil
}

// locate finds a file where other OpenStack clients look for it.
func locate(name, only string) (string, *fault) {
	places := []string{only}
	if only == "" {
		places = nil
		if dir, err := os.Getwd(); err == nil {
			places = append(places, filepath.Join(dir, name))
		}
		if dir := cmp.Or(os.Getenv("XDG_CONFIG_HOME"), home("~/.config")); filepath.IsAbs(dir) {
			places = append(places, filepath.Join(dir, "openstack", name))
		}
		places = append(places, filepath.Join("/etc/openstack", name))
	}
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return place, nil
		}
	}
	return "", faultf("clouds_yaml", "no %s in the places searched, %s: write the file, or name one, as in file: /etc/openstack/clouds.yaml",
		name, strings.Join(places, ", "))
}

// cloudsFile is one cloud of clouds.yaml with the files beside it.
type cloudsFile struct {
	path, name           string
	main, secure, public []byte
	entries              []clouds.Cloud // the first goes before the others
}

func (f *cloudsFile) faultf(key, format string, args ...any) *fault {
	return faultf(key, "cloud %s of %s: %s", f.name, f.path, fmt.Sprintf(format, args...))
}

// readCloudsFile reads anew at each call, for that is how a password changes.
func readCloudsFile(path, name string) (*cloudsFile, *fault) {
	f := &cloudsFile{path: path, name: name}
	var all, secure clouds.Clouds
	var bad *fault
	if f.main, bad = readYAML(path, &all); bad != nil {
		return nil, bad
	}
	entry, ok := all.Clouds[name]
	if !ok {
		names := slices.Sorted(maps.Keys(all.Clouds))
		if len(names) == 0 {
			return nil, faultf("clouds_yaml.cloud", "%s has no clouds: write an entry under its key clouds", path)
		}
		more := ""
		if len(names) > 20 {
			names, more = names[:20], " and others"
		}
		return nil, faultf("clouds_yaml.cloud", "%s has no cloud %q: write one of those it has: %s%s", path, name, strings.Join(names, ", "), more)
	}
	f.entries = []clouds.Cloud{entry}
	beside := filepath.Join(filepath.Dir(path), "secure.yaml")
	if _, err := os.Stat(beside); err == nil {
		if f.secure, bad = readYAML(beside, &secure); bad != nil {
			return nil, bad
		}
		if s, ok := secure.Clouds[name]; ok {
			f.entries = []clouds.Cloud{s, entry}
		}
	}
	return f, f.addProfile()
}

// addProfile adds what a public cloud's profile says.
func (f *cloudsFile) addProfile() *fault {
	profile := cmp.Or(f.first(func(c clouds.Cloud) string { return c.Profile }), f.first(func(c clouds.Cloud) string { return c.Cloud }))
	if profile == "" {
		return nil
	}
	path, bad := locate("clouds-public.yaml", "")
	if bad != nil {
		return f.faultf("clouds_yaml", "its profile %s needs a clouds-public.yaml: write what the profile says into the cloud itself", shorten(profile))
	}
	var public clouds.PublicClouds
	if f.public, bad = readYAML(path, &public); bad != nil {
		return bad
	}
	if p, ok := public.Clouds[profile]; ok {
		f.entries = append(f.entries, p)
	}
	return nil
}

// first returns the first value that is not empty.
func (f *cloudsFile) first(value func(clouds.Cloud) string) string {
	for _, c := range f.entries {
		if v := value(c); v != "" {
			return v
		}
	}
	return ""
}

func (f *cloudsFile) tls() tlsFiles {
	t := tlsFiles{
		ca:   home(f.first(func(c clouds.Cloud) string { return c.CACertFile })),
		cert: home(f.first(func(c clouds.Cloud) string { return c.ClientCertFile })),
		key:  home(f.first(func(c clouds.Cloud) string { return c.ClientKeyFile })),
	}
	for _, c := range slices.Backward(f.entries) {
		if c.Verify != nil {
			t.insecure = !*c.Verify
		}
	}
	return t.or(envTLS())
}

func (f *cloudsFile) checkTLS(tls tlsFiles) *fault {
	for _, file := range []struct{ key, path string }{{"cacert", tls.ca}, {"cert", tls.cert}, {"key", tls.key}} {
		if file.path == "" {
			continue
		}
		if err := readable(file.path); err != nil {
			return f.faultf("clouds_yaml", "%s %s", file.key, err)
		}
	}
	if (tls.cert == "") != (tls.key == "") {
		return f.faultf("clouds_yaml", "cert and key belong together: write both, or none")
	}
	return nil
}

// options asks gophercloud for the login's options, and repairs what it would refuse itself later.
func (f *cloudsFile) options(tls tlsFiles) (gophercloud.AuthOptions, *fault) {
	none := gophercloud.AuthOptions{}
	if !slices.ContainsFunc(f.entries, func(c clouds.Cloud) bool { return c.AuthInfo != nil }) {
		return none, f.faultf("clouds_yaml", "has no auth: write it there")
	}
	tls = tls.or(f.tls())
	if bad := f.checkTLS(tls); bad != nil {
		return none, bad
	}
	opts := []clouds.ParseOption{
		clouds.WithCloudName(f.name),
		clouds.WithCloudsYAML(bytes.NewReader(f.main)),
		clouds.WithCACertPath(tls.ca), clouds.WithClientCertPath(tls.cert), clouds.WithClientKeyPath(tls.key),
	}
	if f.secure != nil {
		opts = append(opts, clouds.WithSecureYAML(bytes.NewReader(f.secure)))
	}
	if f.public != nil {
		opts = append(opts, clouds.WithCloudsPublicYAML(bytes.NewReader(f.public)))
	}
	o, _, _, err := clouds.Parse(opts...)
	if err != nil {
		// Its texts about YAML quote values.
		if text := oneLine(err.Error()); strings.HasPrefix(text, "unable to compute TLS configuration") {
			return none, f.faultf("clouds_yaml", "%s: correct it there", text)
		}
		return none, f.faultf("clouds_yaml", "gophercloud cannot read it: write it as the OpenStack documentation shows it")
	}
	if o.DomainID == "" && o.DomainName == "" {
		o.DomainID = f.first(func(c clouds.Cloud) string {
			if c.AuthInfo == nil {
				return ""
			}
			return c.AuthInfo.DefaultDomain
		})
	}
	m, err := methodOf(f.first(func(c clouds.Cloud) string { return string(c.AuthType) }), o)
	if err != nil {
		return none, f.faultf("clouds_yaml", "%s", err)
	}
	o, missing := settle(m, o)
	if len(missing) > 0 {
		return none, f.faultf("clouds_yaml", "auth lacks %s: write it there", settings(missing))
	}
	if text := checkAuthURL(o.IdentityEndpoint); text != "" {
		return none, f.faultf("clouds_yaml", "auth_url %s", text)
	}
	return o, nil
}

func settings(missing []need) string {
	var names []string
	for _, n := range missing {
		name := n.name
		if n.or != "" {
			name += " (or " + n.or + ")"
		}
		names = append(names, name)
	}
	return enumerate(names, "and")
}
