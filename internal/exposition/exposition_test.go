package exposition_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/proto"

	"glance_share_exporter/internal/exposition"
)

// formats are all that a page may be asked for in.
func formats() (list []expfmt.Format) {
	for _, format := range exposition.Formats() {
		for _, escaping := range []string{"underscores", "dots", "values", "allow-utf-8"} {
			list = append(list, format+expfmt.Format("; escaping="+escaping))
		}
	}
	return list
}

// sample is a series that a source emits.
type sample struct {
	family *dto.MetricFamily
	labels []*dto.LabelPair
	value  float64
}

func emitter(samples []sample) func(exposition.Emit) {
	return func(emit exposition.Emit) {
		for _, s := range samples {
			emit(s.family, s.labels, s.value)
		}
	}
}

func family(name, help string) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum()}
}

func label(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// library is the page that the library's encoder writes.
func library(t *testing.T, format expfmt.Format, samples []sample, others ...*dto.MetricFamily) []byte {
	t.Helper()
	var families []*dto.MetricFamily
	byFamily := map[*dto.MetricFamily]*dto.MetricFamily{}
	for _, s := range samples {
		f := byFamily[s.family]
		if f == nil {
			f = proto.CloneOf(s.family)
			byFamily[s.family] = f
			families = append(families, f)
		}
		f.Metric = append(f.Metric, &dto.Metric{Label: s.labels, Gauge: &dto.Gauge{Value: &s.value}})
	}
	var page bytes.Buffer
	encoder := expfmt.NewEncoder(&page, format)
	for _, f := range append(families, others...) {
		if err := encoder.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := encoder.(expfmt.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

// check compares a page of sources with the library's.
func check(t *testing.T, format expfmt.Format, want []byte, sources [][]sample, others ...*dto.MetricFamily) {
	t.Helper()
	series := make([]*exposition.Series, len(sources))
	for i, samples := range sources {
		var err error
		if series[i], err = exposition.Render(format, emitter(samples)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := exposition.Join(format, series, others)
	if err != nil {
		t.Fatal(err)
	}
	var plain, packed bytes.Buffer
	if err := page.WritePlain(&plain); err != nil {
		t.Fatal(err)
	}
	if err := page.WriteGzip(&packed); err != nil {
		t.Fatal(err)
	}
	if plain.Len() != page.Size() || packed.Len() != page.GzipSize() {
		t.Errorf("%d and %d bytes, want %d and %d", page.Size(), page.GzipSize(), plain.Len(), packed.Len())
	}
	z, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false) // some readers take the first member for all
	unpacked, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(plain.Bytes(), want) || !bytes.Equal(unpacked, want) {
		t.Errorf("%s\ngot  %.400q\ngzip %.400q\nwant %.400q", format, plain.Bytes(), unpacked, want)
	}
}

// Every value and every text is written as the library writes it.
func TestEveryValueAndText(t *testing.T) {
	cloud, a, b := label("cloud", "prod"), label("image_id", "a"), label("image_id", "b")
	lists := [][]*dto.LabelPair{
		nil, {cloud}, {cloud, a}, {cloud, a, label("status", "x")}, {cloud, b}, {cloud, label("image_id", "b")}, {a}, {cloud, a},
	}
	for _, text := range []string{"", `"`, `\`, "\n", `a\nb`, "镜像", "tab\there", "\x00"} {
		lists = append(lists, []*dto.LabelPair{cloud, label("image_name", text)})
	}
	values := []float64{
		0, 1, -1, math.Copysign(0, -1), 0.5, -0.5, 200, 999, 999.5, 1000, 123456, 1e6, 1e20, 1e21, 1e-5, 1756300000.123,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(),
	}
	var samples []sample
	one, two := family("a_one", "Help with \"quotes\",\na \\ and two lines."), family("b_two", "")
	for _, f := range []*dto.MetricFamily{one, two} {
		for _, labels := range lists {
			for _, value := range values {
				samples = append(samples, sample{f, labels, value})
			}
		}
	}
	for _, format := range formats() {
		check(t, format, library(t, format, samples), [][]sample{samples})
	}
}

// A page of many pieces is whole, whatever their number and their order.
func TestManyPieces(t *testing.T) {
	one, two, other := family("a_one", "One."), family("b_two", "Two."), family("c_other", "Other.")
	other.Metric = []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(7)}}}
	source := func(name string, n int) (ones, twos, both []sample) {
		cloud := label("cloud", name)
		for i := range n {
			labels := []*dto.LabelPair{cloud, label("image_id", fmt.Sprintf("%036d", i*i))}
			ones, twos = append(ones, sample{one, labels, float64(i)}), append(twos, sample{two, labels, 1})
			both = append(both, ones[i], twos[i])
		}
		return ones, twos, both
	}
	smallOnes, smallTwos, small := source("small", 3)
	largeOnes, largeTwos, large := source("large", 5000)
	all := append(append(append(smallOnes, largeOnes...), smallTwos...), largeTwos...)
	for _, format := range formats() {
		check(t, format, library(t, format, all, other), [][]sample{small, large}, other)
		check(t, format, library(t, format, nil), nil)
		check(t, format, library(t, format, nil, other), [][]sample{nil}, other)
	}
}

// A family that cannot be encoded costs no other.
func TestABadFamilyCostsNoOther(t *testing.T) {
	good := family("a_good", "Good.")
	bad, last := &dto.MetricFamily{Name: proto.String("b_bad"), Type: dto.MetricType_GAUGE.Enum()}, family("c_last", "Last.")
	bad.Metric = []*dto.Metric{{}} // no gauge
	last.Metric = []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(7)}}}
	series, err := exposition.Render(expfmt.FmtText, emitter([]sample{{good, nil, 1}}))
	if err != nil {
		t.Fatal(err)
	}
	page, err := exposition.Join(expfmt.FmtText, []*exposition.Series{series}, []*dto.MetricFamily{bad, last})
	if err == nil {
		t.Error("no error")
	}
	var plain bytes.Buffer
	if err := page.WritePlain(&plain); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a_good 1\n", "c_last 7\n"} {
		if !bytes.Contains(plain.Bytes(), []byte(want)) {
			t.Errorf("no %q in %q", want, plain.Bytes())
		}
	}
}
