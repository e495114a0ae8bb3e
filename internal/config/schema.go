package config

import (
	"cmp"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"

	"glance_share_exporter/collector"
)

// document is the content of exporter.yml.
type document struct {
	Scrape       scrape                `yaml:"scrape"`
	MemberNames  map[string]string     `yaml:"member_names,omitempty"`
	MemberGroups map[string]memberList `yaml:"member_groups,omitempty"`
	Clouds       []entry               `yaml:"clouds"`
}

// scrape holds nil where the file has no key.
type scrape struct {
	Timeout        *model.Duration `yaml:"timeout"`
	TimeoutOffset  *model.Duration `yaml:"timeout_offset"`
	RequestTimeout *model.Duration `yaml:"request_timeout"`
	Concurrency    *int            `yaml:"concurrency"`
	PerSecond      *float64        `yaml:"requests_per_second"`
	Discovery      *model.Duration `yaml:"discovery_interval"`
	Refresh        *model.Duration `yaml:"refresh_interval"`
	MaxStaleness   *model.Duration `yaml:"max_staleness"`
}

// or returns s with the values of other where s has none.
func (s scrape) or(other scrape) scrape {
	return scrape{
		Timeout: cmp.Or(s.Timeout, other.Timeout), TimeoutOffset: cmp.Or(s.TimeoutOffset, other.TimeoutOffset),
		RequestTimeout: cmp.Or(s.RequestTimeout, other.RequestTimeout), Concurrency: cmp.Or(s.Concurrency, other.Concurrency),
		PerSecond: cmp.Or(s.PerSecond, other.PerSecond), Discovery: cmp.Or(s.Discovery, other.Discovery),
		Refresh: cmp.Or(s.Refresh, other.Refresh), MaxStaleness: cmp.Or(s.MaxStaleness, other.MaxStaleness),
	}
}

// apply sets the options. No field of s may be nil.
func (s scrape) apply(o *collector.Options) {
	o.Timeout = time.Duration(*s.Timeout)
	o.TimeoutOffset = time.Duration(*s.TimeoutOffset)
	o.RequestTimeout = time.Duration(*s.RequestTimeout)
	o.Concurrency = *s.Concurrency
	o.DiscoveryInterval = time.Duration(*s.Discovery)
	o.RefreshInterval = time.Duration(*s.Refresh)
	o.MaxStaleness = time.Duration(*s.MaxStaleness)
}

func defaultScrape() scrape {
	o := collector.DefaultOptions()
	duration := func(d time.Duration) *model.Duration { return new(model.Duration(d)) }
	return scrape{
		Timeout: duration(o.Timeout), TimeoutOffset: duration(o.TimeoutOffset), RequestTimeout: duration(o.RequestTimeout),
		Concurrency: &o.Concurrency, PerSecond: new(0.0),
		Discovery: duration(o.DiscoveryInterval), Refresh: duration(o.RefreshInterval), MaxStaleness: duration(o.MaxStaleness),
	}
}

// Where a cloud is scraped.
const (
	viaMetrics = "metrics" // with the others
	viaProbe   = "probe"   // alone
)

// entry is an entry of clouds.
type entry struct {
	Name            string                      `yaml:"name"`
	API             string                      `yaml:"api"`
	Auth            auth                        `yaml:"auth"`
	MembersAPI      string                      `yaml:"members_api,omitempty"`
	Projects        projectList                 `yaml:"projects,omitempty"`
	ProjectsExcept  idList                      `yaml:"projects_except,omitempty"`
	AdminRoles      roleList                    `yaml:"admin_roles"`
	Region          string                      `yaml:"region,omitempty"`
	Interface       string                      `yaml:"interface,omitempty"`
	Endpoint        string                      `yaml:"endpoint,omitempty"`
	HTTP            promconfig.HTTPClientConfig `yaml:"http"`
	Scrape          scrape                      `yaml:"scrape"`
	ScrapeVia       string                      `yaml:"scrape_via"`
	Shards          *int                        `yaml:"shards,omitempty"`
	MembersFor      visibilityList              `yaml:"members_for"`
	MembersLimit    int                         `yaml:"members_limit"`
	MemberDetails   bool                        `yaml:"member_details"`
	ResolveNames    bool                        `yaml:"resolve_project_names,omitempty"`
	ExpectedMembers *memberList                 `yaml:"expected_members,omitempty"` // nil: not checked; empty: nobody is expected
	Inbound         *inbound                    `yaml:"inbound,omitempty"`
	Images          []image                     `yaml:"images,omitempty"`
	ImagesFiles     globList                    `yaml:"images_files,omitempty"`
	Discover        []rule                      `yaml:"discover,omitempty"`
}

func (e *entry) setDefaults() {
	o := collector.DefaultOptions()
	e.API = "glance"
	e.ScrapeVia = viaMetrics
	e.AdminRoles = o.AdminRoles
	e.HTTP = promconfig.DefaultHTTPClientConfig
	e.MembersLimit = o.MembersLimit
	e.MemberDetails = o.MemberDetails
}

func (entry) example() string {
	return "{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [" + image{}.example() + "]}"
}

// projectList has IDs, or the word all.
type projectList []string

func (projectList) wanted() string {
	return "all, or a list such as [edc89b490d7d4392898e19b2deb34797]"
}

func (p *projectList) setWord(word string) { *p = projectList{word} }

const allProjects = "all"

// Lists of words, each with its own example.
type (
	visibilityList []string
	tagList        []string
	idList         []string
	roleList       []string
)

func (visibilityList) wanted() string { return "a list such as [shared, private]" }
func (tagList) wanted() string        { return "a list such as [golden]" }
func (idList) wanted() string         { return "a list such as [" + member{}.example() + "]" }
func (roleList) wanted() string       { return "a list such as [admin]" }

type image struct {
	ID                 string         `yaml:"id"`
	Name               string         `yaml:"name,omitempty"`
	ExpectedMembers    *memberList    `yaml:"expected_members,omitempty"`
	ExpectedVisibility visibilityList `yaml:"expected_visibility,omitempty"`

	file string // of images_files; empty: exporter.yml
}

// MarshalYAML implements yaml.Marshaler. A comment has the file of an image that is not in exporter.yml.
func (img image) MarshalYAML() (any, error) {
	type plain image // without this method
	if img.file == "" {
		return plain(img), nil
	}
	var n yaml.Node
	err := n.Encode(plain(img))
	n.HeadComment = "# " + oneLine(img.file)
	return &n, err
}

func (image) example() string { return "{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}" }

// rule is a rule of discover.
type rule struct {
	Tags               tagList        `yaml:"tags,omitempty"`
	Name               string         `yaml:"name,omitempty"`
	Visibility         visibilityList `yaml:"visibility,omitempty"`
	Owners             idList         `yaml:"owners,omitempty"`
	Skip               bool           `yaml:"skip,omitempty"`
	ExpectedMembers    *memberList    `yaml:"expected_members,omitempty"`
	ExpectedVisibility visibilityList `yaml:"expected_visibility,omitempty"`
}

func (rule) example() string { return "{tags: [golden]}" }

// auth has exactly one of these kinds.
type auth struct {
	CloudsYAML            *cloudsYAMLAuth `yaml:"clouds_yaml,omitempty"`
	Env                   *envAuth        `yaml:"env,omitempty"`
	Password              *passwordAuth   `yaml:"password,omitempty"`
	ApplicationCredential *appCredAuth    `yaml:"application_credential,omitempty"`
	Token                 *tokenAuth      `yaml:"token,omitempty"`
	AKSK                  *akskAuth       `yaml:"aksk,omitempty"`
	ECSAgency             *agencyAuth     `yaml:"ecs_agency,omitempty"`
	None                  *noneAuth       `yaml:"none,omitempty"`
}

func (auth) example() string { return "{clouds_yaml: {cloud: prod}}" }

type cloudsYAMLAuth struct {
	Cloud string `yaml:"cloud"`
	File  string `yaml:"file,omitempty"`
}

func (cloudsYAMLAuth) example() string { return "{cloud: prod}" }

type envAuth struct{}

func (envAuth) example() string { return "{}" }

type passwordAuth struct {
	AuthURL           string            `yaml:"auth_url"`
	Username          string            `yaml:"username,omitempty"`
	UserID            string            `yaml:"user_id,omitempty"`
	UserDomainName    string            `yaml:"user_domain_name,omitempty"`
	UserDomainID      string            `yaml:"user_domain_id,omitempty"`
	Password          promconfig.Secret `yaml:"password,omitempty"`
	PasswordFile      string            `yaml:"password_file,omitempty"`
	ProjectName       string            `yaml:"project_name,omitempty"`
	ProjectID         string            `yaml:"project_id,omitempty"`
	ProjectDomainName string            `yaml:"project_domain_name,omitempty"`
	ProjectDomainID   string            `yaml:"project_domain_id,omitempty"`
}

type appCredAuth struct {
	AuthURL        string            `yaml:"auth_url"`
	ID             string            `yaml:"id,omitempty"`
	Name           string            `yaml:"name,omitempty"`
	Username       string            `yaml:"username,omitempty"`
	UserDomainName string            `yaml:"user_domain_name,omitempty"`
	Secret         promconfig.Secret `yaml:"secret,omitempty"`
	SecretFile     string            `yaml:"secret_file,omitempty"`
}

type tokenAuth struct {
	AuthURL   string            `yaml:"auth_url,omitempty"`
	Token     promconfig.Secret `yaml:"token,omitempty"`
	TokenFile string            `yaml:"token_file,omitempty"`
	ProjectID string            `yaml:"project_id,omitempty"`
}

type akskAuth struct {
	AccessKey         string            `yaml:"access_key,omitempty"`
	SecretKey         promconfig.Secret `yaml:"secret_key,omitempty"`
	SecretKeyFile     string            `yaml:"secret_key_file,omitempty"`
	SecurityToken     promconfig.Secret `yaml:"security_token,omitempty"`
	SecurityTokenFile string            `yaml:"security_token_file,omitempty"`
	CredentialFile    string            `yaml:"credential_file,omitempty"`
	ProjectID         string            `yaml:"project_id"`
}

type agencyAuth struct {
	ProjectID   string `yaml:"project_id"`
	MetadataURL string `yaml:"metadata_url,omitempty"`
}

type noneAuth struct {
	ProjectID string `yaml:"project_id"`
}

func (noneAuth) example() string { return "{project_id: edc89b490d7d4392898e19b2deb34797}" }
