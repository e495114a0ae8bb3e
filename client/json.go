package client

import (
	"errors"
	"strconv"
	"strings"

	// The mirror of encoding/json/v2. Unlike encoding/json it refuses duplicate names, invalid UTF-8 and names in another
	// letter case, where one value could hide another. Its go.mod calls it experimental, so no other file imports it: change
	// to encoding/json/v2 when go.mod says Go 1.27.
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// rawJSON is an undecoded value.
type rawJSON = jsontext.Value

// decode reads a response into v. It refuses invalid UTF-8, two members of the same name in an object, and, for a field
// with the tag case:ignore, two whose names differ only in letter case, underscores and hyphens.
func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return shapeError(err)
	}
	return nil
}

// otherSpelling refuses a name that differs from that of a list in letter case, underscores or hyphens: the meaning of such a
// list is unknown.
type otherSpelling struct{}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (otherSpelling) UnmarshalJSONFrom(*jsontext.Decoder) error {
	return errors.New("is another spelling of the name of the list")
}

// property is one value of an object. The object can be decoded even if the value cannot.
type property[T any] struct {
	value T
	read  bool
	// odd is whether the value is of another type or, where an object may have duplicate names, not the only one.
	odd bool
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *property[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	odd := p.read
	p.read = true
	if text, ok := any(&p.value).(*string); ok && dec.PeekKind() == '"' {
		// The common case, for which no second decoder is needed.
		if err := json.UnmarshalDecode(dec, text); err != nil {
			return err
		}
	} else {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		odd = json.Unmarshal(raw, &p.value, jsontext.AllowInvalidUTF8(true)) != nil || odd
	}
	if odd {
		*p = property[T]{read: true, odd: true}
	}
	return nil
}

// record is an object to which others may add any name and any text, as an image's owner may. So its names are
// case-sensitive, and duplicate names and invalid UTF-8 do not make the rest unreadable. Any other value counts as an empty
// object.
type record[T any] struct{ value T }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (r *record[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '{' {
		return dec.SkipValue()
	}
	// The encoding/json/v2 of Go 1.26 (GOEXPERIMENT=jsonv2) ignores these options here, and refuses the whole response.
	return json.UnmarshalDecode(dec, &r.value, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// shapeError returns a short error for a body that is not the expected JSON.
func shapeError(err error) error {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	if ok && errors.Is(syntax, jsontext.ErrDuplicateName) {
		return errors.New("response with duplicate key " + strconv.Quote(clean(syntax.JSONPointer.LastToken())))
	}
	semantic, ok := errors.AsType[*json.SemanticError](err)
	if !ok {
		return errors.New("invalid JSON in the response: " + clean(strings.TrimPrefix(err.Error(), "jsontext: ")))
	}
	kind := strings.NewReplacer("{", "object", "[", "array").Replace(semantic.JSONKind.String())
	switch where := strconv.Quote(clean(string(semantic.JSONPointer))); {
	case semantic.Err != nil:
		return errors.New(where + " in the response " + semantic.Err.Error())
	case semantic.JSONPointer == "":
		return errors.New("response is a JSON " + kind + ", not an object")
	default:
		return errors.New(where + " in the response is a JSON " + kind)
	}
}
