package exporter

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kit/log"

	"glance_share_exporter/collector"
)

// slowClient is a client whose end takes an hour.
type slowClient struct{ connected }

func (slowClient) Close() { time.Sleep(time.Hour) }

// Close does not wait for clouds that take long to close, however many there are.
func TestCloseOfSlowClouds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Runtime{watch: watch{slot: make(chan struct{}, 1)}}
		clouds := &running{}
		for range 3 {
			c := slowClient{}
			opts := collector.Options{Name: "slow", Concurrency: 1}
			clouds.clouds = append(clouds.clouds, runningCloud{client: c, collector: collector.New(c, opts, log.NewNopLogger())})
		}
		r.current.Store(clouds)
		began := time.Now()
		r.Close()
		if took := time.Since(began); took != closeTimeout {
			t.Errorf("Close took %s", took)
		}
		time.Sleep(time.Hour) // for the goroutines that go on
	})
}
