package web_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// table is a CSV as maps of its columns, those left out that are empty.
func table(t *testing.T, text string) (rows []map[string]string) {
	t.Helper()
	text, ok := strings.CutPrefix(text, "\ufeff")
	if !ok {
		t.Error("no byte order mark")
	}
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, value := range line {
			if value != "" {
				row[lines[0][i]] = value
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Each row says what was read, and what was not.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, api, opts := newSite(t, nil), stocked(), judged()
		api.add(debian, "golden-debian-12", client.Shared, payments, sandbox)
		api.members[debian][1].Status = client.Rejected
		api.errs[ubuntu] = status(client.OpListMembers, ubuntu, 500)
		opts.Inbound = &collector.Inbound{Owners: []collector.ExpectedMember{}}
		api.inbound = []client.Image{{ID: vendorBase, Name: "vendor-base", Owner: search, Visibility: client.Shared}}
		opts.ResolveNames, api.keystone = true, map[string]string{payments: "payments", sandbox: "=sandbox", search: "search"}
		s.add(t, api, opts)
		s.scrape(t)
		synctest.Wait()
		s.scrape(t)
		row := func(kind string, more ...string) map[string]string {
			m := map[string]string{"row": kind, "cloud": "prod", "complete": "true", "read_at": "2000-01-01T00:00:00Z"}
			if kind != "cloud" {
				m["owner_id"], m["owner_name"] = owner.ProjectID, "golden"
			}
			for i := 0; i < len(more); i += 2 {
				if m[more[i]] = more[i+1]; more[i+1] == "" {
					delete(m, more[i])
				}
			}
			return m
		}
		const created, updated = "1999-12-01T02:05:14Z", "1999-12-02T02:05:14Z"
		want := []map[string]string{
			row("cloud", "complete", "false", "shards", "1", "shards_read", "1"),
			row("member", "image_id", debian, "image_name", "golden-debian-12", "visibility", "shared",
				"member_type", "project", "member_id", sandbox,
				"member_name",
				"dev-sandbox",
				"member_keystone_name",
				"'=sandbox",
				"status",
				"rejected",
				"expected",
				"false",
				"created",
				created,
				"updated",
				updated,
			),
			row("member", "image_id", debian, "image_name", "golden-debian-12", "visibility", "shared",
				"member_type", "project", "member_id", payments,
				"member_name",
				"team-payments",
				"member_keystone_name",
				"payments",
				"status",
				"accepted",
				"expected",
				"true",
				"created",
				created,
				"updated",
				updated,
			),
			row("image", "image_id", ubuntu, "image_name", "golden-ubuntu-24.04", "visibility", "shared", "complete", "false", "read_at", "",
				"problem", "listing members of image "+ubuntu+": 500 Internal Server Error"),
			row("image", "image_id", alpine, "image_name", "golden-alpine-3.20", "visibility", "shared"),
			row("member", "image_id", rescue, "image_name", "rescue", "visibility", "public", "member_type", "everyone", "expected", "true"),
			row("image", "image_id", scratch, "image_name", "build-scratch", "visibility", "private"),
			row("inbound", "image_id", vendorBase, "image_name", "vendor-base", "visibility", "shared", "member_type", "project",
				"member_id", owner.ProjectID, "member_name", "golden", "status", "accepted", "expected", "false",
				"owner_id", search, "owner_name", "team-search", "owner_keystone_name", "search"),
		}
		got := table(t, s.page(t, "/shares.csv"))
		delete(got[0], "problem")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		var list []map[string]any
		if err := json.Unmarshal([]byte(s.page(t, "/shares.json")), &list); err != nil {
			t.Fatal(err)
		}
		if len(list) != len(want) || list[1]["expected"] != false || list[1]["member_id"] != sandbox || list[3]["complete"] != false {
			t.Errorf("JSON: %v", list)
		}
		if got := table(t, s.page(t, "/shares.csv?q=dev-sandbox")); len(got) != 3 || got[1]["image_id"] != debian {
			t.Errorf("filtered: %v", got)
		}
		if page := s.page(t, "/?q=dev-sandbox"); !strings.Contains(page, `<a href="/shares.csv?q=dev-sandbox">`) {
			t.Error("the page does not link to what it shows")
		}
		asked := api.requests()
		s.page(t, "/shares.json")
		if api.requests() != asked {
			t.Error("the cloud was asked")
		}
		time.Sleep(time.Hour)
		for _, row := range table(t, s.page(t, "/shares.csv")) {
			if row["complete"] != "false" {
				t.Errorf("an hour later: %v", row)
			}
		}
	})
}

// What was not read is never written as "nobody".
func TestSharesOfWhatWasNotRead(t *testing.T) {
	s := newSite(t, nil)
	opts := judged()
	opts.ByProbe, opts.Shards, opts.Discover = true, 3, []collector.Rule{{Name: "*"}}
	s.add(t, stocked(), opts)
	want := []map[string]string{
		{"row": "cloud", "cloud": "prod", "complete": "false", "discovery": "false", "shards": "3", "shards_read": "0"},
	}
	never := table(t, s.page(t, "/shares.csv"))
	delete(never[0], "problem")
	delete(want[0], "discovery") // nothing is known of it yet
	if diff := cmp.Diff(want, never); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	s.page(t, "/probe?cloud=prod&shard=1/3")
	if got := table(t, s.page(t, "/shares.csv"))[0]; got["complete"] != "false" || got["shards_read"] != "1" || got["discovery"] != "false" {
		t.Errorf("with one shard of three: %v", got)
	}
	for _, path := range []string{"/shares.json?cloud=none", "/shares.csv?cloud=none"} {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if rec.Code != http.StatusNotFound || !strings.Contains(rec.Body.String(), `no cloud "none"`) {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

// A name that a spreadsheet takes for a formula is a text, and every text comes back from the CSV.
func TestSharesWithHostileNames(t *testing.T) {
	for name, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "a=b": "a=b", `say "hi", twice`: `say "hi", twice`, "镜像": "镜像",
	} {
		s, api := newSite(t, nil), stocked()
		api.add(debian, name, client.Shared, payments)
		s.add(t, api, judged())
		s.scrape(t)
		if got := table(t, s.page(t, "/shares.csv?image="+debian))[1]["image_name"]; got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
		var list []map[string]any
		if err := json.Unmarshal([]byte(s.page(t, "/shares.json?image="+debian)), &list); err != nil || list[1]["image_name"] != name {
			t.Errorf("%q as JSON: %v %v", name, list, err)
		}
	}
	s := newSite(t, nil)
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/shares.csv", nil))
	if h := rec.Header(); !strings.HasPrefix(h.Get("Content-Disposition"), "attachment") || h.Get("Cache-Control") != "no-store" ||
		h.Get("Content-Type") != "text/csv; charset=utf-8" {
		t.Error(h)
	}
}
