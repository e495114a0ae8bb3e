package exposition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Page is the response to one scrape. It shares most of its bytes with the [Series] that it was made of.
type Page struct {
	pieces   []piece
	size     int // uncompressed
	deflated int
	crc      uint32
}

// Join makes a page of the series of several sources, in their order, and of other families, whose names are different.
// With names, the page has only these families. All series must be in the format. After an error, the page still has
// the rest.
func Join(format expfmt.Format, sources []*Series, others []*dto.MetricFamily, names ...string) (*Page, error) {
	var (
		raw     bytes.Buffer
		encoder = expfmt.NewEncoder(&raw, format)
		page    = &Page{}
		errs    []error
		deflate = newDeflater()
	)
	defer deflate.free()
	flush := func() {
		if raw.Len() > 0 {
			page.add(deflate.piece(raw.Bytes()))
			raw.Reset()
		}
	}
	for _, g := range groups(sources, others) {
		switch {
		case len(names) > 0 && !slices.Contains(names, g.name):
		case g.other != nil:
			if err := encoder.Encode(g.other); err != nil {
				errs = append(errs, err)
			}
		default:
			header := g.families[0].header
			if format.FormatType() == expfmt.TypeProtoDelim {
				length := len(header)
				for _, f := range g.families {
					length += f.bytes
				}
				raw.Write(binary.AppendUvarint(nil, uint64(length)))
			}
			raw.Write(header)
			flush()
			for _, f := range g.families {
				for _, p := range f.pieces {
					page.add(p)
				}
			}
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil { // writes the last line of OpenMetrics
			errs = append(errs, err)
		}
	}
	flush()
	return page, errors.Join(errs...)
}

// group is a family of a page.
type group struct {
	name     string
	families []*family         // one per source
	other    *dto.MetricFamily // else this one
}

// groups returns the families of a page, sorted by name.
func groups(sources []*Series, others []*dto.MetricFamily) (list []*group) {
	byName := map[string]*group{}
	for _, s := range sources {
		for _, f := range s.families {
			g := byName[f.name]
			if g == nil {
				g = &group{name: f.name}
				byName[f.name] = g
				list = append(list, g)
			}
			g.families = append(g.families, f)
		}
	}
	for _, other := range others {
		list = append(list, &group{name: other.GetName(), other: other})
	}
	slices.SortStableFunc(list, func(a, b *group) int { return strings.Compare(a.name, b.name) })
	return list
}

func (p *Page) add(next piece) {
	p.pieces = append(p.pieces, next)
	p.crc = joined(p.crc, next.crc, next.size)
	p.size += next.size
	p.deflated += len(next.deflated)
}

// Size returns the length of the page in bytes.
func (p *Page) Size() int { return p.size }

// The gzip frame of a page: before the pieces a header without time or name, of an unknown system, and after them an
// empty last block, the CRC and the length.
var (
	gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 0xff}
	lastBlock  = []byte{3, 0}
)

const gzipTrailer = 8

// GzipSize returns the length of the page in bytes, compressed with gzip.
func (p *Page) GzipSize() int { return len(gzipHeader) + p.deflated + len(lastBlock) + gzipTrailer }

// WriteGzip writes the page compressed with gzip.
func (p *Page) WriteGzip(w io.Writer) error {
	trailer := binary.LittleEndian.AppendUint32(slices.Clone(lastBlock), p.crc)
	trailer = binary.LittleEndian.AppendUint32(trailer, uint32(p.size)) // modulo 2^32, see RFC 1952
	if _, err := w.Write(gzipHeader); err != nil {
		return err
	}
	for i := range p.pieces {
		if _, err := w.Write(p.pieces[i].deflated); err != nil {
			return err
		}
	}
	_, err := w.Write(trailer)
	return err
}

// inflaters are pooled, because each has a window of 32 KiB.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(nil) }}

// WritePlain writes the page uncompressed.
func (p *Page) WritePlain(w io.Writer) error {
	parts := make([]io.Reader, 0, len(p.pieces)+1)
	for i := range p.pieces {
		parts = append(parts, bytes.NewReader(p.pieces[i].deflated))
	}
	inflater := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(inflater)
	compressed := io.MultiReader(append(parts, bytes.NewReader(lastBlock))...)
	if err := inflater.(flate.Resetter).Reset(compressed, nil); err != nil {
		return err
	}
	_, err := io.Copy(w, inflater)
	return err
}
