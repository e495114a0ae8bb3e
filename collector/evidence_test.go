package collector_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// The tests of the rules about evidence are named after the numbers of the rules, TestE1 to TestE22. internal/mutate breaks
// each rule in the source and requires that one of them fails.

const (
	admins = "ad314dd314dd314dd314dd314dd314dd" // the administrator's project
	theirs = "77777777-cccc-4000-8000-000000000001"
	others = "77777777-cccc-4000-8000-000000000002"
)

// situation is a cloud, a credential and a configuration, and what must be reported in one scrape after another.
type situation struct {
	name    string
	world   func() *fakecloud.Cloud // nil: newWorld
	prepare func(w *fakecloud.Cloud)
	connect func(w *fakecloud.Cloud) client.Options // nil: the producer's login
	proxy   func(w *fakecloud.Cloud) http.Handler   // nil: the cloud itself
	opts    collector.Options
	looks   []look
	check   func(t *testing.T, b *bench) // after the last scrape
}

// look is one scrape.
type look struct {
	after time.Duration
	do    func(b *bench)
	want  string // as reported has it
}

// looks are scrapes with the same result.
func looks(n int, after time.Duration, want string) []look {
	return slices.Repeat([]look{{after: after, want: want}}, n)
}

func inSituations(t *testing.T, situations []situation) {
	t.Helper()
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, s.run)
		})
	}
}

func (s *situation) run(t *testing.T) {
	b := s.bench(t)
	for i, l := range s.looks {
		time.Sleep(l.after)
		if l.do != nil {
			l.do(b)
		}
		if got := reported(t, b.scrape(t)); got != l.want {
			t.Errorf("scrape %d:\ngot  %s\nwant %s\n%s", i+1, got, l.want, strings.Join(b.log.take(), "\n"))
		}
	}
	if s.check != nil {
		s.check(t, b)
	}
}

func (s *situation) bench(t *testing.T) *bench {
	if err := s.opts.Validate(); err != nil {
		t.Fatal(err)
	}
	world := newWorld
	if s.world != nil {
		world = s.world
	}
	b := &bench{world: world(), api: collector.NewAPIMetrics(), log: &logLines{}}
	if s.prepare != nil {
		s.prepare(b.world)
	}
	connection := client.Options{Auth: user("producer")}
	if s.connect != nil {
		connection = s.connect(b.world)
	}
	var handler http.Handler = b.world
	if s.proxy != nil {
		handler = s.proxy(b.world)
	}
	connection.Transport, connection.Observer = fakecloud.InMemory(handler), b.api.Observer(s.opts.Name)
	c, err := client.New(connection)
	if err != nil {
		t.Fatal(err)
	}
	b.client = c
	b.cloud = collector.New(c, s.opts, log.NewLogfmtLogger(b.log))
	t.Cleanup(func() {
		b.cloud.Close()
		c.Close()
	})
	return b
}

// loginOf is a connection by a user's password, in the project of the user's name.
func loginOf(name string) func(*fakecloud.Cloud) client.Options {
	return func(*fakecloud.Cloud) client.Options { return client.Options{Auth: user(name)} }
}

// byToken is a connection with a user's token as it is, which nobody confirms: project is what the configuration says.
func byToken(name, of, project string) func(*fakecloud.Cloud) client.Options {
	return func(w *fakecloud.Cloud) client.Options {
		token := w.Token(name, of)
		return client.Options{ProjectID: project, Endpoint: "http://cloud.test/image", Auth: func() (gophercloud.AuthOptions, error) {
			return gophercloud.AuthOptions{TokenID: token}, nil
		}}
	}
}

// forNobody are options for images that nobody is expected to have.
func forNobody(images ...string) collector.Options {
	opts := options(images...)
	for i := range opts.Images {
		opts.Images[i].Policy.Members = expect()
	}
	return opts
}

// findingForNobody is a rule for images that nobody is expected to have.
func findingForNobody(r collector.Rule) collector.Options {
	r.Policy.Members = expect()
	return discovering(r)
}

// withInbound is options that ask for inbound images too.
func withInbound(opts collector.Options) collector.Options {
	opts.Inbound = &collector.Inbound{Owners: expect(vendor)}
	return opts
}

var projectNames = map[string]string{
	producer: "producer", consumerA: "A", consumerB: "B", consumerC: "C", admins: "admin", vendor: "vendor", stranger: "stranger",
}

// reported is a page in short. Of each image it has success 0 with its code (unread:404; unproven is 200), or none where the
// visibility has no members, or how many members there are: all of them with zeros, or some without. Each member is
// unexpected where members are judged. Then come discovery_success, inbound_success, view_proven and image_left.
func reported(t *testing.T, s collector.Snapshot) string {
	t.Helper()
	page := map[string][]sample{}
	for _, f := range each(s) {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			page[f.GetName()] = append(page[f.GetName()], sample{labels, fmt.Sprint(m.GetGauge().GetValue())})
		}
	}
	var words []string
	for _, success := range page["glance_image_scrape_success"] {
		id := success.labels["image_id"]
		of := func(metric string) (values []string) {
			for _, s := range page[metric] {
				if s.labels["image_id"] == id {
					values = append(values, s.value)
				}
			}
			return values
		}
		words = append(words, shortName(success.labels)+"="+membersReported(t, s, id, success.value, of))
	}
	slices.Sort(words)
	for _, flag := range []string{"discovery_success", "inbound_success"} {
		for _, s := range page["glance_"+flag] {
			words = append(words, strings.TrimSuffix(flag, "_success")+"="+s.value)
		}
	}
	for _, in := range s.Inbound {
		for _, img := range in.Images {
			words = append(words, "in:"+img.Name+"="+string(img.Status))
		}
	}
	for _, s := range page["glance_view_proven"] {
		words = append(words, projectNames[s.labels["project_id"]]+"/"+s.labels["sees"]+"="+s.value)
	}
	for _, s := range page["glance_image_left"] {
		words = append(words, "left:"+shortName(s.labels)+"="+s.labels["reason"])
	}
	return strings.Join(words, " ")
}

func shortName(labels map[string]string) string {
	for _, name := range []string{
		imageNames[labels["image_id"]],
		map[string]string{theirs: "theirs", others: "others"}[labels["image_id"]], labels["image_name"],
	} {
		if name != "" {
			return name
		}
	}
	return labels["image_id"]
}

// membersReported is what a page has about one image's members. It fails the test for a page that contradicts itself.
func membersReported(t *testing.T, s collector.Snapshot, id, success string, of func(metric string) []string) string {
	t.Helper()
	code, complete, counts := strings.Join(of("glance_image_scrape_http_status_code"),
		" "), strings.Join(of("glance_image_members_complete"), " "), of("glance_image_members")
	unexpected, missing := of("glance_image_unexpected_members"), of("glance_image_missing_members")
	n := 0
	for _, count := range counts {
		var k int
		if _, err := fmt.Sscan(count, &k); err != nil {
			t.Error(err)
		}
		n += k
	}
	total := fmt.Sprint(n)
	zeros := len(counts) == len(client.Statuses())
	i := slices.IndexFunc(s.Images, func(img collector.ImageSnapshot) bool { return img.ID == id })
	judged := s.Images[i].Judged()
	switch {
	case success == "0" && complete == "0" && len(counts)+len(unexpected)+len(missing) == 0:
		if code == "200" {
			return "unproven"
		}
		return "unread:" + code
	case success == "1" && code == "200" && complete == "" && len(counts)+len(unexpected)+len(missing) == 0:
		return "none"
	case success == "1" && code == "200" && complete == "1" && zeros &&
		(!judged && len(unexpected)+len(missing) == 0 || judged && slices.Equal(unexpected, []string{total}) &&
			slices.Equal(missing, []string{"0"})):
		return "all:" + total
	case success == "1" && code == "200" && complete == "0" && len(missing) == 0 && !slices.Contains(counts, "0") &&
		((!judged || n == 0) && len(unexpected) == 0 || judged && n > 0 && slices.Equal(unexpected, []string{total})):
		return "some:" + total
	}
	t.Errorf("%s: success %s, code %s, complete %s, members %s, unexpected %s, missing %s", id,
		success, code, complete, counts, unexpected, missing)
	return "contradiction"
}

// requestsOf are the requests of an operation, about one image if it is not empty.
func requestsOf(w *fakecloud.Cloud, operation, image string) (found []fakecloud.Request) {
	match := about(operation, image)
	for _, r := range w.Requests() {
		if match(r) {
			found = append(found, r)
		}
	}
	return found
}

// apart returns the shortest time between two requests that follow each other.
func apart(requests []fakecloud.Request) time.Duration {
	least := time.Duration(1<<63 - 1)
	for i := 1; i < len(requests); i++ {
		least = min(least, requests[i].Time.Sub(requests[i-1].Time))
	}
	return least
}

// wantRequests fails the test unless there were so many requests of an operation, about one image if it is not empty.
func wantRequests(t *testing.T, b *bench, operation, image string, want int) {
	t.Helper()
	if got := len(requestsOf(b.world, operation, image)); got != want {
		t.Errorf("%d requests %s %s, want %d", got, operation, imageNames[image], want)
	}
}

// policy is a step that replaces the policies.
func policy(p fakecloud.Policy) func(*bench) {
	return func(b *bench) { b.world.SetPolicy(p) }
}

// setImage is a step that changes an image's record.
func setImage(id string, f func(*fakecloud.Image)) func(*bench) {
	return func(b *bench) { b.world.SetImage(id, f) }
}

// answerWith is a step that replaces what requests are answered from then on.
func answerWith(match func(fakecloud.Request) bool, status int, body string) func(*bench) {
	return func(b *bench) {
		b.world.ClearFaults()
		b.world.Inject(fakecloud.Fault{Match: match, Status: status, Body: body, Header: http.Header{"Content-Type": {"application/json"}}})
	}
}

// rowsOf is a list of members.
func rowsOf(members ...string) string {
	var rows []string
	for _, m := range members {
		rows = append(rows, `{"member_id": "`+m+`", "status": "accepted"}`)
	}
	return `{"members": [` + strings.Join(rows, ", ") + `], "schema": "/v2/schemas/members"}`
}

func never(fakecloud.Caller) bool     { return false }
func byAdmin(c fakecloud.Caller) bool { return c.HasRole("admin") }
func ofOwn(c fakecloud.Caller) bool   { return c.Own }

// ofImageService matches all requests to the image API.
func ofImageService(r fakecloud.Request) bool { return r.Service == "image" }

// ordinary is a cloud in which others share images, too.
func ordinary() *fakecloud.Cloud {
	w := newWorld()
	w.AddImage(fakecloud.Image{ID: theirs, Name: "theirs", Owner: consumerB, Visibility: "private"})
	w.AddImage(fakecloud.Image{ID: others, Name: "others", Owner: consumerB})
	w.AddMember(others, fakecloud.Member{MemberID: consumerC, Status: "accepted", CreatedAt: t0, UpdatedAt: t0})
	return w
}

const wholeOfProducer = "community=none empty=all:0 hidden=all:1 private=none public=none shared=all:3"

// On an ordinary Glance everything is complete in the first scrape, and stays so.
func TestE2AnOrdinaryGlance(t *testing.T) {
	all := []string{shared, empty, private, community, public, hidden}
	inSituations(t, []situation{
		{name: "owner", opts: forNobody(all...), looks: looks(12, time.Minute, wholeOfProducer+" producer/members=1")},
		{
			name:  "owner, nothing but an image without members",
			opts:  forNobody(empty),
			looks: looks(12, time.Minute, "empty=all:0 producer/members=1"),
		},
		{name: "owner, nothing but a private image", opts: forNobody(private), looks: looks(12, time.Minute, "private=none")},
		{
			name: "owner who discovers", opts: findingForNobody(collector.Rule{}),
			looks: looks(12, time.Minute, wholeOfProducer+" discovery=1 producer/images=1 producer/members=1"),
		},
		{
			name:    "new defaults",
			prepare: func(w *fakecloud.Cloud) { w.SetPolicy(fakecloud.NewDefaults()) },
			opts:    findingForNobody(collector.Rule{}),
			looks:   looks(12, time.Minute, wholeOfProducer+" discovery=1 producer/images=1 producer/members=1"),
		},
		{
			name:    "administrator",
			world:   ordinary,
			connect: loginOf("admin"),
			opts:    forNobody(append(all, theirs, others)...),
			looks: looks(12, time.Minute,
				strings.Replace(wholeOfProducer, "private", "others=all:1 private", 1)+" theirs=none admin/administrator=1 admin/members=1"),
		},
		{
			name: "administrator, nothing but an image without members", connect: loginOf("admin"), opts: forNobody(empty),
			looks: looks(12, time.Minute, "empty=all:0 admin/administrator=1 admin/members=1"),
		},
		{
			name: "administrator, nothing but images with members", connect: loginOf("admin"), opts: forNobody(shared, hidden),
			looks: looks(12, time.Minute, "hidden=all:1 shared=all:3 admin/administrator=1 admin/members=1"),
		},
		{
			name: "administrator who discovers everything", world: ordinary, connect: loginOf("admin"),
			opts: findingForNobody(collector.Rule{Owners: []string{collector.AllOwners}}),
			looks: looks(12, time.Minute, strings.Replace(wholeOfProducer, "private", "others=all:1 private", 1)+
				" theirs=none discovery=1 admin/administrator=1 admin/images=1 admin/members=1"),
		},
		{
			name: "member", connect: loginOf("consumer-a"), opts: forNobody(shared, community, public),
			looks: looks(12, time.Minute, "community=none public=none shared=some:1"),
		},
		{
			name:  "who shares with us",
			world: func() *fakecloud.Cloud { return newInboundWorld(fakecloud.Options{}) },
			opts:  withInbound(forNobody(empty)),
			looks: looks(3, time.Minute, "empty=all:0 inbound=1 in:base=accepted in:base-next=pending in:base-old=accepted "+
				"in:debian-12=pending in:debian-11=rejected producer/images=1 producer/members=1"),
		},
	})
}

// Each image is read in its owner's view.
func TestE2SeveralProjects(t *testing.T) {
	opts := findingForNobody(collector.Rule{})
	projectsBubble(t, nil, opts, func(t *testing.T, b *bench) {
		const views = " B/images=1 producer/images=1 producer/members=1 A/images=1 A/members=1"
		for range 12 {
			got := reported(t, b.scrape(t))
			if want := strings.Replace(wholeOfProducer, "shared", "roamer's=all:2 shared", 1) + " discovery=1" + views; got != want {
				t.Errorf("got  %s\nwant %s\n%s", got, want, strings.Join(b.log.take(), "\n"))
			}
			time.Sleep(time.Minute)
		}
	})
}

// What an ordinary Glance is asked in a minute, when everything is known.
func TestE2RequestsOfAnOrdinaryGlance(t *testing.T) {
	all := []string{shared, empty, private, community, public, hidden}
	for _, test := range []struct {
		name    string
		connect func(*fakecloud.Cloud) client.Options
		opts    collector.Options
		want    string // of each minute
		proofs  string // in ten minutes
	}{
		{"owner", nil, forNobody(all...), "list_images 2 list_members 3", ""},
		{"owner, no list with rows", nil, forNobody(empty, private), "list_images 1 list_members 1", "get_member 3 list_images 3"},
		{"owner who discovers", nil, findingForNobody(collector.Rule{}), "list_images 2 list_members 3", ""},
		// Another project's community image is in no list of IDs.
		{"administrator", loginOf("admin"), forNobody(all...), "get_image 1 list_images 2 list_members 3", ""},
		{"administrator, no list with rows", loginOf("admin"), forNobody(empty), "list_images 1 list_members 1", "get_member 3 list_images 6"},
		{
			"administrator who discovers", loginOf("admin"), findingForNobody(collector.Rule{Owners: []string{collector.AllOwners}}),
			"list_images 2 list_members 3", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := (&situation{connect: test.connect, opts: test.opts}).bench(t)
				b.scrape(t)
				total := map[string]int{}
				minute := map[string]int{}
				for i := range 10 {
					time.Sleep(time.Minute)
					b.world.ResetLog()
					b.scrape(t)
					for _, r := range b.world.Requests() {
						total[r.Operation]++
						if i == 0 {
							minute[r.Operation]++
						}
					}
				}
				if got := counts(minute); got != test.want {
					t.Errorf("in a minute: %s\nwant %s", got, test.want)
				}
				for op, n := range minute {
					total[op] -= 10 * n
				}
				if got := counts(total); got != test.proofs {
					t.Errorf("besides, in ten minutes: %q, want %q", got, test.proofs)
				}
			})
		})
	}
}

func counts(of map[string]int) string {
	var words []string
	for op, n := range of {
		if n != 0 {
			words = append(words, fmt.Sprint(op, " ", n))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}
