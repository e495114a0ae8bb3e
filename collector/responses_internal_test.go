package collector

import (
	"testing"
	"time"
	"unsafe"
)

// A machine that slept for an hour: its wall clock has gone on, and the one that time.Since goes by has not.
func TestAgeWhileAMachineSleeps(t *testing.T) {
	began := time.Now()
	seconds := (*uint64)(unsafe.Pointer(&began)) // since 1885, above 30 bits of nanoseconds
	*seconds -= 3600 << 30
	if since := time.Since(began); since > time.Minute {
		t.Fatalf("time.Since has %s, so this is no such time", since)
	}
	if got := age(began).Round(time.Minute); got != time.Hour {
		t.Errorf("got %s, want 1h", got)
	}
	// A wall clock that is set back makes nothing young.
	*seconds += 2 * 3600 << 30
	if got := age(began); got < 0 || got > time.Minute {
		t.Errorf("got %s, want next to nothing", got)
	}
	if got := age(time.Now().Add(-time.Hour)).Round(time.Minute); got != time.Hour {
		t.Errorf("got %s, want 1h", got)
	}
}
