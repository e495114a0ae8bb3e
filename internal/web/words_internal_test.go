package web

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"github.com/go-kit/log"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// locked is an image API that nobody gets into.
type locked struct{ collector.API }

func (locked) Enter(context.Context) ([]client.Scope, error) {
	return nil, &client.Error{Op: client.OpAuthenticate, Code: "503", StatusCode: 503}
}

func (locked) State() client.State { return client.State{} }

// A machine that slept shows nothing as fresh that it saw before: the clock that time.Time.Sub goes by stood still.
func TestAgesWhileAMachineSleeps(t *testing.T) {
	c := collector.New(locked{}, collector.DefaultOptions(), log.NewNopLogger())
	t.Cleanup(c.Close)
	began := time.Now()
	c.Collect(t.Context(), collector.Limits{Timeout: time.Second})
	now := time.Now()
	if v := newCloudView(c, "", "", now); v.Condition != unreadable {
		t.Fatalf("before: %s", v.State())
	}
	seconds := (*uint64)(unsafe.Pointer(&now)) // since 1885, above 30 bits of nanoseconds
	*seconds += 2 * 3600 << 30
	if slept := now.Sub(began); slept > time.Minute {
		t.Fatalf("time.Time.Sub has %s, so this is no such time", slept)
	}
	if got := since(began, now).Round(time.Minute); got != 2*time.Hour {
		t.Errorf("got %s, want 2h", got)
	}
	if v := newCloudView(c, "", "", now); v.Condition != outdated || v.Read.Ago() != "2 h ago" {
		t.Errorf("%s, %s", v.State(), v.Read.Ago())
	}
	// A wall clock that is set back makes nothing young, and is no future.
	*seconds -= 4 * 3600 << 30
	if got := (moment{began.Add(-time.Hour), now}).Ago(); got != "60 min ago" {
		t.Errorf("got %s", got)
	}
}
