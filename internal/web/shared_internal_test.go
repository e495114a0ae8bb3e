package web

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"glance_share_exporter/internal/exposition"
)

// timedConnection is a connection whose end can be seen.
type timedConnection struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (c *timedConnection) SetWriteDeadline(t time.Time) error {
	c.deadline = t
	return nil
}

// Those who read what is oldest are cut off when readers hold too much, and nobody else.
func TestReadersHoldABoundedNumberOfBytes(t *testing.T) {
	name, help := "glance_up", "Help."
	family := &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum()}
	series, err := exposition.Render(expfmt.FmtText, func(emit exposition.Emit) { emit(family, nil, 1) })
	if err != nil {
		t.Fatal(err)
	}
	shared := newSharedSeries()
	shared.most = 3 * series.Size()
	add := func() *heldSeries {
		h := &heldSeries{users: 1, render: func() (*exposition.Series, error) { return series, nil }}
		shared.held = append(shared.held, h)
		return h
	}
	begin := func(series ...*heldSeries) (*timedConnection, *reader) {
		c := &timedConnection{ResponseRecorder: httptest.NewRecorder()}
		r := &reader{series: series, connection: http.NewResponseController(c)}
		shared.begin(r)
		return c, r
	}
	oldest := add()
	first, firstReader := begin(oldest)
	oldest.users++
	second, _ := begin(oldest, add())
	third, thirdReader := begin(add())
	for i, c := range []*timedConnection{first, second, third} {
		if !c.deadline.IsZero() {
			t.Errorf("%d is cut off, though readers hold no more than they may", i)
		}
	}
	fourth, _ := begin(add())
	if first.deadline.IsZero() || second.deadline.IsZero() {
		t.Error("those who read what is oldest are not cut off")
	}
	if !third.deadline.IsZero() || !fourth.deadline.IsZero() {
		t.Error("others are cut off")
	}
	shared.end(firstReader)
	shared.release(firstReader.series)
	if !first.deadline.IsZero() {
		t.Error("the deadline stays with the connection")
	}
	shared.end(thirdReader)
	shared.release(thirdReader.series)
	if n := len(shared.held); n != 3 {
		t.Errorf("%d are held, want 3", n)
	}
}
