package exporter

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A first load that hangs does not keep the program from ending either.
func TestLoadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		time.AfterFunc(time.Hour, cancel)
		_, err := interruptible(ctx, func() (int, error) { <-hang; return 0, nil })
		if err == nil || err.Error() != "loading the configuration: context canceled" {
			t.Error(err)
		}
		close(hang)
		if got, err := interruptible(ctx, func() (int, error) { return 5, nil }); got != 5 || err != nil {
			t.Errorf("one that does not hang is finished: %d, %v", got, err)
		}
	})
}
