package exposition

import (
	"bytes"
	"hash/crc32"
	"sync"

	"github.com/klauspost/compress/flate"
)

// piece is a part of a page, compressed so that it can follow any other: it refers to nothing before it, and ends at a
// byte boundary.
type piece struct {
	deflated []byte
	size     int // uncompressed
	crc      uint32
}

// deflater makes pieces.
type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

// deflaters are pooled, because each has tables of some hundred kilobytes.
var deflaters = sync.Pool{New: func() any {
	d := &deflater{}
	// The default level makes a page a tenth smaller, and takes as long as the rest of rendering.
	w, err := flate.NewWriter(&d.out, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	d.w = w
	return d
}}

func newDeflater() *deflater { return deflaters.Get().(*deflater) }

func (d *deflater) free() { deflaters.Put(d) }

func (d *deflater) piece(raw []byte) piece {
	d.out.Reset()
	d.w.Reset(&d.out)
	_, _ = d.w.Write(raw) // never fails
	_ = d.w.Flush()
	return piece{deflated: bytes.Clone(d.out.Bytes()), size: len(raw), crc: crc32.ChecksumIEEE(raw)}
}

// joined returns the CRC-32 of two concatenated texts from the CRC-32 of each and the length of the second. A CRC is
// the remainder of a polynomial over GF(2), with the coefficient of its highest power in the lowest bit. Each
// additional byte multiplies the polynomial by x to the power of 8.
func joined(a, b uint32, length int) uint32 {
	shift, square := uint32(1)<<31, uint32(1)<<23 // 1, and x to the power of 8
	for ; length > 0; length >>= 1 {
		if length&1 == 1 {
			shift = multiply(shift, square)
		}
		square = multiply(square, square)
	}
	return multiply(shift, a) ^ b
}

// multiply multiplies two polynomials modulo that of CRC-32.
func multiply(a, b uint32) (product uint32) {
	for ; a != 0; a <<= 1 {
		if a>>31 == 1 {
			product ^= b
		}
		carry := b & 1
		b >>= 1
		if carry == 1 {
			b ^= crc32.IEEE
		}
	}
	return product
}
