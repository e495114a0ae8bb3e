package config

import (
	"cmp"
	"os"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

func (e *envAuth) credential(connection) (credential, *fault) {
	if _, bad := envOptions(); bad != nil {
		return credential{}, bad
	}
	cred := credential{
		auth:   loginFunc(envOptions),
		region: os.Getenv("OS_REGION_NAME"),
		iface:  interfaceName(env("OS_INTERFACE", "OS_ENDPOINT_TYPE")),
		tls:    envTLS(),
	}
	for _, name := range []string{"OS_CACERT", "OS_CERT", "OS_KEY"} {
		if path := os.Getenv(name); path != "" {
			if err := readable(home(path)); err != nil {
				return credential{}, faultf("env", "%s: %s", name, err)
			}
		}
	}
	if (cred.tls.cert == "") != (cred.tls.key == "") {
		return credential{}, faultf("env", "OS_CERT and OS_KEY belong together: set both, or none")
	}
	if !knownInterface(cred.iface) {
		return credential{}, faultf("env", "OS_INTERFACE must be public, internal or admin, not %q", shorten(cred.iface))
	}
	return cred, nil
}

// envOptions reads the variables that other OpenStack clients read. gophercloud's own reader does not know the domains'.
func envOptions() (gophercloud.AuthOptions, *fault) {
	domainID := env("OS_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID", "OS_DEFAULT_DOMAIN")
	domainName := env("OS_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_NAME")
	o := gophercloud.AuthOptions{
		IdentityEndpoint: os.Getenv("OS_AUTH_URL"),
		Username:         os.Getenv("OS_USERNAME"),
		UserID:           env("OS_USER_ID", "OS_USERID"),
		Password:         os.Getenv("OS_PASSWORD"),
		DomainID:         os.Getenv("OS_USER_DOMAIN_ID"),
		DomainName:       os.Getenv("OS_USER_DOMAIN_NAME"),
		TokenID:          env("OS_TOKEN", "OS_AUTH_TOKEN"),
		Scope: &gophercloud.AuthScope{
			ProjectID:   env("OS_PROJECT_ID", "OS_TENANT_ID"),
			ProjectName: env("OS_PROJECT_NAME", "OS_TENANT_NAME"),
			DomainID:    os.Getenv("OS_PROJECT_DOMAIN_ID"),
			DomainName:  os.Getenv("OS_PROJECT_DOMAIN_NAME"),
			TrustID:     os.Getenv("OS_TRUST_ID"),
		},
		ApplicationCredentialID:     os.Getenv("OS_APPLICATION_CREDENTIAL_ID"),
		ApplicationCredentialName:   os.Getenv("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: os.Getenv("OS_APPLICATION_CREDENTIAL_SECRET"),
	}
	if o.DomainID == "" && o.DomainName == "" {
		o.DomainID, o.DomainName = domainID, domainName
	}
	if o.IdentityEndpoint == "" && os.Getenv("OS_CLOUD") != "" {
		return o, faultf("env", "OS_CLOUD is set and OS_AUTH_URL is not: write clouds_yaml: {cloud: %s} instead of env", shorten(os.Getenv("OS_CLOUD")))
	}
	m, err := methodOf(os.Getenv("OS_AUTH_TYPE"), o)
	if err != nil {
		return o, faultf("env", "OS_AUTH_TYPE: %s", err)
	}
	o, missing := settle(m, o)
	if len(missing) > 0 {
		return o, faultf("env", "%s for the exporter, as an openrc file does, or use another kind of auth", variables(missing))
	}
	if text := checkAuthURL(o.IdentityEndpoint); text != "" {
		return o, faultf("env", "OS_AUTH_URL %s", text)
	}
	return o, nil
}

func variables(missing []need) string {
	var names []string
	for _, n := range missing {
		name := "OS_" + strings.ToUpper(n.name)
		if n.or != "" {
			name += " (or OS_" + strings.ToUpper(n.or) + ")"
		}
		names = append(names, name)
	}
	if len(names) == 1 {
		return names[0] + " is not set: set it"
	}
	return enumerate(names, "and") + " are not set: set them"
}

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

// interfaceName makes public of publicURL, as the v2.0 catalog called it.
func interfaceName(s string) string { return strings.TrimSuffix(s, "URL") }

func knownInterface(s string) bool {
	return s == "" || s == "public" || s == "internal" || s == "admin"
}
