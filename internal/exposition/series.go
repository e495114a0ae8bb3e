// Package exposition renders the series of a source once, for all scrapes of it.
//
// A page consists of the series of several sources and of its own metrics, and a family that several sources have is
// one group under one header. So [Render] keeps the series of a source by family, and [Join] puts them together. All
// series are compressed with DEFLATE in pieces that can be in any order: all pages are made of the same bytes, which
// are decompressed while they are written to a client that does not accept gzip.
package exposition

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/protobuf/encoding/protowire"
)

// Formats returns the formats of pages, the preferred one first.
func Formats() []expfmt.Format {
	return []expfmt.Format{expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtOpenMetrics_0_0_1, expfmt.FmtProtoDelim, expfmt.FmtText}
}

// Emit receives a gauge of a family, which has a name, a help text and no metrics. The labels are sorted by name.
// Neither labels nor families are ever changed. Names consist of letters, digits and underscores.
type Emit func(family *dto.MetricFamily, labels []*dto.LabelPair, value float64)

// Series are the series of one source in one format.
type Series struct {
	format   expfmt.Format
	families []*family // sorted by name
	size     int
}

// Size returns how many bytes of memory the series use.
func (s *Series) Size() int { return s.size }

// family has the series of a source in one family.
type family struct {
	name   string
	header []byte // of the family in a page, without the length that precedes it in protobuf
	pieces []piece
	bytes  int // of the pieces, uncompressed

	of   *dto.MetricFamily
	raw  *bytes.Buffer // series that are not compressed yet
	rest []*dto.Metric // series that are not encoded yet
}

// pieceSize is about how many bytes are compressed at once: enough to compress well, and little memory for each of
// forty families.
const pieceSize = 64 << 10

// Render renders what source emits in one of [Formats].
func Render(format expfmt.Format, source func(Emit)) (*Series, error) {
	r := renderer{format: format, text: newText(format), byFamily: map[*dto.MetricFamily]*family{}, deflater: newDeflater()}
	defer r.deflater.free()
	source(r.emit)
	s := &Series{format: format}
	for _, f := range r.byFamily {
		r.encode(f)
		r.compress(f)
		raws.Put(f.raw)
		f.of, f.raw, f.rest = nil, nil, nil
		if len(f.pieces) == 0 {
			continue // none could be encoded
		}
		s.families = append(s.families, f)
		s.size += len(f.header)
		for i := range f.pieces {
			s.size += len(f.pieces[i].deflated)
		}
	}
	slices.SortFunc(s.families, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	return s, r.err
}

// add adds a series to encode. It reuses the memory of one that was encoded.
func (f *family) add(labels []*dto.LabelPair, value float64) {
	if n := len(f.rest); n < cap(f.rest) && f.rest[:n+1][n] != nil {
		f.rest = f.rest[:n+1]
		f.rest[n].Label, *f.rest[n].Gauge.Value = labels, value
		return
	}
	f.rest = append(f.rest, &dto.Metric{Label: labels, Gauge: &dto.Gauge{Value: &value}})
}

// raws are pooled: those of forty families are a sixth of what a scrape allocates.
var raws = sync.Pool{New: func() any { return new(bytes.Buffer) }}

type renderer struct {
	format   expfmt.Format
	byFamily map[*dto.MetricFamily]*family
	deflater *deflater
	text     *text // nil: the library encodes
	buffer   bytes.Buffer
	err      error // the first one
}

// batch is how many series of a family are encoded at once.
const batch = 256

func (r *renderer) emit(of *dto.MetricFamily, labels []*dto.LabelPair, value float64) {
	f := r.byFamily[of]
	if f == nil {
		f = &family{name: of.GetName(), of: of, raw: raws.Get().(*bytes.Buffer)}
		r.byFamily[of] = f
	}
	if r.text != nil && f.header != nil {
		f.raw.Write(r.text.append(f.raw.AvailableBuffer(), f.name, labels, value))
	} else {
		f.add(labels, value)
		if len(f.rest) == batch || r.text != nil { // the header is made with the first one
			r.encode(f)
		}
	}
	if f.raw.Len() >= pieceSize {
		r.compress(f)
	}
}

// encode encodes the rest of a family with the library's encoder, which writes the header each time.
func (r *renderer) encode(f *family) {
	if len(f.rest) == 0 {
		return
	}
	r.buffer.Reset()
	whole := &dto.MetricFamily{Name: f.of.Name, Help: f.of.Help, Type: f.of.Type, Metric: f.rest}
	err := expfmt.NewEncoder(&r.buffer, r.format).Encode(whole)
	header, series, splitErr := split(r.format, r.buffer.Bytes())
	if err == nil {
		err = splitErr
	}
	f.rest = f.rest[:0]
	if err != nil {
		r.fail(f, err)
		return
	}
	if f.header == nil {
		f.header = bytes.Clone(header)
	}
	f.raw.Write(series)
}

func (r *renderer) fail(f *family, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("encoding %s: %w", f.name, err)
	}
}

func (r *renderer) compress(f *family) {
	if f.raw.Len() > 0 {
		f.bytes += f.raw.Len()
		f.pieces = append(f.pieces, r.deflater.piece(f.raw.Bytes()))
		f.raw.Reset()
	}
}

// split divides an encoded family into its header and its series.
func split(format expfmt.Format, encoded []byte) (header, series []byte, err error) {
	if format.FormatType() != expfmt.TypeProtoDelim {
		rest := encoded
		for range 2 { // HELP and TYPE
			_, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				return nil, nil, fmt.Errorf("no header in %q", encoded)
			}
			rest = after
		}
		return encoded[:len(encoded)-len(rest)], rest, nil
	}
	_, n := protowire.ConsumeVarint(encoded) // the length
	if n < 0 {
		return nil, nil, protowire.ParseError(n)
	}
	message := encoded[n:]
	field := (*dto.MetricFamily)(nil).ProtoReflect().Descriptor().Fields().ByName("metric").Number()
	for at := 0; at < len(message); {
		number, _, n := protowire.ConsumeField(message[at:])
		if n < 0 {
			return nil, nil, protowire.ParseError(n)
		}
		if number == field {
			return message[:at], message[at:], nil // the series come last
		}
		at += n
	}
	return message, nil, nil
}
