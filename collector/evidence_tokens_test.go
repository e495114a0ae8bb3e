package collector_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// swapping is a bench whose token is used as it is, as one from token_file, and can be replaced. The configuration says that it
// is the producer's.
func swapping(
	t *testing.T, w *fakecloud.Cloud, opts collector.Options, f func(t *testing.T, b *bench, use func(user, project string)),
) {
	synctest.Test(t, func(t *testing.T) {
		token := w.Token("producer", producer)
		auth := func() (gophercloud.AuthOptions, error) { return gophercloud.AuthOptions{TokenID: token}, nil }
		b := newBenchWith(t, w, client.Options{ProjectID: producer, Endpoint: "http://cloud.test/image", Auth: auth}, opts)
		f(t, b, func(user, project string) { token = w.Token(user, project) })
	})
}

// Another token, of another project, does not inherit what the one before has proven.
func TestE6AnotherToken(t *testing.T) {
	t.Run("members", func(t *testing.T) {
		swapping(t, newWorld(), forNobody(shared, empty, hidden, private), func(t *testing.T, b *bench, use func(user, project string)) {
			reportsAll(t, b, 0, "shared=all:3")
			use("consumer-a", consumerA)
			neverReports(t, b, 3, time.Minute, "shared=all")
		})
	})
	t.Run("discovery", func(t *testing.T) {
		w := newWorld()
		w.RemoveImage(community) // which would contradict the listing
		swapping(t, w, findingForNobody(collector.Rule{}), func(t *testing.T, b *bench, use func(user, project string)) {
			reportsAll(t, b, 0, "shared=all:3", "discovery=1")
			use("consumer-a", consumerA)
			neverReports(t, b, 3, time.Minute, "shared=all", "discovery=1", "=deleted")
		})
	})
	t.Run("inbound", func(t *testing.T) {
		opts := withInbound(forNobody(shared, private))
		swapping(t, newInboundWorld(fakecloud.Options{}), opts, func(t *testing.T, b *bench, use func(user, project string)) {
			reportsAll(t, b, 0, "inbound=1")
			use("consumer-b", consumerB)
			neverReports(t, b, 4, time.Minute, "inbound=1")
		})
	})
}

// Where nobody confirms whose the token is, a 404 may be for want of rights.
func TestE15UnconfirmedProject(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		swapping(t, newWorld(), findingForNobody(collector.Rule{}), func(t *testing.T, b *bench, use func(user, project string)) {
			use("consumer-a", consumerA)
			reportsAll(t, b, 0, "shared=some:1")
			b.world.Unshare(shared, consumerA)
			neverReports(t, b, 3, time.Minute, "=deleted")
		})
	})
	t.Run("another token, long after", func(t *testing.T) {
		w := newWorld()
		w.RemoveImage(community)
		swapping(t, w, findingForNobody(collector.Rule{}), func(t *testing.T, b *bench, use func(user, project string)) {
			reportsAll(t, b, 0, "shared=all:3")
			time.Sleep(10 * time.Minute)
			use("consumer-a", consumerA)
			neverReports(t, b, 3, time.Minute, "=deleted")
		})
	})
}

// jsonHeader is that of an injected response.
var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// recordOf is an image's record in JSON.
func recordOf(id, owner, visibility string) string {
	return `{"id": "` + id + `", "name": "x", "owner": "` + owner + `", "visibility": "` + visibility +
		`", "status": "active", "os_hidden": false, "tags": []}`
}

// The view's project in another spelling is no other owner: MySQL takes it for the view's own.
func TestE9OwnerInAnotherSpelling(t *testing.T) {
	t.Run("rows", func(t *testing.T) {
		w := newWorld()
		w.AddImage(fakecloud.Image{ID: theirs, Name: "theirs", Owner: strings.ToUpper(consumerC)})
		w.Share(theirs, consumerC) // so that the fake shows it
		w.AddImage(fakecloud.Image{ID: others, Name: "others", Owner: consumerB})
		w.Share(others, consumerC)
		w.Share(others, consumerA)
		w.Inject(fakecloud.Fault{Match: about("list_members", theirs), Status: 200, Body: rowsOf(consumerA), Header: jsonHeader})
		bubble(t, w, user("consumer-c"), forNobody(others, theirs), func(t *testing.T, b *bench) {
			neverReports(t, b, 3, time.Minute, "others=all")
		})
	})
	t.Run("a private image", func(t *testing.T) {
		w := newWorld()
		w.SetPolicy(fakecloud.Policy{ContextIsAdmin: func([]string) bool { return false }})
		w.AddUser("consumer-c", "consumer-c-secret", consumerC, "admin")
		w.Inject(fakecloud.Fault{
			Match: list(false, "visibility=all"), Status: 200, Header: jsonHeader,
			Body: `{"images": [` + recordOf(theirs, strings.ToUpper(consumerC), "private") + `]}`,
		})
		w.Inject(fakecloud.Fault{
			Match: about("list_members", theirs), Status: 403, Header: jsonHeader,
			Body: `{"message": "Only shared images have members.<br /><br />\n\n\n", "code": "403 Forbidden", "title": "Forbidden"}`,
		})
		opts := findingForNobody(collector.Rule{Owners: []string{collector.AllOwners}})
		bubble(t, w, user("consumer-c"), opts, func(t *testing.T, b *bench) {
			neverReports(t, b, 3, time.Minute, "discovery=1")
		})
	})
}

// Rows of other owners do not show that the listed owner's images are visible.
func TestE13RowsOfOtherOwners(t *testing.T) {
	w := newWorld()
	w.Inject(fakecloud.Fault{
		Match:  func(r fakecloud.Request) bool { return listings(r) && !strings.Contains(r.RawQuery, "os_hidden") },
		Status: 200, Header: jsonHeader, Body: `{"images": [` + recordOf(others, admins, "public") + `]}`,
	})
	w.Inject(fakecloud.Fault{
		Match: func(r fakecloud.Request) bool { return listings(r) || strings.Contains(r.RawQuery, "limit=100") }, Blank: true,
	})
	bubble(t, w, user("producer"), findingForNobody(collector.Rule{}), func(t *testing.T, b *bench) {
		neverReports(t, b, 3, time.Minute, "discovery=1")
	})
}

// A page that was requested earlier and arrives later does not replace a record.
func TestE5AnOlderRecordArrivesLater(t *testing.T) {
	w := newWorldWith(fakecloud.Options{MaxPageSize: 1})
	bubble(t, w, user("producer"), findingForNobody(collector.Rule{}), func(t *testing.T, b *bench) {
		reportsAll(t, b, 0, "empty=all:0")
		time.Sleep(time.Minute)
		w.SetImage(empty, func(img *fakecloud.Image) { img.Hidden, img.CreatedAt = true, img.CreatedAt.Add(time.Hour) }) // the last one
		w.Share(empty, consumerA)
		w.Inject(fakecloud.Fault{
			Match: list(false, "sort="), Times: 1, Status: 200, Header: jsonHeader, Latency: 4 * time.Second,
			Body: `{"images": [` + recordOf(shared, producer, "shared") + `,` + recordOf(empty, producer, "private") + `]}`,
		})
		w.Inject(fakecloud.Fault{Match: list(true, "sort="), Times: 1, Latency: time.Second}) // before the page with the image
		w.Inject(fakecloud.Fault{Match: about("list_members", empty), Status: 503})
		neverReports(t, b, 1, 0, "empty=none")
	})
}

// Nor is an inbound image gone then.
func TestE15InboundOfAnUnconfirmedProject(t *testing.T) {
	opts := withInbound(forNobody(shared, private))
	swapping(t, newInboundWorld(fakecloud.Options{}), opts, func(t *testing.T, b *bench, use func(user, project string)) {
		reportsAll(t, b, 0, "in:debian-12=", "in:base=")
		use("consumer-b", consumerB)
		for range 4 {
			reportsAll(t, b, time.Minute, "inbound=0", "in:debian-12=", "in:base=")
		}
	})
}
