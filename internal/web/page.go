package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-kit/log/level"
)

// Limits of a page, so that a browser stays fast. The most severe images come first, and the page shows how many are
// left out.
const (
	maxImages  = 2_000  // images
	maxRows    = 10_000 // rows of members in all
	imageRows  = 100    // rows of members of one image
	singleRows = 2_000  // rows of members of an image that is shown alone
	maxQuery   = 256    // bytes of a parameter
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// statusPage shows the results of the last scrapes. It sends no request to a cloud.
type statusPage struct {
	opts     Options
	base     string // path prefix of the pages in the client's URLs
	metrics  string // path of the metrics in the client's URLs
	links    []link
	template *template.Template
	policy   string
	build    string
	people   *people
}

type link struct{ Address, Text string }

func newStatusPage(opts Options, prefix, telemetry string, people *people) (*statusPage, error) {
	parsed, err := template.New("page").Funcs(template.FuncMap{"anchor": strings.ToLower}).Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	all := sha256.Sum256([]byte(pageHTML + pageCSS + pageJS))
	return &statusPage{
		opts: opts, base: prefix, metrics: prefix + telemetry, template: parsed, build: base64.RawURLEncoding.EncodeToString(all[:9]),
		people: people,
		policy: contentPolicy("style-src "+hashOf(pageCSS), "script-src "+hashOf(pageJS), "img-src data:", "connect-src 'self'",
			"form-action 'self'"),
		links: []link{
			{prefix + telemetry, "Metrics"},
			{prefix + "/sd", "Targets"},
			{prefix + "/config", "Configuration"},
			{prefix + "/runbooks", "Runbooks"},
			{prefix + "/-/healthy", "Health"},
			{prefix + "/-/ready", "Readiness"},
		},
	}, nil
}

// hashOf returns the source expression of a Content-Security-Policy for inline text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// view is the page for the template.
type view struct {
	Base, Version, Build string
	CSS                  template.CSS
	JS                   template.JS
	Icon                 template.URL
	Now                  moment
	Links                []link
	Clouds               []*cloudView
	Names                []string // of the clouds, in the order of the configuration
	CloudsOpen           bool
	Verdict              verdict
	Filter               filter
	Shows                string
	CSV, JSON            string // addresses of the same images in these formats
	Notes                []string
	Groups               []*group
}

func (p *statusPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.people.serve(w, r, p.policy, func(ctx context.Context, to io.Writer) error {
		err := p.render(ctx, to, filterOf(r.URL.Query()), time.Now())
		if err != nil && ctx.Err() == nil {
			_ = level.Error(p.opts.Logger).Log("msg", "rendering the status page", "err", err)
		}
		return err
	})
}

func (p *statusPage) render(ctx context.Context, w io.Writer, f filter, now time.Time) error {
	v := &view{
		Base: p.base, Version: p.opts.Version, Build: p.build, CSS: template.CSS(pageCSS), JS: template.JS(pageJS),
		Now: moment{now, now}, Links: p.links, Filter: f,
		CSV: p.base + "/shares.csv" + f.query(), JSON: p.base + "/shares.json" + f.query(),
	}
	v.Clouds = p.clouds(ctx, now)
	for _, c := range v.Clouds {
		v.Names = append(v.Names, c.Name)
	}
	if f.Cloud != "" && !slices.Contains(v.Names, f.Cloud) {
		v.Notes = append(v.Notes, "The configuration has no cloud "+quoted(f.Cloud)+".")
	}
	v.Verdict = p.judge(v.Clouds)
	v.Icon = icon(v.Verdict.Class)
	if err := p.list(ctx, v); err != nil {
		return err
	}
	// The least complete cloud comes first.
	slices.SortStableFunc(v.Clouds, func(a, b *cloudView) int { return cmp.Compare(a.Condition, b.Condition) })
	v.CloudsOpen = len(v.Clouds) <= 4 || len(v.Clouds) > 0 && v.Clouds[0].Condition < readWhole
	return p.template.Execute(w, v)
}

// clouds returns what the last scrapes read. It stops early when ctx is done.
func (p *statusPage) clouds(ctx context.Context, now time.Time) (views []*cloudView) {
	clouds, release := p.opts.Clouds()
	defer release()
	for _, c := range clouds {
		if ctx.Err() == nil {
			views = append(views, newCloudView(c, p.metrics, p.base+"/probe", now))
		}
	}
	return views
}

// list selects the images to show. It returns early with the error of ctx when that is done.
func (p *statusPage) list(ctx context.Context, v *view) error {
	var found []*entry
	all := 0
	for _, c := range v.Clouds {
		all += len(c.entries)
		for _, e := range c.entries {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if v.Filter.takes(e, e.part.Snapshot) {
				found = append(found, e)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.severity, b.severity), strings.Compare(a.img.Name, b.img.Name), strings.Compare(a.img.ID, b.img.ID),
			strings.Compare(a.cloud, b.cloud))
	})
	watched, others := tally(found)
	rows := maxRows
	for i, e := range found[:min(len(found), maxImages)] {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i == 0 || e.severity != found[i-1].severity {
			g := groups[e.severity]
			g.Title, g.Count = groupTitle(e.severity, watched[e.severity], others[e.severity]), watched[e.severity]+others[e.severity]
			v.Groups = append(v.Groups, &g)
		}
		most := imageRows
		if v.Filter.Image != "" {
			most = singleRows
		}
		img := p.image(e, min(most, rows))
		rows -= len(img.Rows)
		img.Open = e.severity == critical && i < 100 || e.severity <= warning && watched[e.severity]+others[e.severity] <= 5 || len(found) <= 3
		g := v.Groups[len(v.Groups)-1]
		g.Images = append(g.Images, img)
	}
	v.Shows = "Showing " + number(len(found)) + " of " + count(all, "image", "images") + "."
	if all == 0 {
		v.Shows = "No image to show."
	}
	if left := len(found) - maxImages; left > 0 {
		v.Notes = append(v.Notes, "Showing the "+number(maxImages)+" most severe. "+number(left)+" more match: filter by text, cloud or "+
			"problems to see them.")
	}
	v.Notes = append(v.Notes, nothing(v, len(found))...)
	return nil
}

// nothing returns lines about why no image is shown.
func nothing(v *view, found int) []string {
	if found > 0 {
		return nil
	}
	var unseen []string
	for _, c := range v.Clouds {
		if !c.Seen() && (v.Filter.Cloud == "" || v.Filter.Cloud == c.Name) {
			unseen = append(unseen, c.Name)
		}
	}
	lines := []string{}
	switch {
	case !v.Filter.Any() && len(unseen) > 0:
		return append(lines, count(len(unseen), "cloud was", "clouds were")+" not read, so the images there "+
			"are unknown: "+listed(unseen, len(unseen))+".")
	case v.Filter.Image != "":
		lines = append(lines, "The last scrapes watched no image "+quoted(v.Filter.Image)+".")
		for _, c := range v.Clouds {
			for i, img := range c.left {
				if img.ID == v.Filter.Image && (v.Filter.Cloud == "" || v.Filter.Cloud == c.Name) {
					lines = append(lines, departed(c.left[i:i+1])...)
				}
			}
		}
	case v.Filter.Any():
		lines = append(lines, "No image matches this filter.")
	default:
		lines = append(lines, "The last scrapes watched no image.")
	}
	if len(unseen) > 0 {
		lines = append(lines, "This does not cover "+count(len(unseen), "cloud that was", "clouds that were")+" not read: "+
			listed(unseen, len(unseen))+".")
	}
	return lines
}
