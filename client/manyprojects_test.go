package client_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// scopedLogins counts the logins to projects, which take some time each.
type scopedLogins struct {
	takes  time.Duration
	refuse bool

	mu             sync.Mutex
	begun          map[string]int // by the body, which names the project
	inFlight, most int
}

func (l *scopedLogins) login(w http.ResponseWriter, r *http.Request, body string) string {
	if strings.Contains(body, `"unscoped"`) {
		return body
	}
	l.mu.Lock()
	l.begun[body]++
	l.inFlight++
	l.most = max(l.most, l.inFlight)
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.inFlight--
	}()
	select {
	case <-time.After(l.takes):
	case <-r.Context().Done():
		return ""
	}
	if l.refuse {
		w.WriteHeader(http.StatusUnauthorized)
		return ""
	}
	return body
}

// manyProjects runs f with a client of a user with a role in so many projects.
func manyProjects(t *testing.T, n int, logins *scopedLogins, f func(t *testing.T, p *client.Projects)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := fakecloud.New(fakecloud.Options{})
		for i := range n {
			id := fmt.Sprintf("%032x", i)
			w.AddProjectID(id, fmt.Sprint("project-", i))
			w.AddUser("roamer", "roamer-secret", id, "reader")
		}
		logins.begun = map[string]int{}
		reads := 0
		p, err := client.NewProjects(client.Options{
			Auth: func() (gophercloud.AuthOptions, error) {
				reads++
				return gophercloud.AuthOptions{
					IdentityEndpoint: inMemoryURL,
					Username:         "roamer",
					Password:         "roamer-secret",
					DomainName:       "Default",
				}, nil
			},
			Transport: fakecloud.InMemory(&gate{next: w, login: logins.login}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		f(t, p)
		if reads > 100 {
			t.Errorf("the secret was read %d times", reads)
		}
	})
}

// enter is the beginning of a collection of 10 s. Some time must be left to report the projects.
func enter(t *testing.T, p *client.Projects) []client.Scope {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	began := time.Now()
	scopes, err := p.Enter(ctx)
	if took := time.Since(began); err != nil || took > 9*time.Second {
		t.Errorf("%v after %s", err, took)
	}
	return scopes
}

// However many projects there are, few logins are in flight, each collection goes on where the one before ended, and what
// has no token yet is told.
func TestManyProjectsAreEnteredInTurns(t *testing.T) {
	const projects = 200
	logins := &scopedLogins{takes: 400 * time.Millisecond}
	manyProjects(t, projects, logins, func(t *testing.T, p *client.Projects) {
		before := 0
		for range 20 {
			scopes := enter(t, p)
			entered := tokens(scopes)
			if len(scopes) != projects {
				t.Fatalf("%d scopes", len(scopes))
			}
			if want := min(before+20, projects); entered < want {
				t.Errorf("%d projects are entered after %d, want %d at least", entered, before, want)
			}
			if before == 0 {
				last := scopes[projects-1]
				if e := asError(t, last.Err); e.Code != client.CodeNotRequested || last.Access.ProjectID == "" {
					t.Errorf("got %+v, %v", last.Access, last.Err)
				}
			}
			before = entered
			time.Sleep(5 * time.Second)
		}
		if before != projects || len(logins.begun) != projects {
			t.Errorf("%d projects entered, %d logins", before, len(logins.begun))
		}
		for _, n := range logins.begun {
			if n != 1 {
				t.Fatalf("%d logins to one project", n)
			}
		}
		if logins.most > 8 {
			t.Errorf("%d logins in flight", logins.most)
		}
	})
}

// Projects whose logins hang do not keep those behind them from their turn, and Close waits for none of them.
func TestManyLoginsThatHang(t *testing.T) {
	const projects = 60
	logins := &scopedLogins{takes: time.Hour}
	manyProjects(t, projects, logins, func(t *testing.T, p *client.Projects) {
		for range projects / 4 {
			if scopes := enter(t, p); tokens(scopes) > 0 {
				t.Error("a project is entered")
			}
		}
		if len(logins.begun) != projects {
			t.Errorf("logins to %d projects were tried, want %d", len(logins.begun), projects)
		}
		if logins.most > 20 { // four in each 10 s, for 30 s
			t.Errorf("%d logins in flight", logins.most)
		}
		enter(t, p)
		began := time.Now()
		p.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %s", took)
		}
	})
}

// Where Keystone refuses a token for each project, each is asked for once, in time.
func TestManyProjectsThatAreRefused(t *testing.T) {
	const projects = 200
	logins := &scopedLogins{takes: 100 * time.Millisecond, refuse: true}
	manyProjects(t, projects, logins, func(t *testing.T, p *client.Projects) {
		for range 3 {
			for _, s := range enter(t, p) {
				if s.Err == nil {
					t.Fatal("a project is entered")
				}
			}
		}
		if len(logins.begun) != projects || logins.most > 8 {
			t.Errorf("%d logins, %d in flight", len(logins.begun), logins.most)
		}
	})
}
