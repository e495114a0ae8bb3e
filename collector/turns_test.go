package collector_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/fakecloud"
)

// manyImages is a Huawei Cloud whose project shares some images, and has many more that it shares with nobody.
type manyImages struct {
	*bench
	quiet []string
}

func inManyImages(t *testing.T, shared, quiet int, opts collector.Options, f func(t *testing.T, m *manyImages)) {
	t.Helper()
	w := fakecloud.New(fakecloud.Options{Huawei: true, PrivateGroupShares: true})
	w.AddProjectID(producer, "cn-north-4")
	w.AddAccessKey(fakecloud.AccessKey{Access: "AK", Secret: "SK", ProjectID: producer})
	m := &manyImages{}
	for i := range quiet {
		m.quiet = append(m.quiet, w.AddImage(fakecloud.Image{Name: fmt.Sprint("private-", i), Owner: producer, Visibility: "private"}))
	}
	for i := range shared {
		w.Share(w.AddImage(fakecloud.Image{Name: fmt.Sprint("shared-", i), Owner: producer}), consumerA)
	}
	connection := byKey(client.MembersV1)
	connection.RequestsPerSecond = 10
	synctest.Test(t, func(t *testing.T) {
		w.SetLatency(50 * time.Millisecond)
		m.bench = newBenchWith(t, w, connection, opts)
		f(t, m)
	})
}

// collect is one scrape of 30 s, and what it says of the images, by visibility.
func (m *manyImages) collect(t *testing.T) (s collector.Snapshot, n map[string]int) {
	t.Helper()
	m.world.ResetLog()
	s = m.cloud.Collect(t.Context(), collector.Limits{Timeout: 30 * time.Second})
	n = map[string]int{"requests": m.world.Count("")}
	for i := range s.Images {
		img := &s.Images[i]
		kind := string(img.Record.Visibility)
		switch {
		case img.Waiting:
			n[kind+" waiting"]++
		case img.Coverage == collector.Unread:
			n[kind+" unread"]++
		case !img.Taken.IsZero():
			n[kind+" of before"]++
		default:
			n[kind+" now"]++
		}
		if img.Coverage != collector.Unread && img.Complete() {
			n[kind+" complete"]++
		}
		if img.Waiting && (img.Coverage != collector.Unread || img.StatusCode != 0) {
			t.Errorf("%s waits, and has success %v and code %d", img.Name, img.Coverage, img.StatusCode)
		}
	}
	return s, n
}

// 20 shared images and 2,000 private ones, 10 requests a second, a scrape of 30 s each half minute: the shared ones are read in each
// scrape, the private ones in turn.
func TestTwoThousandPrivateImages(t *testing.T) {
	t.Parallel()
	inManyImages(t, 20, 2000, discoveringIMS(), func(t *testing.T, m *manyImages) {
		for scrape := 1; scrape <= 12; scrape++ {
			began := time.Now()
			s, n := m.collect(t)
			t.Logf("scrape %d: %v", scrape, n)
			if !s.Discovered || n["shared now"] != 20 || n["shared complete"] != 20 || n["shared unread"]+n["private unread"] > 0 {
				t.Fatalf("discovered %v (%v): %v", s.Discovered, s.DiscoveryErr, n)
			}
			switch {
			case scrape > 1 && n["private now"] < 240:
				t.Errorf("scrape %d reads %d private images", scrape, n["private now"])
			case scrape >= 9 && n["private waiting"] > 0:
				t.Errorf("scrape %d: %d wait for their first turn", scrape, n["private waiting"])
			case scrape >= 10 && n["private complete"] != 2000:
				t.Errorf("scrape %d: %d of the private ones are complete", scrape, n["private complete"])
			}
			if oldest := s.Taken; scrape >= 9 && (oldest.IsZero() || time.Since(oldest) > 6*time.Minute) {
				t.Errorf("scrape %d: the oldest reading is of %s ago", scrape, time.Since(oldest))
			}
			time.Sleep(max(0, 30*time.Second-time.Since(began)))
		}
	})
}

// What becomes shared is read in the same scrape, and in each one from then on, though others wait; a share with a domain alone, which the
// record does not show, when its turn comes.
func TestAPrivateImageThatIsSharedAtLast(t *testing.T) {
	inManyImages(t, 5, 500, discoveringIMS(), func(t *testing.T, m *manyImages) {
		for range 3 {
			m.collect(t)
		}
		byProject, byDomain := m.quiet[400], m.quiet[450]
		m.world.Share(byProject, consumerA)
		m.world.AddMember(byDomain, fakecloud.Member{MemberID: "account", Type: "domain", Status: "accepted"})
		seen := 0
		for scrape := range 5 {
			s, _ := m.collect(t)
			for i := range s.Images {
				img := &s.Images[i]
				switch {
				case img.ID == byProject && (len(img.Members) != 1 || !img.Taken.IsZero()):
					t.Errorf("scrape %d: %+v", scrape, img)
				case img.ID == byDomain && len(img.Members) == 1:
					seen++
					if !img.Taken.IsZero() && seen > 1 {
						t.Error("an image with a row is not read first")
					}
				case img.ID == byDomain && seen > 0:
					t.Errorf("scrape %d: it had a row before: %+v", scrape, img)
				}
			}
		}
		if seen < 3 {
			t.Errorf("the domain was seen in %d scrapes", seen)
		}
	})
}

// A reading is shown for max_staleness, and an image waits no longer than that for its first turn.
func TestReadingsThatAreTooOld(t *testing.T) {
	opts := discoveringIMS()
	opts.MaxStaleness = 2 * time.Minute
	if err := opts.Validate(); err != nil {
		t.Fatal(err)
	}
	inManyImages(t, 5, 600, opts, func(t *testing.T, m *manyImages) {
		m.collect(t)
		_, n := m.collect(t)
		if n["private waiting"] == 0 || n["private of before"] == 0 {
			t.Fatal(n)
		}
		// From here on no private image is read: their requests hang.
		m.world.Inject(fakecloud.Fault{Hang: true, Match: func(r fakecloud.Request) bool { return r.Operation == fakecloud.OpListMembers }})
		time.Sleep(3 * time.Minute)
		if _, n := m.collect(t); n["private of before"]+n["private waiting"] > 0 || n["private unread"] != 600 {
			t.Error(n)
		}
	})
}

// What was read with another token, or other options, is not shown.
func TestReadingsOfAnotherConfiguration(t *testing.T) {
	inManyImages(t, 5, 600, discoveringIMS(), func(t *testing.T, m *manyImages) {
		m.collect(t)
		opts := discoveringIMS()
		opts.Discover[0].Policy.Members = expect()
		m.cloud.SetOptions(opts)
		if _, n := m.collect(t); n["private of before"] > 0 {
			t.Error(n)
		}
	})
}

// What the end of a scrape's time cuts off has not had its turn: the last reading is shown, or the image waits for its first one.
func TestTurnsThatTheDeadlineCutsOff(t *testing.T) {
	inManyImages(t, 20, 600, discoveringIMS(), func(t *testing.T, m *manyImages) {
		m.world.SetLatency(400 * time.Millisecond)
		for scrape := 1; scrape <= 6; scrape++ {
			began := time.Now()
			s, n := m.collect(t)
			t.Logf("scrape %d: %v", scrape, n)
			if !s.Discovered || n["shared complete"] != 20 || n["shared unread"]+n["private unread"] > 0 ||
				scrape > 3 && n["private waiting"] > 0 {
				t.Errorf("scrape %d: discovered %v (%v): %v", scrape, s.Discovered, s.DiscoveryErr, n)
			}
			time.Sleep(30*time.Second - time.Since(began))
		}
		if log := m.log.String(); strings.Contains(log, "not read") {
			t.Errorf("nothing is wrong, and the log has\n%s", log)
		}
	})
}

// An image whose list hangs is not one that waits: the second time it counts as not read.
func TestATurnThatHangs(t *testing.T) {
	inManyImages(t, 1, 3, discoveringIMS(), func(t *testing.T, m *manyImages) {
		m.collect(t)
		defer m.world.Inject(fakecloud.Fault{Match: about("list_members", m.quiet[0]), Hang: true})()
		for i, want := range []string{"private of before", "private unread", "private unread"} {
			if _, n := m.collect(t); n[want] != 1 || n["private now"] != 2 {
				t.Errorf("collection %d: %v, want 1 %s", i, n, want)
			}
			if logged := strings.Contains(m.log.String(), "members not read"); logged != (i > 0) {
				t.Errorf("collection %d: logged %v", i, logged)
			}
		}
	})
}
