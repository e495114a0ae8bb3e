package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/dashboards"
	"glance_share_exporter/internal/config"
	"glance_share_exporter/internal/web"
)

var pre = regexp.MustCompile(`(?s)<pre[^>]*><code>(.*?)</code></pre>`)

// copyable is what a page has to copy.
func copyable(page string) (list []string) {
	for _, found := range pre.FindAllStringSubmatch(page, -1) {
		list = append(list, html.UnescapeString(found[1]))
	}
	return list
}

// entryOf is the entry that expects members of debian.
func entryOf(members ...string) string {
	return "- id: " + item(debian) + "\n  expected_members:\n    - " + strings.Join(members, "\n    - ")
}

func item(id string) string { return strconv.Quote(id) }

func TestRemedies(t *testing.T) {
	const numeric = "12345678901234567890123456789012"
	for _, test := range []struct {
		name    string
		opts    func(*collector.Options)
		members []client.Member
		want    []string
		says    string
	}{
		{
			name: "a command and an entry",
			opts: func(o *collector.Options) { o.Images[0].Policy.Visibility = []client.Visibility{client.Shared} },
			members: []client.Member{
				{Type: client.TypeProject, ID: numeric},
				{Type: client.TypeProject, ID: payments},
				{Type: client.TypeProject, ID: sandbox},
			},
			want: []string{
				"openstack image remove project " + debian + " " + numeric + "\nopenstack image remove project " + debian + " " + sandbox,
				entryOf(item(payments), item(search), item(numeric), item(sandbox)+"  # dev-sandbox") + "\n  expected_visibility: [shared]",
			},
		},
		{
			name: "approvals stay as they are",
			opts: func(o *collector.Options) {
				o.Images[0].Policy.Members[0].Until, o.Images[0].Policy.Members[0].Note = time.Date(2999, 2, 1, 0, 0, 0, 0, time.UTC), `CHG "1": x`
			},
			members: []client.Member{{Type: client.TypeProject, ID: payments}, {Type: client.TypeProject, ID: sandbox}},
			want: []string{
				"openstack image remove project " + debian + " " + sandbox,
				entryOf("{id: "+item(payments)+", until: 2999-01-31, note: \"CHG \\\"1\\\": x\"}", item(search), item(sandbox)+"  # dev-sandbox"),
			},
		},
		{
			name:    "Huawei Cloud",
			opts:    func(o *collector.Options) { o.API = client.IMS },
			members: []client.Member{{Type: client.TypeProject, ID: sandbox}},
			want: []string{
				`curl -X DELETE -H "X-Auth-Token: $T" "https://ims.REGION.myhuaweicloud.com/v2/images/` + debian + "/members/" + sandbox + `"`,
				entryOf(item(payments), item(search), item(sandbox)+"  # dev-sandbox"),
			},
		},
		{
			name: "an ID that cannot be expected", members: []client.Member{{Type: client.TypeProject, ID: "2c63888f-28f0-4481-be6d-dce7a7ace733"}},
			want: []string{"openstack image remove project " + debian + " 2c63888f-28f0-4481-be6d-dce7a7ace733"}, says: "cannot be expected",
		},
		{
			name: "an ID that a shell runs", members: []client.Member{{Type: client.TypeProject, ID: "$(reboot)"}},
			says: "neither 32 hexadecimal digits nor a UUID",
		},
		{
			name: "an ID that YAML reads", members: []client.Member{{Type: client.TypeProject, ID: "x}]\n"}},
			says: "neither 32 hexadecimal digits nor a UUID",
		},
		{name: "an unknown type", members: []client.Member{{Type: "x, id: *", ID: sandbox}}, says: "is not known"},
		{
			name: "a domain", members: []client.Member{{Type: client.TypeDomain, ID: sandbox}}, says: "No command is shown for domain",
			want: []string{entryOf(item(payments), item(search), "{id: "+item(sandbox)+", type: domain}  # dev-sandbox")},
		},
		{
			name:    "an expected ID of another form",
			opts:    func(o *collector.Options) { o.Images[0].Policy = expected("team-payments") },
			members: []client.Member{{Type: client.TypeProject, ID: sandbox}},
			want:    []string{"openstack image remove project " + debian + " " + sandbox},
		},
		{name: "nothing to do", members: []client.Member{{Type: client.TypeProject, ID: payments}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, api, opts := newSite(t, nil), stocked(), judged()
			if test.opts != nil {
				test.opts(&opts)
			}
			api.members[debian] = test.members
			for i := range test.members {
				test.members[i].Status = client.Accepted
			}
			s.add(t, api, opts)
			s.scrape(t)
			page := s.page(t, "/?image="+debian)
			got := copyable(page)
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if !strings.Contains(page, test.says) {
				t.Errorf("no %q", test.says)
			}
			if i := slices.IndexFunc(got, func(s string) bool { return strings.HasPrefix(s, "- id:") }); i >= 0 {
				checkEntry(t, got[i], opts.API, test.members)
			}
		})
	}
}

// An image that is open to everyone has the command that closes it, and the line that expects its visibility.
func TestRemedyOfAnOpenImage(t *testing.T) {
	for _, test := range []struct {
		name     string
		expected []client.Visibility
		want     []string
	}{
		{"nothing expected", nil, []string{"openstack image set --shared " + rescue, "expected_visibility: [public]"}},
		{
			"another visibility",
			[]client.Visibility{client.Shared, client.Community},
			[]string{"openstack image set --shared " + rescue, "expected_visibility: [shared, community, public]"},
		},
		{"expected", []client.Visibility{client.Public}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, opts := newSite(t, nil), judged()
			opts.Images = []collector.Image{{ID: rescue, Policy: collector.Policy{Visibility: test.expected}}}
			s.add(t, stocked(), opts)
			s.scrape(t)
			got := copyable(s.page(t, "/?image="+rescue))
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if len(got) == 2 {
				loaded := load(t, client.Glance, "    images:\n      - id: "+rescue+"\n        "+got[1]+"\n")
				if v := loaded.Images[0].Policy.Visibility; !slices.Contains(v, client.Public) {
					t.Errorf("%q expects %v", got[1], v)
				}
			}
		})
	}
}

// An image of an unexpected owner has the command that rejects it, and the item that expects its owner.
func TestRemedyOfAnImageOfAnotherProject(t *testing.T) {
	reject := "openstack image set --reject " + alpine
	for _, test := range []struct {
		name   string
		api    client.API
		owner  string
		status client.Status
		want   []string
	}{
		{"accepted", client.Glance, search, client.Accepted, []string{reject, "- " + item(search)}},
		{"pending", client.Glance, search, client.Pending, []string{reject, "- " + item(search)}},
		{"rejected", client.Glance, search, client.Rejected, nil},
		{"an owner that cannot be expected", client.Glance, "a: [b]", client.Accepted, []string{reject}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, api, opts := newSite(t, nil), stocked(), judged()
			opts.API, opts.Inbound = test.api, &collector.Inbound{Owners: []collector.ExpectedMember{}}
			opts.Images = nil
			api.inbound = []client.Image{{ID: alpine, Name: "base", Owner: test.owner, Visibility: client.Shared}}
			api.answers = map[string]client.Status{alpine: test.status}
			s.add(t, api, opts)
			s.scrape(t)
			got := copyable(s.page(t, "/?image="+alpine))
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			if len(got) == 2 {
				loaded := load(t, test.api, "    inbound:\n      expected_owners:\n        "+got[1]+"\n")
				if owners := loaded.Inbound.Owners; len(owners) != 1 || owners[0].ID != test.owner {
					t.Errorf("%q expects %v", got[1], owners)
				}
			}
		})
	}
}

// load returns the options of a cloud whose images, or inbound, are text.
func load(t *testing.T, api client.API, text string) collector.Options {
	t.Helper()
	text = "clouds:\n  - name: prod\n    api: " + string(api) + "\n" +
		"    auth: {token: {token: t0ken-of-a-user, project_id: " + owner.ProjectID + "}}\n" +
		"    endpoint: https://glance.example.com/\n" + text
	loaded, err := config.Parse("exporter.yml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return loaded.Clouds[0].Collector
}

// checkEntry loads an entry, which must expect the members.
func checkEntry(t *testing.T, entry string, api client.API, members []client.Member) {
	t.Helper()
	policy := load(t, api, "    images:\n      "+strings.ReplaceAll(entry, "\n", "\n      ")+"\n").Images[0].Policy
	for _, m := range members {
		if !slices.ContainsFunc(policy.Members, func(e collector.ExpectedMember) bool { return e.ID == m.ID && e.Type == m.Type }) {
			t.Errorf("%s %s is not expected by\n%s", m.Type, m.ID, entry)
		}
	}
}

// An image that is linked to comes first, before the verdict about all clouds.
func TestAnImageAloneComesFirst(t *testing.T) {
	s := newSite(t, nil)
	s.add(t, stocked(), judged())
	s.scrape(t)
	for path, want := range map[string]bool{"/": false, "/?q=golden": false, "/?image=" + debian: true} {
		page := s.page(t, path)
		if got := strings.Index(page, `<div id="list"`) < strings.Index(page, `<div id="top"`); got != want {
			t.Errorf("%s: the list is first: %t, want %t", path, got, want)
		}
	}
}

// Every project is a link to all that it can use.
func TestProjectsAreLinks(t *testing.T) {
	s := newSite(t, func(o *web.Options) { o.ExternalURL = "https://monitoring.example.com/glance" })
	s.add(t, stocked(), judged())
	s.page(t, "/glance/metrics")
	page := s.page(t, "/glance/")
	for _, id := range []string{payments, search, owner.ProjectID} {
		if !strings.Contains(page, `<a href="/glance/?q=`+id+`"><code>`+id+`</code></a>`) {
			t.Errorf("no link for %s", id)
		}
	}
	// It can use what is open to everyone, and perhaps what was not read.
	page = s.page(t, "/glance/?q="+search)
	for id, want := range map[string]bool{debian: true, rescue: true, ubuntu: false, alpine: false} {
		if got := strings.Contains(page, "<code>"+id+"</code>"); got != want {
			t.Errorf("the page of a project has %s: %t, want %t", id, got, want)
		}
	}
	s2, api := newSite(t, nil), stocked()
	api.errs[ubuntu] = status(client.OpListMembers, ubuntu, 500)
	s2.add(t, api, judged())
	s2.scrape(t)
	if rows := table(t, s2.page(t, "/shares.csv?q="+sandbox)); len(rows) != 3 || rows[1]["image_id"] != ubuntu ||
		rows[2]["member_type"] != "everyone" {
		t.Errorf("a project without shares: %v", rows)
	}
}

func TestRunbooks(t *testing.T) {
	s := newSite(t, func(o *web.Options) { o.ExternalURL = "https://monitoring.example.com/glance" })
	page := s.page(t, "/glance/runbooks")
	ids := map[string]bool{}
	for _, found := range regexp.MustCompile(`<h[1-6] id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		ids[found[1]] = true
	}
	alerts := regexp.MustCompile(`(?m)^## (Glance\w+)$`).FindAllStringSubmatch(string(dashboards.Runbooks), -1)
	if len(alerts) < 20 {
		t.Fatalf("%d alerts", len(alerts))
	}
	for _, alert := range alerts {
		if !ids[strings.ToLower(alert[1])] {
			t.Errorf("no section for %s", alert[1])
		}
	}
	for _, found := range regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		to := found[1]
		if section, local := strings.CutPrefix(to, "#"); local && !ids[section] || !local &&
			to != "/glance/" && !strings.HasPrefix(to, "https://") {
			t.Errorf("the link %s leads nowhere", to)
		}
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/glance/runbooks", nil))
	if policy := rec.Header().
		Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") ||
		strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
}

// The page links to sections of the runbooks that there are.
func TestThePagesRunbooks(t *testing.T) {
	s, api := newSite(t, nil), stocked()
	api.add(debian, "golden-debian-12", client.Shared, sandbox)
	api.add(alpine, "golden-alpine-3.20", client.Public)
	api.errs[ubuntu] = status(client.OpListMembers, ubuntu, 500)
	opts := judged()
	opts.Images[4].Policy.Visibility = []client.Visibility{client.Shared}
	s.add(t, api, opts)
	s.scrape(t)
	page, books := s.page(t, "/"), s.page(t, "/runbooks")
	for _, alert := range []string{
		"GlanceImageUnexpectedMember", "GlanceImageExposedByVisibility",
		"GlanceImageNotRead", "GlanceImageLessVisibleThanExpected",
	} {
		if !strings.Contains(page, `<a href="/runbooks#`+strings.ToLower(alert)+`">runbook `+alert+`</a>`) {
			t.Errorf("no link to %s", alert)
		}
		if !strings.Contains(books, `<h2 id="`+strings.ToLower(alert)+`">`) {
			t.Errorf("no section %s", alert)
		}
	}
}

// Commands that are left out are counted.
func TestManyRemedies(t *testing.T) {
	s, api := newSite(t, nil), stocked()
	var members []client.Member
	for i := range 25 {
		members = append(members, client.Member{Type: client.TypeProject, ID: fmt.Sprintf("%032x", i), Status: client.Pending})
	}
	api.members[debian] = members
	s.add(t, api, judged())
	s.scrape(t)
	page := s.page(t, "/?image="+debian)
	if got := copyable(page); strings.Count(got[0], "\n") != 9 || !strings.Contains(page, "For 15 more there is no command here") {
		t.Errorf("%q", got)
	}
}

// An image that was open to everyone, unexpectedly, and leaves by a new name is as open as before.
func TestAnOpenImageLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, opts := stocked(), judged()
		opts.Images = opts.Images[4:]
		opts.Discover = []collector.Rule{{Name: "golden-alpine-*", Policy: expected()}}
		s := newSite(t, nil)
		s.add(t, api, opts)
		api.add(alpine, "golden-alpine-3.20", client.Community)
		s.scrape(t)
		time.Sleep(time.Minute)
		api.add(alpine, "mine", client.Community)
		s.scrape(t)
		page := words(t, s.page(t, "/"))
		for _, want := range []string{
			"? Incomplete view: 1 image with unexpected access is no longer watched", "It was open to everyone, unexpectedly",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("no %q in %.300s", want, page)
			}
		}
	})
}
