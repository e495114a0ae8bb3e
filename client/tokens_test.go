package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"glance_share_exporter/client"
	"glance_share_exporter/internal/fakecloud"
)

// bubble runs f in a synctest bubble, with a client of a cloud that answers in memory: minutes pass at once.
func bubble(t *testing.T, auth func() (gophercloud.AuthOptions, error), f func(t *testing.T, w *fakecloud.Cloud, c *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c, _ := newClient(t, client.Options{Auth: auth, Transport: fakecloud.InMemory(w)})
		f(t, w, c)
	})
}

func isLogin(r fakecloud.Request) bool { return r.Operation == "authenticate" }

// scrape is what a collection asks.
func scrape(t *testing.T, c *client.Client, id string) error {
	t.Helper()
	if _, err := c.Connect(t.Context()); err != nil {
		return err
	}
	_, err := c.Members(t.Context(), id)
	return err
}

func wantLogins(t *testing.T, w *fakecloud.Cloud, want int) {
	t.Helper()
	if got := w.Count("authenticate"); got != want {
		t.Errorf("%d logins, want %d", got, want)
	}
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		for range 150 {
			if err := scrape(t, c, golden); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		wantLogins(t, w, 3) // a token lives an hour
		for _, r := range w.Requests() {
			if r.Status == http.StatusUnauthorized {
				t.Fatal("a scrape met an expired token")
			}
		}
	})
}

func TestOutsideOfTheAccessRules(t *testing.T) {
	bubble(t, byAppCredential(inMemoryURL, "rules"), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		for range 20 {
			if _, err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Images(t.Context(), []string{golden}, false); asError(t, err).Code != "401" {
				t.Fatal(err)
			}
			if _, err := c.Image(t.Context(), golden); asError(t, err).Code != "401" {
				t.Fatal(err)
			}
			memberIDs(t, c, golden)
			time.Sleep(time.Minute)
		}
		// The first 401 makes one more login. From then on it is known what a 401 means there.
		wantLogins(t, w, 2)
		w.RevokeTokens()
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		wantLogins(t, w, 3)
	})
}

func TestManyDeniedImagesMakeNoManyLogins(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.ImageID != "" && r.ImageID != golden },
			Status: http.StatusUnauthorized,
		})
		for range 30 {
			if _, err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				if _, err := c.Members(t.Context(), fmt.Sprintf("00000000-0000-4000-8000-%012d", i)); asError(t, err).Code != "401" {
					t.Fatal(err)
				}
			}
			memberIDs(t, c, golden)
			time.Sleep(time.Minute)
		}
		wantLogins(t, w, 2)
	})
}

// With one image, its members may be answered before what is denied is asked, or after it.
func TestDeniedRecordsInAnyOrder(t *testing.T) {
	for name, first := range map[string]bool{"record first": true, "members first": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, byAppCredential(inMemoryURL, "rules"), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
				for range 20 {
					if _, err := c.Connect(t.Context()); err != nil {
						t.Fatal(err)
					}
					if !first {
						memberIDs(t, c, golden)
					}
					if _, err := c.Image(t.Context(), golden); asError(t, err).Code != "401" {
						t.Fatal(err)
					}
					if first {
						memberIDs(t, c, golden)
					}
					time.Sleep(time.Minute)
				}
				wantLogins(t, w, 2)
			})
		})
	}
}

// The first try with the new token ends in a timeout, so that only the next collection learns that it did not help.
func TestDeniedAfterATimeout(t *testing.T) {
	bubble(t, byAppCredential(inMemoryURL, "rules"), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		w.Inject(fakecloud.Fault{Times: 1, Match: func(r fakecloud.Request) bool {
			return r.Operation == fakecloud.OpListImages && w.Count(fakecloud.OpAuthenticate) == 2
		}, Hang: true})
		for range 5 {
			if _, err := c.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := c.Images(ctx, []string{golden}, false)
			cancel()
			if code := asError(t, err).Code; code != "401" && code != client.CodeTimeout {
				t.Fatal(err)
			}
			memberIDs(t, c, golden)
			time.Sleep(2 * time.Second)
		}
		wantLogins(t, w, 2)
	})
}

// A worker of Glance that has the token in its cache goes on serving it after the revocation, the others do not.
func TestRevokedWhileSomeWorkersStillServe(t *testing.T) {
	bubble(t, byAppCredential(inMemoryURL, "rules"), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		_, _ = c.Image(t.Context(), golden) // what is denied is known
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		if err := scrape(t, c, hidden); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.Inject(fakecloud.Fault{Times: 1, Match: func(r fakecloud.Request) bool { return r.ImageID == hidden }, Status: http.StatusUnauthorized})
		memberIDs(t, c, golden)
		if err := scrape(t, c, hidden); err != nil {
			t.Errorf("it was served before, so the token was to be renewed: %v", err)
		}
	})
}

// The token is gone and Keystone cannot give another one for a while.
func TestRenewalsThatFailPause(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		w.RevokeTokens()
		remove := w.Inject(fakecloud.Fault{Match: isLogin, Status: http.StatusServiceUnavailable})
		before := w.Count("authenticate")
		for range 10 {
			if _, err := c.Members(t.Context(), golden); asError(t, err).Code != "401" {
				t.Fatal(err)
			}
		}
		wantLogins(t, w, before+1) // not one for each image
		began := time.Now()
		for time.Since(began) < 10*time.Minute {
			if err := scrape(t, c, golden); asError(t, err).StatusCode != http.StatusUnauthorized {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		if got := w.Count("authenticate") - before; got > 10 {
			t.Errorf("%d logins in ten minutes without Keystone", got)
		}
		remove()
		time.Sleep(5 * time.Minute)
		if err := scrape(t, c, golden); err != nil {
			t.Error(err)
		}
	})
}

func TestRenewalsThatCureNothingPause(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		remove := w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Service == "image" },
			Status: http.StatusUnauthorized,
		})
		began := time.Now()
		for time.Since(began) < time.Hour {
			if err := scrape(t, c, golden); asError(t, err).Code != "401" {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Second)
		}
		// 5, 10, 20, 40, 80, 160, then 300 seconds apart, each rounded up to a scrape.
		if got := w.Count("authenticate"); got < 12 || got > 20 {
			t.Errorf("%d logins in an hour of 401s", got)
		}
		remove()
		if err := scrape(t, c, golden); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedLoginsPause(t *testing.T) {
	secret := "wrong"
	auth := func() (gophercloud.AuthOptions, error) {
		ao, err := byPassword(inMemoryURL)()
		ao.Password = secret
		return ao, err
	}
	bubble(t, auth, func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		began := time.Now()
		for time.Since(began) < time.Hour {
			if err := scrape(t, c, golden); asError(t, err).StatusCode != http.StatusUnauthorized {
				t.Fatal(err)
			}
			if !c.State().Paused {
				t.Fatal("logins do not pause")
			}
			time.Sleep(10 * time.Second)
		}
		if got := w.Count("authenticate"); got < 10 || got > 16 {
			t.Errorf("%d refused logins in an hour", got)
		}
		_, err := c.Connect(t.Context())
		until := time.Now().UTC().Truncate(time.Second)
		if want := "logging in: 401 Unauthorized: The request you have made requires authentication.; logins are paused until "; err == nil ||
			len(err.Error()) < len(want) ||
			err.Error()[:len(want)] != want {
			t.Errorf("at %s: %v", until, err)
		}
		secret = password // the file was corrected
		if err := scrape(t, c, golden); err != nil {
			t.Errorf("after the secret changed: %v", err)
		}
		if c.State().Paused {
			t.Error("logins still pause")
		}
	})
}

// After a reload a refused login is tried again at once: the account may have been unlocked.
func TestSettingsEndThePauseOfLogins(t *testing.T) {
	locked := fakecloud.Fault{Match: isLogin, Status: http.StatusUnauthorized}
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		unlock := w.Inject(locked)
		for range 5 {
			_ = scrape(t, c, golden)
		}
		wantLogins(t, w, 1)
		unlock()
		if err := scrape(t, c, golden); err == nil {
			t.Fatal("the login does not pause")
		}
		c.Set(client.Settings{})
		if err := scrape(t, c, golden); err != nil {
			t.Error(err)
		}
	})
}

// However often the settings change, they end a pause once a minute, and the next pause is longer.
func TestSettingsEndThePauseOfLoginsOnceAMinute(t *testing.T) {
	locked := fakecloud.Fault{Match: isLogin, Status: http.StatusUnauthorized}
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		unlock := w.Inject(locked)
		_ = scrape(t, c, golden)
		for i, want := range []int{2, 4, 5, 6, 7} { // In the second minute, a pause of a minute ends by itself.
			for range 60 {
				c.Set(client.Settings{})
				_ = scrape(t, c, golden)
				time.Sleep(time.Second)
			}
			if got := w.Count("authenticate"); got != want {
				t.Fatalf("%d logins after minute %d, want %d", got, i+1, want)
			}
		}
		time.Sleep(time.Second)
		for range 5 {
			_ = scrape(t, c, golden)
			time.Sleep(time.Minute)
		}
		wantLogins(t, w, 8)
		unlock()
		c.Set(client.Settings{})
		if err := scrape(t, c, golden); err != nil {
			t.Errorf("more than a minute later: %v", err)
		}
	})
}

func TestKeystoneAway(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		w.KeystoneDown(true)
		time.Sleep(time.Minute)
		if err := scrape(t, c, golden); err != nil {
			t.Fatalf("Glance still knows the token: %v", err)
		}
		time.Sleep(10 * time.Minute)
		for range 10 {
			if err := scrape(t, c, golden); asError(t, err).StatusCode != http.StatusUnauthorized {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		if c.State().Paused {
			t.Error("nobody refused a login")
		}
		before := w.Count("authenticate")
		w.KeystoneDown(false)
		if err := scrape(t, c, golden); err != nil {
			t.Errorf("Keystone is back: %v", err)
		}
		wantLogins(t, w, before) // the old token was kept, and is good again
	})
}

func TestKeystoneHangs(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		w.Inject(fakecloud.Fault{Match: isLogin, Hang: true})
		time.Sleep(59*time.Minute + 30*time.Second) // time to renew
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := c.Connect(ctx); err != nil {
			t.Errorf("the token was still good: %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the collection waited %s for it, want a quarter of its time", took)
		}
	})
}

func TestNewTokenInTheFile(t *testing.T) {
	w := newWorld()
	first, second := w.Token("watcher", producer), w.Token("watcher", producer)
	for _, test := range []struct{ name, authURL, endpoint string }{
		{"checked with Keystone", inMemoryURL, ""},
		{"used as it is", "", "http://cloud.test/image"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := first
			c, _ := newClient(t, client.Options{
				Transport: fakecloud.InMemory(w), Endpoint: test.endpoint, ProjectID: producer,
				Auth: func() (gophercloud.AuthOptions, error) {
					return gophercloud.AuthOptions{IdentityEndpoint: test.authURL, TokenID: id}, nil
				},
			})
			for _, id = range []string{first, second} {
				if err := scrape(t, c, golden); err != nil {
					t.Fatal(err)
				}
			}
			requests := w.Requests()
			if got := requests[len(requests)-1]; got.Status != http.StatusOK {
				t.Errorf("got %+v", got)
			}
			w.RevokeTokens()
			err := scrape(t, c, golden)
			if asError(t, err).StatusCode != http.StatusUnauthorized {
				t.Error(err)
			}
			first, second = w.Token("watcher", producer), w.Token("watcher", producer)
		})
	}
}

func TestSecretFileAwayForAMoment(t *testing.T) {
	away := false
	auth := func() (gophercloud.AuthOptions, error) {
		if away {
			return gophercloud.AuthOptions{}, errors.New("no such file")
		}
		return byPassword(inMemoryURL)()
	}
	bubble(t, auth, func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		for _, away = range []bool{false, true, false} {
			if err := scrape(t, c, golden); err != nil {
				t.Error(err)
			}
		}
		wantLogins(t, w, 1)
	})
}

func TestClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var skew time.Duration
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
			_, _ = w.Write([]byte(`{"members": []}`))
		})
		c, _ := newClient(t, client.Options{Transport: fakecloud.InMemory(h), Endpoint: "http://cloud.test", ProjectID: producer})
		if c.State().SkewKnown {
			t.Error("known before any answer")
		}
		time.Sleep(300 * time.Millisecond) // not on a whole second
		for _, test := range []struct{ skew, want time.Duration }{
			{0, 0},
			{400 * time.Millisecond, 0},
			{-200 * time.Millisecond, 0},
			{time.Hour, time.Hour - 300*time.Millisecond},
			{-10 * time.Minute, -10 * time.Minute},
		} {
			skew = test.skew
			if _, err := c.Members(t.Context(), golden); err != nil {
				t.Fatal(err)
			}
			if got := c.State(); got.Skew != test.want || !got.SkewKnown {
				t.Errorf("API ahead by %s: got %s, want %s", test.skew, got.Skew, test.want)
			}
		}
	})
}

// Nothing but a served request says that Keystone, which could not be reached, is asked again at once.
func TestRevokedSoonAfterKeystoneWasAway(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		w.KeystoneDown(true)
		time.Sleep(10 * time.Minute)
		if err := scrape(t, c, golden); asError(t, err).StatusCode != http.StatusUnauthorized {
			t.Fatal(err)
		}
		w.KeystoneDown(false)
		time.Sleep(time.Second)
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		w.RevokeTokens()
		time.Sleep(time.Second)
		if err := scrape(t, c, golden); err != nil {
			t.Errorf("a second after all was well: %v", err)
		}
	})
}

// A pause that 401s of before have left must not outlive the proof that the token was good.
func TestRevokedSoonAfterGlanceRefusedAll(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		remove := w.Inject(fakecloud.Fault{
			Match:  func(r fakecloud.Request) bool { return r.Service == "image" },
			Status: http.StatusUnauthorized,
		})
		for range 36 {
			if err := scrape(t, c, golden); err == nil {
				t.Fatal("served")
			}
			time.Sleep(15 * time.Second)
		}
		remove()
		if err := scrape(t, c, golden); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		w.RevokeTokens()
		if err := scrape(t, c, golden); err != nil {
			t.Errorf("the revoked token was not renewed: %v", err)
		}
	})
}

// Who waits for a login with the credential of before tries its own after that has failed.
func TestNewSecretDuringALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var secret atomic.Value
		secret.Store("wrong")
		c, _ := newClient(t, client.Options{Transport: fakecloud.InMemory(w), Auth: func() (gophercloud.AuthOptions, error) {
			ao, err := byPassword(inMemoryURL)()
			ao.Password = secret.Load().(string)
			return ao, err
		}})
		w.Inject(fakecloud.Fault{Match: isLogin, Latency: time.Second, Times: 1})
		var first error
		var all sync.WaitGroup
		all.Go(func() { _, first = c.Connect(t.Context()) })
		synctest.Wait()
		secret.Store(password)
		if _, err := c.Connect(t.Context()); err != nil {
			t.Error(err)
		}
		all.Wait()
		if asError(t, first).StatusCode != http.StatusUnauthorized {
			t.Error(first)
		}
	})
}

// A login that takes longer than a collection goes on: the next collection gets its token, and Close ends it.
func TestALoginOutlivesItsCollection(t *testing.T) {
	bubble(t, byPassword(inMemoryURL), func(t *testing.T, w *fakecloud.Cloud, c *client.Client) {
		w.Inject(fakecloud.Fault{Match: isLogin, Latency: 12 * time.Second, Times: 1})
		for _, want := range []string{client.CodeTimeout, ""} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := c.Connect(ctx)
			cancel()
			if want == "" && err != nil || want != "" && asError(t, err).Code != want {
				t.Errorf("got %v, want %q", err, want)
			}
		}
		wantLogins(t, w, 1)
		w.RevokeTokens()
		w.Inject(fakecloud.Fault{Match: isLogin, Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Members(ctx, golden); asError(t, err).StatusCode != http.StatusUnauthorized {
			t.Error(err)
		}
		began := time.Now()
		c.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("Close waited %s", took)
		}
	})
}
