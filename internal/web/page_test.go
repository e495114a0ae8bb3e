package web_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/web"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	payments = "2c63888f28f04481be6ddce7a7ace732"
	search   = "8a119b9e16bc47328f7b7676d015b0dc"
	sandbox  = "ac8efe121c5949f1ba2dde83458bfed0"

	debian  = "5796a670-482c-490e-8d97-82bfcdc83011"
	ubuntu  = "0b80a255-53a1-4945-a932-58ef7777682c"
	alpine  = "3c3ae353-fb14-428e-90b4-01a6c1cc0aff"
	rescue  = "e179f773-a6e0-43c0-9514-b7dde2ad0478"
	scratch = "68e58909-ccb2-4416-925a-56c9a30f4300"
)

// shop is an image API with what it is told to have.
type shop struct {
	mu         sync.Mutex
	keystone   map[string]string // what it calls projects
	loginErr   error
	scopes     []client.Scope
	scopesErr  error // scopes are those of before
	paused     bool
	listErr    error
	records    map[string]client.Image
	members    map[string][]client.Member
	errs       map[string]error // of the question for the members of an image
	access     client.Access
	inbound    []client.Image // that others share
	inboundErr error
	answers    map[string]client.Status // to what others share; default: accepted
	hang       bool                     // the question for members has no answer
	hidesRows  bool                     // the policy get_member refuses all rows: lists are answered without them
	hidesAll   bool                     // the policy get_image refuses all images: listings are answered without them
	probeErr   error                    // of the question for one row; default: get_member's refusal with hidesRows, else none
	once       map[string]bool          // images that lists have once, and whether they had it
	odd        map[string]error         // of the question for the record of an image
	despite    bool                     // images have members whatever their visibility
	slow       time.Duration            // how long records take
	asked      int
}

func (s *shop) Enter(context.Context) ([]client.Scope, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.loginErr != nil {
		return nil, s.loginErr
	}
	return s.scopes, s.scopesErr
}

func (s *shop) Images(_ context.Context, ids []string, hidden bool) (list []client.Image, err error) {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	for _, id := range ids {
		if s.once[id] {
			continue
		}
		if r, ok := s.records[id]; ok && r.Hidden == hidden {
			if _, ok := s.once[id]; ok {
				s.once[id] = true
			}
			list = append(list, s.seen(r))
		}
	}
	return list, s.listErr
}

func (s *shop) Image(_ context.Context, id string) (client.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if err := s.odd[id]; err != nil {
		return client.Image{}, err
	}
	if r, ok := s.records[id]; ok && s.listErr == nil {
		return s.seen(r), nil
	}
	return client.Image{}, status(client.OpGetImage, id, 404)
}

func (s *shop) ImagePage(_ context.Context, q client.ImageQuery, _ string) (page client.ImagePage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if q.SharedWith != "" {
		if !q.Hidden {
			page.Images = s.inbound
		}
		page.Access = s.access
		return page, s.inboundErr
	}
	for _, r := range s.records {
		if r.Hidden == q.Hidden && !s.hidesAll && (q.Owner == "" || r.Owner == q.Owner) &&
			(q.Visibility == "" || r.Visibility == q.Visibility) {
			page.Images = append(page.Images, s.seen(r))
		}
	}
	page.Access = s.access
	return page, s.listErr
}

// seen is a record as the client has it.
func (s *shop) seen(r client.Image) client.Image {
	r.View = s.access.ProjectID
	return r
}

func (s *shop) ProjectNames(context.Context) (map[string]string, error) { return s.keystone, nil }

func (s *shop) ProjectName(_ context.Context, id string) (string, error) { return s.keystone[id], nil }

func (s *shop) MembersAs(_ context.Context, project, id string) (client.MemberList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	switch r := s.records[id]; {
	case s.errs[id] != nil:
		return client.MemberList{}, s.errs[id]
	case r.Visibility == client.Private:
		return client.MemberList{}, onlyShared(client.OpListMembers, id, 403)
	}
	answer, ok := s.answers[id]
	if !ok {
		answer = client.Accepted
	}
	return client.MemberList{Members: []client.Member{{Type: client.TypeProject, ID: project, Status: answer}}, Access: s.access}, nil
}

func (s *shop) Members(ctx context.Context, id string) (client.MemberList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.hang {
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		return client.MemberList{}, &client.Error{Op: client.OpListMembers, ImageID: id, Code: client.CodeTimeout}
	}
	if err := s.errs[id]; err != nil {
		return client.MemberList{}, err
	}
	if r, ok := s.records[id]; ok && r.Visibility != client.Shared && !s.despite {
		return client.MemberList{}, onlyShared(client.OpListMembers, id, 403)
	}
	list := client.MemberList{Access: s.access}
	for _, m := range s.members[id] {
		if !s.hidesRows && (s.records[id].Owner == s.access.ProjectID || m.ID == s.access.ProjectID) {
			list.Members = append(list.Members, m)
		}
	}
	return list, nil
}

func (s *shop) MemberAs(_ context.Context, _, id, member string) (client.MemberAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	r := s.records[id]
	i := slices.IndexFunc(s.members[id], func(m client.Member) bool { return m.ID == member })
	switch {
	case s.probeErr != nil:
		return client.MemberAnswer{}, s.probeErr
	case s.hidesRows:
		return client.MemberAnswer{}, &client.Error{
			Op: client.OpGetMember, ImageID: id, Code: "404", StatusCode: 404, Message: "You are not authorized to complete get_member action.",
		}
	case r.Visibility != client.Shared:
		return client.MemberAnswer{}, onlyShared(client.OpGetMember, id, 404)
	case i >= 0:
		return client.MemberAnswer{Row: &s.members[id][i], Access: s.access}, nil
	}
	return client.MemberAnswer{NotMember: true, Access: s.access}, nil
}

func (s *shop) State() client.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return client.State{Paused: s.paused}
}

func status(op client.Operation, id string, code int) error {
	return &client.Error{Op: op, ImageID: id, Code: strconv.Itoa(code), StatusCode: code}
}

// onlyShared is what Glance answers for the members of an image that cannot have any.
func onlyShared(op client.Operation, id string, code int) error {
	return &client.Error{
		Op:         op,
		ImageID:    id,
		Code:       strconv.Itoa(code),
		StatusCode: code,
		Message:    "Only shared images have members.",
		OnlyShared: true,
	}
}

// stocked is a shop in which everything is as it is meant to be.
func stocked() *shop {
	access := client.Access{ProjectID: owner.ProjectID, ProjectName: "golden", Confirmed: true}
	s := &shop{
		access:  access,
		scopes:  []client.Scope{{Access: access}},
		records: map[string]client.Image{},
		members: map[string][]client.Member{},
		errs:    map[string]error{},
	}
	s.add(debian, "golden-debian-12", client.Shared, payments, search)
	s.add(ubuntu, "golden-ubuntu-24.04", client.Shared, payments)
	s.add(alpine, "golden-alpine-3.20", client.Shared)
	s.add(rescue, "rescue", client.Public)
	s.add(scratch, "build-scratch", client.Private)
	return s
}

func (s *shop) add(id, name string, v client.Visibility, members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[id] = client.Image{ID: id, Name: name, Owner: owner.ProjectID, Visibility: v, Status: "active"}
	s.members[id] = nil
	for _, m := range members {
		s.members[id] = append(s.members[id], client.Member{
			Type: client.TypeProject, ID: m, Status: client.Accepted,
			Created: time.Date(1999, 12, 1, 2, 5, 14, 0, time.UTC), Updated: time.Date(1999, 12, 2, 2, 5, 14, 0, time.UTC),
		})
	}
	slices.SortFunc(s.members[id], func(a, b client.Member) int { return strings.Compare(a.ID, b.ID) })
}

// enter makes the credential one of a project.
func (s *shop) enter(project string) {
	s.access.ProjectID = project
	s.scopes = []client.Scope{{Access: s.access}}
}

func (s *shop) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *shop) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// everything fails with a status.
func (s *shop) broken(code int) {
	s.listErr = status(client.OpListImages, "", code)
	for id := range s.records {
		s.errs[id] = status(client.OpListMembers, id, code)
	}
}

func expected(ids ...string) collector.Policy {
	list := []collector.ExpectedMember{}
	for _, id := range ids {
		list = append(list, collector.ExpectedMember{Type: client.TypeProject, ID: id})
	}
	return collector.Policy{Members: collector.SortMembers(list)}
}

// judged are options that expect what a stocked shop has.
func judged() collector.Options {
	opts := collector.DefaultOptions()
	opts.Name = "prod"
	opts.MemberNames = map[string]string{payments: "team-payments", search: "team-search", sandbox: "dev-sandbox"}
	opts.Images = []collector.Image{
		{ID: debian, Policy: expected(payments, search)},
		{ID: ubuntu, Policy: expected(payments)},
		{ID: alpine, Policy: expected()},
		{ID: rescue, Policy: collector.Policy{Visibility: []client.Visibility{client.Public}}},
		{ID: scratch, Policy: expected()},
	}
	return opts
}

// site is an exporter's pages and its clouds.
type site struct {
	http.Handler
	clouds []*collector.Cloud
}

func newSite(t testing.TB, change func(*web.Options)) *site {
	t.Helper()
	s := &site{}
	opts := web.Options{
		Clouds: func() ([]*collector.Cloud, func()) { return slices.Clone(s.clouds), func() {} },
		Config: func() ([]byte, error) { return nil, errors.New("none") },
		Logger: log.NewNopLogger(), Gatherer: prometheus.NewRegistry(), Version: "1.2.3",
	}
	if change != nil {
		change(&opts)
	}
	var err error
	if s.Handler, err = web.New(opts); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) add(t testing.TB, api collector.API, opts collector.Options) *collector.Cloud {
	t.Helper()
	c := collector.New(api, opts, log.NewNopLogger())
	t.Cleanup(c.Close)
	s.clouds = append(s.clouds, c)
	return c
}

var (
	unseen = regexp.MustCompile(`(?s)<(style|script|head)\b.*?</(style|script|head)>|<!DOCTYPE html>`)
	blocks = regexp.MustCompile(`</?(p|h1|h2|h3|li|ul|tr|section|details|summary|table|form|select|div|header|footer|nav|main|caption)\b[^>]*>`)
	tags   = regexp.MustCompile(`<[^<>]*>`)
)

// words is what a page says, in lines, without what is the same on every page.
func words(t testing.TB, page string) string {
	t.Helper()
	_, page, ok := strings.Cut(page, `<div id="top">`)
	page, _, ok2 := strings.Cut(page, "<footer>")
	if !ok || !ok2 {
		t.Fatalf("no such page: %.300s", page)
	}
	before, rest, _ := strings.Cut(page, "<form")
	_, after, _ := strings.Cut(rest, "</form>")
	page = unseen.ReplaceAllString(before+after, "")
	page = strings.NewReplacer("</th>", " | ", "</td>", " | ").Replace(page)
	page = html.UnescapeString(tags.ReplaceAllString(blocks.ReplaceAllString(page, "\n"), ""))
	var lines []string
	for line := range strings.Lines(page) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s *site) page(t testing.TB, path string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

func (s *site) scrape(t testing.TB) {
	t.Helper()
	s.page(t, "/metrics")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

// Each case is a state of the world; the golden is all that the page then says.
func TestWhatThePageSays(t *testing.T) {
	for _, test := range []struct {
		name string
		opts func(*collector.Options)
		do   func(t *testing.T, s *site, api *shop)
	}{
		{name: "healthy", do: func(t *testing.T, s *site, _ *shop) { s.scrape(t) }},
		{name: "never read", do: func(*testing.T, *site, *shop) {}},
		{name: "unexpected members", do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments, search, sandbox)
			api.add(alpine, "golden-alpine-3.20", client.Shared, sandbox, search, payments, "4", "5")
			api.members[alpine][0].Status = client.Rejected
			s.scrape(t)
		}},
		{name: "names from Keystone", opts: func(o *collector.Options) {
			o.ResolveNames = true
			o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments, search, sandbox, "0123456789abcdef0123456789abcdef")
			api.inbound = []client.Image{{ID: vendorBase, Name: "vendor-base", Owner: "fedcba9876543210fedcba9876543210", Visibility: client.Shared}}
			api.keystone = map[string]string{
				payments: "team-payments", sandbox: "x” in Keystone. Approved: “dev-sandbox", "0123456789abcdef0123456789abcdef": "team-payments",
				"fedcba9876543210fedcba9876543210": "vendor",
			}
			s.scrape(t)
			synctest.Wait()
			s.scrape(t)
		}},
		{name: "approvals that end", opts: func(o *collector.Options) {
			until := func(day int) time.Time { return time.Date(2000, 1, day, 0, 0, 0, 0, time.UTC) }
			o.Images[0].Policy.Members[0].Until, o.Images[0].Policy.Members[0].Note = until(1), "CHG-1234"
			o.Images[0].Policy.Members[1].Until = until(31)
			o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{{Type: client.TypeProject, ID: search, Until: until(1), Note: "over"}}}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.inbound = []client.Image{{ID: vendorBase, Name: "vendor-base", Owner: search, Visibility: client.Shared}}
			s.scrape(t)
		}},
		{name: "approvals that end after the scrape", opts: func(o *collector.Options) {
			until := time.Date(2000, 1, 1, 0, 3, 0, 0, time.UTC)
			o.Images[0].Policy.Members[0].Until = until
			o.Images[1].Policy.Members[0].Until = until
			o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{{Type: client.TypeProject, ID: search, Until: until}}}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.inbound = []client.Image{{ID: vendorBase, Name: "vendor-base", Owner: search, Visibility: client.Shared}}
			s.scrape(t)
			time.Sleep(time.Minute)
			api.change(func() { api.errs[ubuntu] = status(client.OpListMembers, ubuntu, 500) })
			s.scrape(t)
			time.Sleep(3 * time.Minute)
		}},
		{name: "open to everyone", do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Community, payments, search)
			api.add(scratch, "build-scratch", client.Public)
			s.scrape(t)
		}},
		{
			name: "open otherwise than meant",
			opts: func(o *collector.Options) { o.Images[3].Policy.Visibility = []client.Visibility{client.Community} },
			do:   func(t *testing.T, s *site, _ *shop) { s.scrape(t) },
		},
		{
			name: "shared, and nobody asks for members", // which no configuration says, and other callers of the collector may
			opts: func(o *collector.Options) { o.MembersFor = []client.Visibility{client.Community} },
			do:   func(t *testing.T, s *site, _ *shop) { s.scrape(t) },
		},
		{name: "missing, not shared, and of another visibility", opts: func(o *collector.Options) {
			o.Images[2].Policy.Visibility = []client.Visibility{client.Private}
			o.Images[4].Policy = expected(payments, search)
		}, do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared)
			api.add(ubuntu, "golden-ubuntu-24.04", client.Shared)
			s.scrape(t)
		}},
		{name: "not judged", opts: func(o *collector.Options) {
			for i := range o.Images {
				o.Images[i].Policy = collector.Policy{}
			}
			o.Images = o.Images[:3]
		}, do: func(t *testing.T, s *site, _ *shop) { s.scrape(t) }},
		{name: "blind", do: func(t *testing.T, s *site, api *shop) {
			api.broken(503)
			s.scrape(t)
		}},
		{name: "blind after a while", do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments, search, sandbox)
			s.scrape(t)
			time.Sleep(10 * time.Minute)
			api.change(func() { api.broken(503) })
			s.scrape(t)
		}},
		{name: "blind for long", do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments, search, sandbox)
			s.scrape(t)
			time.Sleep(10 * time.Minute)
			api.change(func() { api.broken(503) })
			for range 24 {
				time.Sleep(time.Hour)
				s.scrape(t)
			}
		}},
		{name: "logins paused", do: func(t *testing.T, s *site, api *shop) {
			api.loginErr = &client.Error{
				Op: client.OpAuthenticate, Code: "401", StatusCode: 401,
				Message: "The request you have made requires authentication.",
			}
			api.paused = true
			s.scrape(t)
		}},
		{name: "no image API", do: func(t *testing.T, s *site, api *shop) {
			api.broken(404)
			s.scrape(t)
		}},
		{name: "some images not read", do: func(t *testing.T, s *site, api *shop) {
			api.errs[debian] = status(client.OpListMembers, debian, 403)
			api.errs[ubuntu] = status(client.OpListMembers, ubuntu, 404)
			delete(api.records, ubuntu)
			s.scrape(t)
		}},
		{
			name: "another project's view", opts: func(o *collector.Options) { o.Images = o.Images[:4] },
			do: func(t *testing.T, s *site, api *shop) {
				api.enter(payments)
				s.scrape(t)
			},
		},
		{name: "rows hidden by get_member", do: func(t *testing.T, s *site, api *shop) {
			api.hidesRows = true
			s.scrape(t)
		}},
		{name: "rows hidden later, in the background", opts: func(o *collector.Options) {
			o.RefreshInterval, o.MaxStaleness = time.Hour, 24*time.Hour
		}, do: func(t *testing.T, s *site, api *shop) {
			s.scrape(t)
			api.change(func() { api.hidesRows = true })
			time.Sleep(3*time.Hour + time.Minute)
			s.scrape(t)
		}},
		{
			name: "rows hidden in the view of another project", opts: func(o *collector.Options) { o.Images = o.Images[:4] },
			do: func(t *testing.T, s *site, api *shop) {
				api.hidesRows = true
				api.enter(payments)
				s.scrape(t)
			},
		},
		{
			name: "access rules without the probe", opts: func(o *collector.Options) { o.Images = o.Images[2:] },
			do: func(t *testing.T, s *site, api *shop) {
				api.probeErr = status(client.OpGetMember, alpine, 401)
				s.scrape(t)
			},
		},
		{
			name: "private images that may have members", opts: func(o *collector.Options) { o.Images = o.Images[4:] },
			do: func(t *testing.T, s *site, api *shop) {
				api.errs[scratch] = status(client.OpListMembers, scratch, 403)
				s.scrape(t)
			},
		},
		{
			name: "an administrator that nothing proves", opts: func(o *collector.Options) { o.Images = o.Images[:4] },
			do: func(t *testing.T, s *site, api *shop) {
				api.access.Roles = []string{"admin"}
				api.enter(payments)
				delete(api.records, scratch) // which only an administrator would see
				api.members[debian] = api.members[debian][:1]
				s.scrape(t)
			},
		},
		{name: "an administrator's listing that nothing proves", opts: func(o *collector.Options) {
			o.Discover = []collector.Rule{{Owners: []string{"*"}, Policy: expected()}}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.access.Roles = []string{"admin"}
			api.enter(owner.ProjectID)
			s.scrape(t)
		}},
		{name: "images that cannot be seen", opts: func(o *collector.Options) {
			o.Images, o.Discover, o.Inbound = nil, []collector.Rule{{Policy: expected()}}, &collector.Inbound{}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.hidesAll = true
			s.scrape(t)
		}},
		{
			name: "a project that nothing confirms", opts: func(o *collector.Options) { o.Images = o.Images[:4] },
			do: func(t *testing.T, s *site, api *shop) {
				api.access.Confirmed = false
				api.enter(owner.ProjectID)
				s.scrape(t)
			},
		},
		{name: "an image that changes", opts: func(o *collector.Options) { o.Images = o.Images[:2] }, do: func(t *testing.T, s *site, api *shop) {
			api.add(ubuntu, "golden-ubuntu-24.04", client.Shared, owner.ProjectID)
			api.once = map[string]bool{ubuntu: false}
			api.odd = map[string]error{ubuntu: status(client.OpGetImage, ubuntu, 500)}
			s.scrape(t)
		}},
		{name: "members despite the visibility", opts: func(o *collector.Options) {
			o.Images[0].Policy.Visibility = []client.Visibility{client.Community}
		}, do: func(t *testing.T, s *site, api *shop) {
			s.scrape(t)
			api.change(func() { api.despite, api.slow = true, time.Second })
			api.add(debian, "golden-debian-12", client.Community, payments, search)
			api.add(ubuntu, "golden-ubuntu-24.04", client.Private, payments)
			s.scrape(t)
		}},
		{name: "images that left", opts: func(o *collector.Options) {
			o.Images = o.Images[4:]
			o.Discover = []collector.Rule{{Name: "golden-*", Policy: expected(payments, search)}}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments, sandbox)
			s.scrape(t)
			api.add(debian, "debian-12", client.Shared, payments, sandbox) // renamed
			api.change(func() {
				delete(api.records, ubuntu)
				api.errs[ubuntu] = &client.Error{Op: client.OpListMembers, ImageID: ubuntu, Code: "404", StatusCode: 404, OwnNotFound: true}
				api.odd = map[string]error{ubuntu: &client.Error{
					Op: client.OpGetImage, ImageID: ubuntu,
					Code: "404", StatusCode: 404, OwnNotFound: true,
				}}
			})
			for range 3 {
				time.Sleep(time.Minute)
				s.scrape(t)
			}
		}},
		{name: "records not read", do: func(t *testing.T, s *site, api *shop) {
			api.listErr = status(client.OpListImages, "", 403)
			s.scrape(t)
		}},
		{name: "an administrator, records not read", do: func(t *testing.T, s *site, api *shop) {
			api.access.Roles = []string{"admin"}
			api.enter(owner.ProjectID)
			api.listErr = status(client.OpListImages, "", 403)
			s.scrape(t)
		}},
		{
			name: "odd visibility and a row without an ID", opts: func(o *collector.Options) { o.Images[1].Policy = collector.Policy{} },
			do: func(t *testing.T, s *site, api *shop) {
				api.add(ubuntu, "golden-ubuntu-24.04", client.Shared, "", payments)
				api.add(alpine, "golden-alpine-3.20", client.Shared, "")
				r := api.records[debian]
				r.Visibility = "friends"
				api.records[debian] = r
				delete(api.errs, debian)
				s.scrape(t)
			},
		},
		{name: "old", do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments, search, sandbox)
			s.scrape(t)
			time.Sleep(3 * time.Hour)
		}},
		{name: "old in the background", opts: func(o *collector.Options) {
			o.RefreshInterval, o.MaxStaleness = time.Hour, time.Hour
		}, do: func(t *testing.T, s *site, api *shop) {
			s.scrape(t)
			api.change(func() { api.hang = true }) // so that the next one takes its whole hour
			time.Sleep(90 * time.Minute)
		}},
		{name: "no answer since, in the background", opts: func(o *collector.Options) {
			o.RefreshInterval, o.MaxStaleness = time.Hour, 24*time.Hour
		}, do: func(t *testing.T, s *site, api *shop) {
			s.scrape(t)
			api.change(func() { api.errs = map[string]error{debian: status(client.OpListMembers, debian, 503)} })
			time.Sleep(3*time.Hour + time.Minute)
			s.scrape(t)
		}},
		{name: "a listing broke off", opts: func(o *collector.Options) {
			o.Discover = []collector.Rule{{Policy: expected()}}
		}, do: func(t *testing.T, s *site, api *shop) {
			s.scrape(t)
			api.change(func() { api.listErr = status(client.OpListImages, "", 500) })
			s.scrape(t)
		}},
		{
			name: "a project that cannot be entered", opts: func(o *collector.Options) { o.Projects = true },
			do: func(t *testing.T, s *site, api *shop) {
				refused := &client.Error{Op: client.OpAuthenticate, Code: "403", StatusCode: 403}
				other := client.Scope{Access: client.Access{ProjectID: payments, ProjectName: "payments"}, Err: refused}
				api.scopes = append([]client.Scope{other}, api.scopes...)
				s.scrape(t)
			},
		},
		{
			name: "the projects cannot be listed", opts: func(o *collector.Options) { o.Projects = true },
			do: func(t *testing.T, s *site, api *shop) {
				s.scrape(t)
				api.change(func() {
					api.scopesErr = &client.Error{Op: client.OpListProjects, Code: "503", StatusCode: 503}
				})
				s.scrape(t)
			},
		},
		{name: "the projects cannot be listed that others share with", opts: func(o *collector.Options) {
			o.Projects, o.Inbound = true, &collector.Inbound{}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.scopesErr = &client.Error{Op: client.OpListProjects, Code: "503", StatusCode: 503}
			s.scrape(t)
		}},
		{name: "shards", opts: func(o *collector.Options) { o.ByProbe, o.Shards = true, 3 }, do: func(t *testing.T, s *site, _ *shop) {
			s.page(t, "/probe?cloud=prod&shard=1/3")
			time.Sleep(time.Minute)
			s.page(t, "/probe?cloud=prod&shard=3/3")
		}},
		{
			name: "what others share", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}} },
			do: func(t *testing.T, s *site, api *shop) {
				api.inbound = []client.Image{{ID: alpine, Name: "vendor-base", Owner: search, Visibility: client.Shared}}
				s.scrape(t)
			},
		},
		{
			name: "what others offer", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}} },
			do: func(t *testing.T, s *site, api *shop) {
				api.inbound, api.answers = vendors(), map[string]client.Status{vendorBase: client.Pending, vendorTools: client.Rejected}
				s.scrape(t)
			},
		},
		{name: "what others offer beside a missing member", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}} }, do: func(t *testing.T, s *site, api *shop) {
			api.add(debian, "golden-debian-12", client.Shared, payments)
			api.inbound, api.answers = vendors(), map[string]client.Status{vendorBase: client.Pending, vendorTools: client.Rejected}
			s.scrape(t)
		}},
		{name: "what others share with an answer that nobody knows", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}} }, do: func(t *testing.T, s *site, api *shop) {
			api.inbound, api.answers = vendors(), map[string]client.Status{vendorBase: "maybe", vendorTools: client.Rejected}
			s.scrape(t)
		}},
		{name: "what others are expected to share", opts: func(o *collector.Options) {
			o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{{Type: client.TypeProject, ID: search, Name: "the vendor"}}}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.inbound, api.answers = vendors(), map[string]client.Status{vendorTools: client.Pending}
			s.scrape(t)
		}},
		{
			name: "what others share is not judged", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{} },
			do: func(t *testing.T, s *site, api *shop) {
				api.inbound = vendors()
				s.scrape(t)
			},
		},
		{name: "more than is shown of what others share", opts: func(o *collector.Options) {
			o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}, MaxImages: 1}
		}, do: func(t *testing.T, s *site, api *shop) {
			api.inbound, api.answers = vendors(), map[string]client.Status{vendorTools: client.Pending}
			s.scrape(t)
		}},
		{name: "what others share long ago", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}} }, do: func(t *testing.T, s *site, api *shop) {
			api.inbound, api.answers = vendors(), map[string]client.Status{vendorTools: client.Pending}
			s.scrape(t)
			time.Sleep(3 * time.Hour)
		}},
		{name: "others share nothing", opts: func(o *collector.Options) {
			o.Inbound, o.Images = &collector.Inbound{Owners: []collector.ExpectedMember{}}, nil
		}, do: func(t *testing.T, s *site, _ *shop) {
			s.scrape(t)
		}},
		{
			name: "what others share is not read", opts: func(o *collector.Options) { o.Inbound = &collector.Inbound{} },
			do: func(t *testing.T, s *site, api *shop) {
				api.inboundErr = status(client.OpListImages, "", 500)
				s.scrape(t)
			},
		},
		{
			name: "what others share alone is not read", opts: func(o *collector.Options) { o.Inbound, o.Images = &collector.Inbound{}, nil },
			do: func(t *testing.T, s *site, api *shop) {
				api.inboundErr = status(client.OpListImages, "", 500)
				s.scrape(t)
			},
		},
		{name: "skipped by a rule", opts: func(o *collector.Options) {
			o.Discover = []collector.Rule{{Name: "scratch-*", Skip: true}, {Policy: expected()}}
		}, do: func(t *testing.T, s *site, api *shop) {
			const found = "bbeeb636-1d33-4c6d-96f0-da847a2a3b8"
			for i, name := range []string{"golden-centos-7", "scratch-1", "scratch-2"} {
				api.add(found+strconv.Itoa(i), name, client.Shared, sandbox)
			}
			s.scrape(t)
			r := api.records[found+"0"]
			r.Name = "scratch-3"
			api.records[found+"0"] = r
			s.scrape(t)
		}},
		{name: "renamed, hidden and discovered", opts: func(o *collector.Options) {
			o.Images[0].Name, o.MembersLimit = "our-debian", 2
			o.Discover = []collector.Rule{{Name: "windows-*"}, {Policy: expected()}}
		}, do: func(t *testing.T, s *site, api *shop) {
			const found = "bbeeb636-1d33-4c6d-96f0-da847a2a3b87"
			api.add(found, "golden-centos-7", client.Shared, sandbox)
			r := api.records[found]
			r.Hidden, r.Status = true, "deactivated"
			api.records[found] = r
			s.scrape(t)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, api, opts := newSite(t, nil), stocked(), judged()
				if test.opts != nil {
					test.opts(&opts)
				}
				s.add(t, api, opts)
				test.do(t, s, api)
				synctest.Wait()
				asked := api.requests()
				page := s.page(t, "/")
				synctest.Wait()
				if api.requests() != asked {
					t.Error("the page asked the cloud")
				}
				text := words(t, page)
				for _, l := range s.clouds[0].Latest() {
					if l.Snapshot == nil {
						continue
					}
					for _, p := range collector.Problems(l.Snapshot) {
						if p.Incomplete() && strings.Contains(text, "prod: Complete") {
							t.Errorf("the page says that the cloud is complete, the log: %+v", p)
						}
					}
				}
				golden(t, strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(test.name)+".txt", text)
			})
		})
	}
}

const (
	vendorBase  = "0d9c1c1e-5f7e-4d62-8a52-6f2b7c1f6a01"
	vendorTools = "7b1f3c90-2a44-4b7c-9a55-0c1d2e3f4a02"
)

// vendors are images that another project shares.
func vendors() []client.Image {
	return []client.Image{
		{ID: vendorBase, Name: "vendor-base", Owner: search, Visibility: client.Shared, Status: "active"},
		{ID: vendorTools, Name: "vendor-tools", Owner: search, Visibility: client.Shared, Status: "active"},
	}
}

// An image that a stranger shares is an image of the page: an alert's link finds it, and so do a text, a cloud, and problems. One that
// is watched too is there twice.
func TestFindWhatOthersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		for i, name := range []string{"quiet", "prod"} {
			api, opts := stocked(), judged()
			opts.Name = name
			if i == 1 {
				opts.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}}
				api.inbound, api.answers = vendors(), map[string]client.Status{vendorTools: client.Pending}
				api.inbound = append(api.inbound, client.Image{ID: debian, Name: "golden-debian-12", Owner: sandbox, Visibility: client.Shared})
			}
			s.add(t, api, opts)
		}
		s.scrape(t)
		for path, want := range map[string]string{
			"/?image=" + vendorBase:                "Showing 1 of 13 images.",
			"/?cloud=prod&image=" + vendorBase:     "Showing 1 of 13 images.",
			"/?image=" + debian + "&cloud=prod":    "Showing 2 of 13 images.",
			"/?q=unexpected+owner":                 "Showing 3 of 13 images.",
			"/?q=vendor-tools":                     "Showing 1 of 13 images.",
			"/?q=dev-sandbox":                      "Showing 1 of 13 images.",
			"/?cloud=prod":                         "Showing 8 of 13 images.",
			"/?problems=1":                         "Showing 3 of 13 images.",
			"/?cloud=quiet&problems=1":             "Showing 0 of 13 images.",
			"/?cloud=quiet&image=" + vendorBase:    "Showing 0 of 13 images.",
			"/?q=" + search + "+vendor&problems=1": "Showing 2 of 13 images.",
		} {
			page := s.page(t, path)
			if !strings.Contains(page, want) {
				t.Errorf("%s:\n%s", path, words(t, page))
			}
			if !strings.Contains(page, "<title>✖ 2 images are accepted from unexpected owners · ") {
				t.Errorf("%s: another verdict: %.400s", path, page)
			}
		}
		page := s.page(t, "/")
		if !strings.Contains(page, `<a href="/?cloud=prod&amp;image=`+vendorBase+`"><bdi>vendor-base</bdi></a> in prod: <strong>Accepted `+
			`from an unexpected owner</strong>`) {
			t.Errorf("the verdict does not lead there: %s", words(t, page))
		}
		ids := map[string]bool{}
		for _, found := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			if ids[found[1]] {
				t.Errorf("two elements are %s", found[1])
			}
			ids[found[1]] = true
		}
	})
}

// Two clouds, one of which was never read: what is good in one says nothing of the other.
func TestOneCloudNeverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		s.add(t, stocked(), judged())
		other := judged()
		other.Name, other.ByProbe = "other", true
		s.add(t, stocked(), other)
		s.scrape(t)
		page := s.page(t, "/")
		golden(t, "one-cloud-never-read.txt", words(t, page))
		if !strings.Contains(page, `<title>? Incomplete view: cloud other was not read · glance_share_exporter</title>`) {
			t.Errorf("%.2000s", page)
		}
		if !strings.Contains(page, `<a href="/probe?cloud=other">`) || strings.Contains(page, `<a href="/probe?cloud=prod">`) {
			t.Error("links to /probe")
		}
	})
}

// What was read with another configuration is not shown as if it were of this one.
func TestThePageAfterAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, nil)
		c := s.add(t, stocked(), judged())
		s.scrape(t)
		c.SetOptions(judged())
		if page := s.page(t, "/"); !strings.Contains(page, debian) {
			t.Error("a reload that changes nothing takes everything away")
		}
		next := judged()
		next.Images = next.Images[1:]
		c.SetOptions(next)
		page := words(t, s.page(t, "/"))
		if strings.Contains(page, debian) || strings.Contains(page, ubuntu) || !strings.Contains(page, "Not read yet") {
			t.Error(page)
		}
		s.scrape(t)
		if page := s.page(t, "/"); strings.Contains(page, debian) || !strings.Contains(page, ubuntu) {
			t.Error(words(t, page))
		}
	})
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, api := newSite(t, nil), stocked()
		api.add(debian, "golden-debian-12", client.Shared, payments, search, sandbox)
		opts := judged()
		opts.ResolveNames, api.keystone = true, map[string]string{
			payments: "not " + sandbox,
			search:   "called in Keystone",
		} // one calls itself as another one
		s.add(t, api, opts)
		other := judged()
		other.Name = "other"
		s.add(t, stocked(), other)
		never := judged()
		never.Name, never.ByProbe = "never", true
		s.add(t, stocked(), never)
		s.scrape(t)
		synctest.Wait()
		s.scrape(t)
		const nothingOfNever = "This does not cover 1 cloud that was not read: never."
		for _, test := range []struct {
			query string
			want  []string // cloud and image, as shown
			notes []string
		}{
			{query: "cloud=prod", want: []string{"prod " + debian, "prod " + scratch, "prod " + alpine, "prod " + ubuntu, "prod " + rescue}},
			{query: "problems=1", want: []string{"prod " + debian}},
			{query: "q=ubuntu", want: []string{"other " + ubuntu, "prod " + ubuntu}},
			{query: "q=DEV-sandbox", want: []string{"prod " + debian}},
			{query: "q=" + sandbox, want: []string{"prod " + debian, "other " + rescue, "prod " + rescue}}, // open to everyone
			{query: "q=called", want: []string{"prod " + debian}},
			{query: "q=" + sandbox[:8], want: []string{"prod " + debian, "prod " + ubuntu}}, // whose member is called so
			{query: "q=golden+payments&cloud=other", want: []string{"other " + debian, "other " + ubuntu}},
			{query: "q=+%20", want: []string{
				"prod " + debian, "other " + scratch, "prod " + scratch, "other " + alpine, "prod " + alpine,
				"other " + debian, "other " + ubuntu, "prod " + ubuntu, "other " + rescue, "prod " + rescue,
			}},
			{query: "q=public", want: []string{"other " + rescue, "prod " + rescue}},
			{query: "q=unexpected", want: []string{"prod " + debian}},
			{query: "image=" + ubuntu, want: []string{"other " + ubuntu, "prod " + ubuntu}},
			{query: "image=" + strings.ToUpper(ubuntu) + "&cloud=prod&utm_source=pager", want: []string{"prod " + ubuntu}},
			{query: "image=" + ubuntu + "&problems=1", notes: []string{"The last scrapes watched no image “" + ubuntu + "”.", nothingOfNever}},
			{query: "image=gone", notes: []string{"The last scrapes watched no image “gone”.", nothingOfNever}},
			{query: "q=nothing", notes: []string{"No image matches this filter.", nothingOfNever}},
			{query: "q=nothing&cloud=prod", notes: []string{"No image matches this filter."}},
			{query: "cloud=never", notes: []string{"No image matches this filter.", nothingOfNever}},
			{query: "cloud=nowhere", notes: []string{"The configuration has no cloud “nowhere”.", "No image matches this filter."}},
		} {
			page := s.page(t, "/?"+test.query)
			var shown []string
			for _, found := range regexp.MustCompile(`<details id="image-(prod|other|never)-([^"]+)"`).FindAllStringSubmatch(page, -1) {
				shown = append(shown, found[1]+" "+found[2])
			}
			if diff := cmp.Diff(test.want, shown); diff != "" {
				t.Errorf("%s: %s", test.query, diff)
			}
			var notes []string
			for _, found := range regexp.MustCompile(`<p class="note">([^<]*)</p>`).FindAllStringSubmatch(page, -1) {
				notes = append(notes, html.UnescapeString(found[1]))
			}
			if diff := cmp.Diff(test.notes, notes); diff != "" {
				t.Errorf("%s: %s", test.query, diff)
			}
			// The verdict is of everything, whatever is left out below.
			if !strings.Contains(page, "Unexpected access to 1 image</h2>") {
				t.Errorf("%s: no verdict", test.query)
			}
		}
		page := s.page(t, "/?q=a%22b&cloud=other&problems=1")
		for _, want := range []string{
			`value="a&#34;b"`, `<option selected>other</option>`, `name="problems" value="1" checked`,
			`<a id="all" href="/">Show all images</a>`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("no %s", want)
			}
		}
		if !strings.Contains(s.page(t, "/?image="+ubuntu+"&cloud=prod"), `<details id="image-prod-`+ubuntu+`" open>`) {
			t.Error("an image that was asked for alone is closed")
		}
		long := s.page(t, "/?q="+strings.Repeat("é", 100_000))
		if len(long) > 60_000 {
			t.Errorf("%d bytes", len(long))
		}
	})
}

// Whatever a cloud calls its things, they are text, and can be seen.
func TestHostileNames(t *testing.T) {
	for name, shows := range map[string]string{
		`<script>alert(1)</script>`:     `&lt;script&gt;alert(1)&lt;/script&gt;`,
		`"><img src=x onerror=alert(1)`: `&#34;&gt;&lt;img src=x onerror=alert(1)`,
		`' onmouseover='alert(1)`:       `&#39; onmouseover=&#39;alert(1)`,
		"javascript:alert(1)":           "javascript:alert(1)",
		"right\u202eto left":            `right\u202eto left`,
		"a\x00b\nc":                     `a\u0000b\u000ac`,
		"zero\u200bwidth":               `zero\u200bwidth`,
		"not\xffUTF-8":                  "not\ufffdUTF-8-633eb019",
		"{{.Version}}":                  "{{.Version}}",
		"</title></style></script>":     "&lt;/title&gt;&lt;/style&gt;&lt;/script&gt;",
		"日本語 é":                         "日本語 é",
		strings.Repeat("x", 1<<20):      strings.Repeat("x", 200),
		strings.Repeat("\u202e", 1<<20): strings.Repeat(`\u202e`, 80),
	} {
		t.Run(fmt.Sprintf("%.20q", name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, api := newSite(t, nil), stocked()
				api.add(debian, name, client.Shared, payments, name)
				r := api.records[debian]
				r.Owner, r.Status = owner.ProjectID, name
				api.records[debian] = r
				api.members[debian][0].Type = client.MemberType(name)
				api.errs[ubuntu] = &client.Error{Op: client.OpListMembers, ImageID: ubuntu, Code: "500", StatusCode: 500, Message: name}
				api.scopes[0].Access.ProjectName = name
				opts := judged()
				opts.MemberNames[payments] = name
				opts.ResolveNames, api.keystone = true, map[string]string{payments: name + "?", ubuntu: name}
				s.add(t, api, opts)
				s.scrape(t)
				synctest.Wait()
				s.scrape(t)
				page := s.page(t, "/")
				if !strings.Contains(page, shows) {
					t.Error(words(t, page))
				}
				for _, bad := range []string{"<script>alert", "<img", "\x00", "\u202e", "\u200b", "\xff"} {
					if strings.Contains(page, bad) {
						t.Errorf("%q is on the page", bad)
					}
				}
				for _, tag := range tags.FindAllString(unseen.ReplaceAllString(page, ""), -1) {
					if strings.Contains(tag, " onmouseover=") && !strings.Contains(tag, "&#39; onmouseover") ||
						strings.Contains(tag, `href="javascript`) {
						t.Error(tag)
					}
				}
				if len(page) > 100_000 {
					t.Errorf("%d bytes", len(page))
				}
			})
		})
	}
}

var inline = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)

// The browser runs and applies what the policy names by its hash, and the page has nothing else.
func TestThePagesOwnPolicy(t *testing.T) {
	s := newSite(t, nil)
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	policy := "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
	found := inline.FindAllStringSubmatch(rec.Body.String(), -1)
	if len(found) != 2 {
		t.Fatalf("%d inline texts", len(found))
	}
	for _, f := range found {
		sum := sha256.Sum256([]byte(f[2]))
		policy += "; " + f[1] + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	policy += "; img-src data:; connect-src 'self'; form-action 'self'"
	if got := rec.Header().Get("Content-Security-Policy"); got != policy {
		t.Errorf("got  %s\nwant %s", got, policy)
	}
	body := inline.ReplaceAllString(rec.Body.String(), "")
	for _, bad := range []string{" style=", " onclick=", " onload=", "<script", " src=", "@import", "url("} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	if h := rec.Header(); h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
}

func TestThePageCompressed(t *testing.T) {
	for accept, want := range map[string]string{
		"": "", "identity": "", "br, gzip": "gzip", "gzip;q=0": "", "gzip; q=0.0, *": "", "deflate, gzip;q=0.5": "gzip", "x-gzipped": "",
	} {
		t.Run(accept, func(t *testing.T) {
			s := newSite(t, nil)
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			req.Header.Set("Accept-Encoding", accept)
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, req)
			h := rec.Header()
			if got := h.Get("Content-Encoding"); got != want {
				t.Fatalf("Content-Encoding: %q, want %q", got, want)
			}
			if h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Length") != strconv.Itoa(rec.Body.Len()) ||
				h.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%v, of %d bytes", h, rec.Body.Len())
			}
			page := rec.Body.Bytes()
			if want != "" {
				page = unzip(t, page)
			}
			if !bytes.HasSuffix(page, []byte("</html>\n")) {
				t.Errorf("it is not whole:\n%.300s", page)
			}
			req.Method = http.MethodHead
			head := httptest.NewRecorder()
			s.ServeHTTP(head, req)
			for _, name := range []string{"Content-Encoding", "Content-Type", "Vary"} {
				if got := head.Header().Get(name); got != h.Get(name) {
					t.Errorf("HEAD: %s %q, want %q", name, got, h.Get(name))
				}
			}
			// The times in the page are of now, and so may be its length.
			length, err := strconv.Atoi(head.Header().Get("Content-Length"))
			if want, _ := strconv.Atoi(h.Get("Content-Length")); err != nil || length < want-20 || length > want+20 {
				t.Errorf("HEAD: a Content-Length of %d, want about %d", length, want)
			}
		})
	}
}

// The links are those that people can follow, wherever the pages are.
func TestLinksBehindAPrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, func(o *web.Options) { o.ExternalURL, o.TelemetryPath = "https://mon.example.com/glance/", "/m" })
		opts := judged()
		opts.ByProbe, opts.Shards = true, 2
		s.add(t, stocked(), opts)
		s.page(t, "/glance/probe?cloud=prod&shard=1/2")
		page := s.page(t, "/glance/")
		for _, want := range []string{
			`<a href="/glance/m">`, `<a href="/glance/sd">`, `<a href="/glance/config">`,
			`<a href="/glance/-/healthy">`, `<a href="/glance/-/ready">`,
			`<a href="/glance/probe?cloud=prod&amp;shard=1/2">1/2</a>`, `<a href="/glance/probe?cloud=prod&amp;shard=2/2">2/2</a>`,
			`action="/glance/"`,
		} {
			if !strings.Contains(page, want) {
				t.Errorf("no %s", want)
			}
		}
		for _, found := range regexp.MustCompile(`(?:href|action)="([^"#][^"]*)"`).FindAllStringSubmatch(inline.ReplaceAllString(page, ""), -1) {
			address := html.UnescapeString(found[1])
			if strings.HasPrefix(address, "data:") {
				continue
			}
			u, err := url.Parse(address)
			if err != nil || !strings.HasPrefix(address, "/glance/") {
				t.Errorf("%s: %v", address, err)
				continue
			}
			if rec := get(t, s, u.String(), "1"); rec.Code != http.StatusOK && u.Path != "/glance/config" { // this test has none
				t.Errorf("%s: %d", address, rec.Code)
			}
		}
		// Who comes to the root of the server is sent on with what he asked for.
		if rec := get(t, s, "/?image="+debian, ""); rec.Code != http.StatusFound || rec.Header().Get("Location") != "/glance/?image="+debian {
			t.Errorf("%d %s", rec.Code, rec.Header().Get("Location"))
		}
	})
}

// many is a site with so many images, each with three members, the last of which somebody has who is not meant to.
func many(t testing.TB, n, members int) *site {
	t.Helper()
	s, api := newSite(t, nil), stocked()
	opts := judged()
	opts.Images = nil
	for i := range n {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		var who []string
		for k := range members {
			who = append(who, fmt.Sprintf("%032x", k))
		}
		policy := expected(who...)
		if i == n-1 {
			policy = expected(who[1:]...)
		}
		api.add(id, fmt.Sprint("image ", i), client.Shared, who...)
		opts.Images = append(opts.Images, collector.Image{ID: id, Policy: policy})
	}
	s.add(t, api, opts)
	s.scrape(t)
	return s
}

// However much there is, the page has a bound, the worst is on it, and it says what it leaves out.
func TestTooMuchForOnePage(t *testing.T) {
	s := many(t, 2500, 3)
	page := s.page(t, "/")
	if n := strings.Count(page, "<details id=\"image-"); n != 2000 {
		t.Errorf("%d images", n)
	}
	if i := strings.Index(page, "<details id=\"image-"); !strings.HasPrefix(page[i:],
		`<details id="image-prod-00000000-0000-4000-8000-000000002499" open>`) {
		t.Errorf("the worst is not the first: %.200s", page[i:])
	}
	for _, want := range []string{
		"Showing the 2,000 most severe. 500 more match: filter by text, cloud or problems to see them.",
		"Showing 2,500 of 2,500 images.", "500 more of these are not shown.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q", want)
		}
	}
	if len(page) > 6<<20 {
		t.Errorf("%d bytes", len(page))
	}

	s = many(t, 200, 300)
	page = s.page(t, "/")
	if n := strings.Count(page, "<tr class="); n != 10_000 {
		t.Errorf("%d rows", n)
	}
	if !strings.Contains(page,
		`200 more are not shown here: see <a href="/?cloud=prod&amp;image=00000000-0000-4000-8000-000000000199">this image alone</a>.`) {
		t.Error("rows are left out without a word")
	}
	page = s.page(t, "/?image=00000000-0000-4000-8000-000000000199")
	if n := strings.Count(page, "<tr class="); n != 300 || strings.Contains(page, "not shown") {
		t.Errorf("%d rows of an image alone", n)
	}
}

// Who leaves while others are served is not waited for.
func TestThePageForOneWhoLeft(t *testing.T) {
	s := many(t, 1, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		})
		all.Go(func() {
			if rec := get(t, s, "/", ""); rec.Code != http.StatusOK && rec.Code != http.StatusServiceUnavailable {
				t.Errorf("%d", rec.Code)
			}
		})
	}
	all.Wait()
	s.page(t, "/") // all have given back their places
}

// leaving is the context of one who leaves while his page is made.
type leaving struct {
	context.Context
	asked, stays int
}

func (l *leaving) Err() error {
	if l.asked++; l.asked > l.stays {
		return context.Canceled
	}
	return nil
}

// A text is looked for in every image and every member: for nobody, no longer.
func TestThePageForOneWhoLeaves(t *testing.T) {
	s := many(t, 1000, 3)
	ctx := &leaving{Context: t.Context(), stays: 500}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "/?q=nobody", nil))
	if rec.Body.Len() > 0 || ctx.asked > ctx.stays+5 {
		t.Errorf("%d bytes, asked %d times", rec.Body.Len(), ctx.asked)
	}
}

// stuck is a client that takes nothing until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	writes *atomic.Int64
	letGo  chan struct{}
}

func (s stuck) Write(p []byte) (int, error) {
	s.writes.Add(1)
	<-s.letGo
	return s.ResponseRecorder.Write(p)
}

// Who reads slowly keeps no more than a few pages in memory, and others are told to come again.
func TestSlowReadersOfThePage(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, nil)
			s.add(t, stocked(), judged())
			s.scrape(t)
			var writes atomic.Int64
			letGo := make(chan struct{})
			ask := func(ctx context.Context) (*httptest.ResponseRecorder, chan struct{}) {
				rec, done := httptest.NewRecorder(), make(chan struct{})
				r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
				r.Header.Set("Accept-Encoding", encoding)
				go func() {
					defer close(done)
					s.ServeHTTP(stuck{rec, &writes, letGo}, r)
				}()
				return rec, done
			}
			var recs []*httptest.ResponseRecorder
			for range 11 {
				rec, _ := ask(t.Context())
				recs = append(recs, rec)
			}
			synctest.Wait()
			ctx, leave := context.WithCancel(t.Context())
			_, left := ask(ctx)
			synctest.Wait()
			if n := writes.Load(); n != 4 {
				t.Errorf("%d pages are kept", n)
			}
			if rec := get(t, s, "/", ""); rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") != "1" ||
				rec.Body.String() != "8 requests are already waiting for this page: try again later\n" {
				t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
			}
			leave() // whose place the next one takes
			<-left
			rec, _ := ask(t.Context())
			recs = append(recs, rec)
			synctest.Wait()
			if s.page(t, "/-/healthy") == "" || writes.Load() != 4 {
				t.Errorf("%d pages are kept", writes.Load())
			}
			close(letGo)
			synctest.Wait()
			for _, rec := range recs {
				if rec.Code != http.StatusOK || rec.Header().Get("Content-Encoding") != encoding ||
					rec.Header().Get("Content-Length") != strconv.Itoa(rec.Body.Len()) {
					t.Errorf("%d %v", rec.Code, rec.Header())
				}
			}
			s.page(t, "/")
		})
	}
}

// BenchmarkPage: the whole page, as the exporter makes it.
func BenchmarkPage(b *testing.B) {
	for _, n := range []int{10, 1000, 2000, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := many(b, n, 3)
			var size int
			for b.Loop() {
				size = len(s.page(b, "/"))
			}
			b.ReportMetric(float64(size)/1024, "KB")
			b.ReportAllocs()
		})
	}
}
