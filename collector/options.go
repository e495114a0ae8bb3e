package collector

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"glance_share_exporter/client"
)

// Options are what a [Cloud] collects and how.
type Options struct {
	// Name is the value of the label cloud.
	Name string
	// API is the kind of the cloud's image API, default [client.Glance].
	API client.API
	// ByProbe is whether the cloud is excluded from scrapes of all clouds and scraped alone instead. The collector only
	// stores it.
	ByProbe bool

	// Shards is the number of shards in which the cloud is announced as targets if it is scraped alone; 0: one.
	Shards int

	// Projects is whether the credential is for several projects, which metrics then name.
	Projects bool
	// ConfigHash is a number of at most 53 bits that differs if the configuration watches or expects something else. The
	// collector only exports it.
	ConfigHash uint64

	// Timeout is the maximum duration of a run, whatever the scrape allows; 0: only the scrape limits it.
	Timeout time.Duration
	// TimeoutOffset is the least time to subtract from the scrape's timeout, but at most half of that is.
	TimeoutOffset time.Duration
	// RequestTimeout bounds one request; 0: half of the time left when it starts, and at most 10 s unless it is a listing.
	RequestTimeout time.Duration
	// Concurrency is the maximum number of requests in flight, all shards together.
	Concurrency int

	// DiscoveryInterval is how long the result of listings is used; 0: for one run.
	DiscoveryInterval time.Duration
	// RefreshInterval is the interval of background runs; 0: each scrape collects.
	RefreshInterval time.Duration
	// MaxStaleness is the maximum age of readings from earlier runs: in the background, and of images that are read in
	// turns; 0: three times RefreshInterval, or an hour if each scrape collects.
	MaxStaleness time.Duration

	// AdminRoles are the roles of a token that sees all members of every project's images.
	AdminRoles []string
	// MembersFor are the visibilities of the images that have members. They always include client.Shared.
	MembersFor []client.Visibility
	// MembersLimit is the cloud's quota of members per image; 0: none.
	MembersLimit int
	// MemberDetails is whether there are series per member besides the counts.
	MemberDetails bool
	// MemberNames has names for member IDs.
	MemberNames map[string]string
	// ResolveNames is whether to request the names of projects from Keystone, which are shown beside their IDs.
	ResolveNames bool

	// Images are the watched images. They keep their own policy even if a rule of Discover selects them.
	Images []Image
	// Discover selects more images to watch, among all that the credential can list. The first rule that selects an image
	// counts.
	Discover []Rule
	// Inbound selects the images that others share with the credential's projects; nil: they are not requested.
	Inbound *Inbound
}

// Image is one watched image.
type Image struct {
	ID string
	// Name is the value of the label image_name; empty: the first name that the API returns.
	Name   string
	Policy Policy
}

// DefaultOptions returns the default options.
func DefaultOptions() Options {
	return Options{
		API:           client.Glance,
		TimeoutOffset: 500 * time.Millisecond,
		Concurrency:   8,
		AdminRoles:    []string{"admin"},
		MembersFor:    DefaultMembersFor(client.Glance),
		MembersLimit:  128,
		MemberDetails: true,
	}
}

// DefaultMembersFor returns the default of [Options].MembersFor. On Huawei Cloud, an image with visibility private may
// be shared.
func DefaultMembersFor(api client.API) []client.Visibility {
	if api == client.IMS {
		return []client.Visibility{client.Shared, client.Private}
	}
	return []client.Visibility{client.Shared}
}

// fullServerLimit is Huawei Cloud's maximum number of members of an image of a full server.
const fullServerLimit = 10

// membersLimit returns the quota of members of an image whose record may be nil; 0: none.
func (o *Options) membersLimit(record *client.Image) int {
	if record != nil && record.FullServer && o.MembersLimit > fullServerLimit {
		return fullServerLimit
	}
	return o.MembersLimit
}

var (
	cloudName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`)
	imageID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// Validate returns a *[client.OptionError] for the first invalid option.
func (o Options) Validate() error {
	bad := optionError
	switch {
	case o.Name == "":
		return bad("name", "is required: write a name, the value of the label cloud")
	case !cloudName.MatchString(o.Name):
		return bad("name", "%q must be 1 to 128 letters, digits, dots, dashes and underscores, and begin with a letter or digit, "+
			"as in prod-eu1", o.Name)
	case o.Timeout < 0:
		return bad("scrape.timeout", "must not be negative: write 0s for Prometheus' own timeout")
	case o.TimeoutOffset < 0:
		return bad("scrape.timeout_offset", "must not be negative")
	case o.Timeout > 0 && o.TimeoutOffset >= o.Timeout:
		return bad("scrape.timeout_offset", "must be less than timeout, %s", o.Timeout)
	case o.RequestTimeout < 0:
		return bad("scrape.request_timeout", "must not be negative: write 0s for half of the time left")
	case o.Concurrency < 1 || o.Concurrency > 1000:
		return bad("scrape.concurrency", "must be from 1 to 1000, not %d", o.Concurrency)
	case o.DiscoveryInterval < 0:
		return bad("scrape.discovery_interval", "must not be negative: write 0s to list images for each collection")
	case o.RefreshInterval < 0 || o.RefreshInterval > 0 && o.RefreshInterval < time.Second:
		return bad("scrape.refresh_interval", "must be at least 1s, or 0s to collect for each scrape")
	case o.RefreshInterval > 0 && o.Timeout > o.RefreshInterval:
		return bad("scrape.timeout", "must not be more than refresh_interval: write %s at most", o.RefreshInterval)
	case o.MaxStaleness != 0 && o.RefreshInterval == 0 && (o.API != client.IMS || len(o.Discover) == 0):
		return bad("scrape.max_staleness", "has no effect without refresh_interval, or api ims with discover: remove it")
	case o.MaxStaleness < 0 || o.MaxStaleness > 0 && o.MaxStaleness < o.RefreshInterval:
		return bad("scrape.max_staleness", "must be at least refresh_interval, %s, or 0s for three times that", o.RefreshInterval)
	case o.Shards < 0 || o.Shards > MaxShards:
		return bad("shards", "must be from 1 to %d", MaxShards)
	case o.Shards > 0 && !o.ByProbe:
		return bad("shards", "requires scrape_via: probe, because /metrics always has all images of a cloud: write that too, or remove shards")
	case o.Shards > 0 && o.RefreshInterval > 0:
		return bad("shards", "is not supported with refresh_interval: collect a shard for each scrape, or the entire cloud in the background")
	case o.ResolveNames && o.API != client.Glance:
		return bad("resolve_project_names", "is only for api: glance, because IAM has no names of other accounts' projects: remove it")
	case o.MembersLimit < 0:
		return bad("members_limit", "must not be negative: write 0 where the cloud has no quota")
	case len(o.MembersFor) == 0:
		return bad("members_for", "must not be empty: remove the key for [shared]")
	case len(o.Images) == 0 && len(o.Discover) == 0 && o.Inbound == nil:
		return bad("images", "is required: list at least one image, as in images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}], or write "+
			"discover: [{}] for all images of the credential's project")
	}
	if err := visibilities("members_for", o.MembersFor); err != nil {
		return err
	}
	if !slices.Contains(o.MembersFor, client.Shared) {
		// Otherwise every shared image would count as usable by its owner only.
		return bad("members_for", "must contain shared, because shared images have members: set [shared, %s]", o.MembersFor[0])
	}
	if err := o.Inbound.validate(); err != nil {
		return err
	}
	seen := make(map[string]int, len(o.Images))
	for i, img := range o.Images {
		field := fmt.Sprintf("images[%d].id", i)
		if img.ID == "" {
			return bad(field, "is required: write the image's UUID")
		}
		if !imageID.MatchString(img.ID) {
			return bad(field, "%q is not an image ID: write the UUID in lower case, as `openstack image list` shows it", img.ID)
		}
		if first, ok := seen[img.ID]; ok {
			return bad(field, "%s duplicates images[%d]: remove one", img.ID, first)
		}
		seen[img.ID] = i
		if err := img.Policy.validate(fmt.Sprintf("images[%d]", i)); err != nil {
			return err
		}
	}
	return o.validateRules()
}

// memberName returns the value of the label member_name.
func (o *Options) memberName(id string, expected *ExpectedMember) string {
	if expected != nil && expected.Name != "" {
		return expected.Name
	}
	return o.MemberNames[id]
}
