package client

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

// catalogURL returns the URL of the image service in a token's catalog.
func catalogURL(catalog []tokens.CatalogEntry, region, iface string) (string, error) {
	if iface == "" {
		iface = "public"
	}
	var regions, interfaces, urls, types []string
	for _, entry := range catalog {
		types = append(types, entry.Type)
		if entry.Type != "image" {
			continue
		}
		for _, ep := range entry.Endpoints {
			name := ep.RegionID
			if name == "" {
				name = ep.Region
			}
			regions = append(regions, name)
			if region != "" && region != name {
				continue
			}
			interfaces = append(interfaces, ep.Interface)
			if ep.Interface == iface || ep.Interface == iface+"URL" {
				urls = append(urls, ep.URL)
			}
		}
	}
	switch {
	case len(regions) == 0:
		return "", fmt.Errorf("the catalog has no service of type image (it has %s): set endpoint to the image service's URL", joined(types))
	case len(interfaces) == 0:
		return "", fmt.Errorf("the catalog has no image service in region %q (it has %s): correct region", region, joined(regions))
	case len(urls) == 0:
		return "", fmt.Errorf("the catalog has no %s image endpoint (it has %s): correct interface", iface, joined(interfaces))
	case region == "" && len(unique(regions)) > 1:
		return "", fmt.Errorf("the catalog has the image service in several regions (%s): set region", joined(regions))
	}
	if err := oneEndpoint(urls); err != nil {
		return "", err
	}
	if err := CheckURL("endpoint", urls[0]); err != nil {
		shown := clean(withoutQuery(urls[0]))
		return "", fmt.Errorf("the catalog's image endpoint %q is not usable: set endpoint to the image service's URL", shown)
	}
	return urls[0], nil
}

// oneEndpoint returns an *ambiguousEndpointError unless all URLs are of the same image API.
func oneEndpoint(urls []string) error {
	for _, other := range urls[1:] {
		if sameURL(imageEndpoint(urls[0]), imageEndpoint(other)) {
			continue
		}
		return &ambiguousEndpointError{urls[0], other}
	}
	return nil
}

// ambiguousEndpointError is the error of a catalog with two image APIs: their order would decide which one is read.
type ambiguousEndpointError struct{ first, second string }

func (e *ambiguousEndpointError) Error() string {
	return fmt.Sprintf("the catalog has two image endpoints for this region and interface, %s and %s: "+
		"set endpoint to the one to use",
		clean(withoutQuery(e.first)), clean(withoutQuery(e.second)))
}

func imageEndpoint(raw string) string {
	return withVersion(raw, "v2", "v2.0", "v1")
}

// withVersion replaces the version at the end of a URL, if there is one, and ends the URL with a slash.
func withVersion(raw, version string, others ...string) string {
	base := strings.TrimRight(raw, "/")
	for _, v := range append(others, version) {
		if trimmed, ok := strings.CutSuffix(base, "/"+v); ok {
			base = strings.TrimRight(trimmed, "/")
			break
		}
	}
	return base + "/" + version + "/"
}

func unique(names []string) []string {
	sorted := slices.Clone(names)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

func joined(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return clean(strings.Join(unique(names), ", "))
}
