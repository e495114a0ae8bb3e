package config

import (
	"cmp"
	"os"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

func (e *envAuth) credential(connection) (credential, *problem) {
	if _, bad := e.options(); bad != nil {
		return credential{}, bad
	}
	cred := credential{
		login:    e,
		region:   env("OS_IMAGE_REGION_NAME", "OS_REGION_NAME"),
		iface:    interfaceName(env("OS_IMAGE_INTERFACE", "OS_INTERFACE", "OS_ENDPOINT_TYPE")),
		endpoint: os.Getenv("OS_IMAGE_ENDPOINT_OVERRIDE"),
		tls:      envTLS(),
	}
	for _, name := range []string{"OS_CACERT", "OS_CERT", "OS_KEY"} {
		if path := os.Getenv(name); path != "" {
			if err := readable(home(path)); err != nil {
				return credential{}, problemf("env", "%s: %s", name, err)
			}
		}
	}
	if (cred.tls.cert == "") != (cred.tls.key == "") {
		return credential{}, problemf("env", "OS_CERT and OS_KEY belong together: set both, or none")
	}
	if insecure := os.Getenv("OS_INSECURE"); insecure != "" {
		var err error
		if cred.tls.insecure, err = strconv.ParseBool(insecure); err != nil {
			return credential{}, problemf("env", "OS_INSECURE must be true or false, not %q", shorten(insecure))
		}
	}
	for _, name := range []string{"OS_IMAGE_INTERFACE", "OS_INTERFACE", "OS_ENDPOINT_TYPE"} {
		if iface := interfaceName(os.Getenv(name)); !knownInterface(iface) {
			return credential{}, problemf("env", "%s must be public, internal or admin, not %q", name, shorten(iface))
		}
	}
	if cred.endpoint != "" {
		if text := checkURL("endpoint", cred.endpoint); text != "" {
			return credential{}, problemf("env", "OS_IMAGE_ENDPOINT_OVERRIDE %s", text)
		}
	}
	return cred, nil
}

// oldVariables are the variables whose names differ from the settings of clouds.yaml.
var oldVariables = map[string][]string{
	"user_id": {"OS_USERID"}, "token": {"OS_AUTH_TOKEN"}, "project_id": {"OS_TENANT_ID"}, "project_name": {"OS_TENANT_NAME"},
}

// options reads the variables that other OpenStack clients read. gophercloud's own reader ignores those of domains.
func (*envAuth) options() (gophercloud.AuthOptions, *problem) {
	o := loginOptions(func(names ...string) string {
		var value string
		for _, name := range names {
			value = cmp.Or(value, os.Getenv(variable(name)), env(oldVariables[name]...))
		}
		return value
	})
	if o.IdentityEndpoint == "" && os.Getenv("OS_CLOUD") != "" {
		const text = "OS_CLOUD is set and OS_AUTH_URL is not: write clouds_yaml: {cloud: %s} instead of env"
		return o, problemf("env", text, shorten(os.Getenv("OS_CLOUD")))
	}
	m, err := methodOf(os.Getenv("OS_AUTH_TYPE"), o)
	if err != nil {
		return o, problemf("env", "OS_AUTH_TYPE: %s", err)
	}
	o, missing := settle(m, o)
	if len(missing) > 0 {
		verb := "are not set: set them"
		if len(missing) == 1 {
			verb = "is not set: set it"
		}
		const text = "%s %s for the exporter, as an openrc file does, or use another kind of auth"
		return o, problemf("env", text, enumerate(missing.names(variable), "and"), verb)
	}
	if text := checkURL("auth_url", o.IdentityEndpoint); text != "" {
		return o, problemf("env", "OS_AUTH_URL %s", text)
	}
	return o, nil
}

func variable(setting string) string { return "OS_" + strings.ToUpper(setting) }

func envTLS() tlsFiles {
	return tlsFiles{ca: home(os.Getenv("OS_CACERT")), cert: home(os.Getenv("OS_CERT")), key: home(os.Getenv("OS_KEY"))}
}

// env returns the first of the variables that is set.
func env(names ...string) string {
	var value string
	for _, name := range names {
		value = cmp.Or(value, os.Getenv(name))
	}
	return value
}

// interfaceName returns public for publicURL, its name in the v2.0 catalog.
func interfaceName(s string) string { return strings.TrimSuffix(s, "URL") }

func knownInterface(s string) bool {
	return s == "" || s == "public" || s == "internal" || s == "admin"
}
