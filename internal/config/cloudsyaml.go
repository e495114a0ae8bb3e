package config

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// files returns the files that an entry may be read from, as far as they can be found.
func (c *cloudsYAMLAuth) files() []string {
	path := c.File
	if path == "" {
		var bad *problem
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

// credential reads the cloud's entry of clouds.yaml. The environment changes nothing in it, except that OS_CACERT,
// OS_CERT and OS_KEY apply where no file has such a setting.
func (c *cloudsYAMLAuth) credential(conn connection) (credential, *problem) {
	if c.Cloud == "" {
		return credential{}, problemf("clouds_yaml.cloud", "is required: write the name of a cloud in clouds.yaml")
	}
	key, path := "clouds_yaml.file", c.File
	if path == "" {
		key = "clouds_yaml"
		var bad *problem
		if path, bad = locate("clouds.yaml", os.Getenv("OS_CLIENT_CONFIG_FILE")); bad != nil {
			return credential{}, bad
		}
	}
	if err := readable(path); err != nil {
		return credential{}, problemf(key, "%s", err)
	}
	l := cloudsLogin{path, c.Cloud, conn.region, conn.tls}
	e, bad := l.read()
	if bad != nil {
		return credential{}, bad
	}
	_, bad = e.options(conn.tls)
	return credential{
		login:  l,
		region: cmp.Or(e.ImageRegionName, e.RegionName), iface: e.iface(), endpoint: e.ImageEndpointOverride, tls: e.tls(),
	}, bad
}

// cloudsLogin is the login of a cloud of clouds.yaml.
type cloudsLogin struct {
	path, name, region string
	tls                tlsFiles // of exporter.yml
}

func (l cloudsLogin) read() (*cloudsEntry, *problem) {
	return readCloudsEntry(l.path, l.name, l.region)
}

func (l cloudsLogin) options() (gophercloud.AuthOptions, *problem) {
	e, bad := l.read()
	if bad != nil {
		return gophercloud.AuthOptions{}, bad
	}
	return e.options(l.tls)
}

// locate finds a file where other OpenStack clients search for it. If only is set, it is the one path to check.
func locate(name, only string) (string, *problem) {
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
	return "", problemf("clouds_yaml", "no %s in the places searched, %s: write the file, or name one, as in file: /etc/openstack/clouds.yaml",
		name, strings.Join(places, ", "))
}
