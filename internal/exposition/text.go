package exposition

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// text writes gauges in the text formats as the library does, at a fraction of its cost: leading labels that a series
// shares with the previous one are not escaped again.
type text struct {
	openMetrics bool

	labels  []*dto.LabelPair // of the last series
	written []byte           // these labels as text, from the brace to the last quote
	ends    []int            // of each label in written
}

// newText returns nil for a format that text does not write: protobuf, and those with dots escaping.
func newText(format expfmt.Format) *text {
	kind := format.FormatType()
	isText := kind == expfmt.TypeTextPlain || kind == expfmt.TypeOpenMetrics
	if !isText || format.ToEscapingScheme() == model.DotsEscaping {
		return nil
	}
	return &text{openMetrics: kind == expfmt.TypeOpenMetrics}
}

func (t *text) append(to []byte, name string, labels []*dto.LabelPair, value float64) []byte {
	to = append(to, name...)
	if len(labels) > 0 {
		t.write(labels)
		to = append(append(to, t.written...), '}')
	}
	return append(t.number(append(to, ' '), value), '\n')
}

// write writes labels, except the leading ones that are already written.
func (t *text) write(labels []*dto.LabelPair) {
	same, end := 0, 0
	for same < min(len(labels), len(t.labels)) && labels[same] == t.labels[same] {
		end = t.ends[same]
		same++
	}
	t.written, t.ends = t.written[:end], t.ends[:same]
	for i, label := range labels[same:] {
		separator := byte(',')
		if same+i == 0 {
			separator = '{'
		}
		t.written = append(append(append(t.written, separator), label.GetName()...), `="`...)
		t.written = append(appendEscaped(t.written, label.GetValue()), '"')
		t.ends = append(t.ends, len(t.written))
	}
	t.labels = labels
}

var escaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func appendEscaped(to []byte, value string) []byte {
	if strings.IndexByte(value, '"') >= 0 || strings.IndexByte(value, '\\') >= 0 || strings.IndexByte(value, '\n') >= 0 {
		value = escaper.Replace(value)
	}
	return append(to, value...)
}

// number appends a value, in OpenMetrics with a decimal point or an exponent.
func (t *text) number(to []byte, value float64) []byte {
	start := len(to)
	switch {
	case value >= 0 && value < 1000 && value == math.Trunc(value):
		to = strconv.AppendInt(to, int64(value), 10)
	case math.IsInf(value, 0), math.IsNaN(value):
		return strconv.AppendFloat(to, value, 'g', -1, 64)
	default:
		to = strconv.AppendFloat(to, value, 'g', -1, 64)
	}
	if t.openMetrics && !bytes.ContainsAny(to[start:], "e.") {
		to = append(to, ".0"...)
	}
	return to
}
