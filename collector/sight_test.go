package collector_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

func about(operation, image string) func(fakecloud.Request) bool {
	return func(r fakecloud.Request) bool {
		return (operation == "" || r.Operation == operation) && (image == "" || r.ImageID == image)
	}
}

// Each case is a row of the table "What is reported when the view is incomplete", or a way into one. The goldens are what
// Prometheus gets.
func TestWhatIsSaid(t *testing.T) {
	all := []string{shared, empty, private, community, public, hidden, absent}
	tests := []struct {
		name   string
		auth   func() (gophercloud.AuthOptions, error)
		images []string
		opts   func(*collector.Options)
		world  func(*fakecloud.Cloud)
	}{
		{name: "owner", auth: user("producer"), images: all},
		{name: "admin", auth: user("admin"), images: []string{shared, community, absent}},
		{name: "member", auth: user("consumer-a"), images: []string{shared, private, community}},
		{name: "access-rules", auth: appCredential("rules"), images: []string{shared, empty, public}},
		{name: "access-rules-without-list", auth: appCredential("no-list"), images: []string{shared, hidden, public, absent}},
		{name: "names", auth: user("producer"), images: []string{shared}, opts: func(o *collector.Options) {
			o.Images[0].Name = "the golden one"
			o.MemberNames = map[string]string{consumerA: "team-a"}
			o.MembersLimit = 0
		}},
		{
			name:   "no-member-details",
			auth:   user("producer"),
			images: []string{shared},
			opts:   func(o *collector.Options) { o.MemberDetails = false },
		},
		{name: "private-has-members", auth: user("producer"), images: []string{private}, opts: func(o *collector.Options) {
			o.MembersFor = []client.Visibility{client.Shared, client.Private}
		}},
		{name: "forbidden", auth: user("producer"), images: []string{shared}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusForbidden})
		}},
		{name: "records-broken", auth: user("producer"), images: []string{shared, public}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusInternalServerError})
		}},
		{name: "records-not-by-list", auth: user("producer"), images: []string{shared, hidden, absent}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_images", ""), Status: http.StatusBadRequest})
		}},
		{name: "no-owner", auth: user("producer"), images: []string{shared}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{
				Match: about("list_images", ""), Status: http.StatusOK,
				Body: `{"images": [{"id": "` + shared + `", "name": "x", "owner": null, "visibility": "shared", "status": "active"}]}`,
			})
		}},
		{name: "new-visibility", auth: user("producer"), images: []string{shared}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{
				Match: about("list_images", ""), Status: http.StatusOK,
				Body: `{"images": [{"id": "` + shared + `", "name": "x", "owner": "` + producer + `", "visibility": "friends", "status": "active"}]}`,
			})
		}},
		{name: "no-members-key", auth: user("producer"), images: []string{shared, empty}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusOK, Body: `{"schema": "/v2/schemas/members"}`})
		}},
		{name: "odd-members", auth: user("producer"), images: []string{shared}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: about("list_members", shared), Status: http.StatusOK, Body: `{"members": [
				{"member_id": "", "status": "pending"}, {"member_id": "a\"b\\c\nd", "status": "new", "created_at": "?"},
				{"member_id": "a", "status": "rejected"}, {"member_id": "a", "status": "accepted", "created_at": "2016-09-01T02:05:14Z"}]}`})
		}},
		{name: "refused-login", auth: func() (gophercloud.AuthOptions, error) {
			ao, err := user("producer")()
			ao.Password = "wrong"
			return ao, err
		}, images: []string{shared}},
		{name: "glance-down", auth: user("producer"), images: []string{shared}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: http.StatusServiceUnavailable})
		}},
		{name: "glance-refuses-all", auth: user("producer"), images: []string{shared}, world: func(w *fakecloud.Cloud) {
			w.Inject(fakecloud.Fault{Match: func(r fakecloud.Request) bool { return r.Service == "image" }, Status: http.StatusUnauthorized})
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := options(test.images...)
			if test.opts != nil {
				test.opts(&opts)
			}
			bubble(t, newWorld(), test.auth, opts, func(t *testing.T, b *bench) {
				if test.world != nil {
					test.world(b.world)
				}
				first := page(t, b.scrape(t))
				golden(t, test.name+".metrics", first)
				// What the first scrape left in memory must not change what is said.
				if diff := cmp.Diff(first, page(t, b.scrape(t))); diff != "" {
					t.Errorf("the second scrape differs:\n%s", diff)
				}
			})
		})
	}
}

func TestExpositionIsLintClean(t *testing.T) {
	bubble(t, newWorld(), user("producer"), options(shared, private, absent), func(t *testing.T, b *bench) {
		for name, c := range map[string]prometheus.Collector{"cloud": collector.Metrics(b.scrape(t)), "API": b.api} {
			if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
				t.Errorf("%s: %v %v", name, problems, err)
			}
		}
	})
}
