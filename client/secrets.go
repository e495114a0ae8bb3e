package client

import (
	"encoding/base64"
	"errors"
	"math/bits"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

const (
	redacted = "<secret>"

	// A secret of at least longSecret bytes is removed wherever it stands. A shorter one is a part of ordinary words, so it is
	// removed only as a whole word, and below shortSecret not at all.
	longSecret  = 8
	shortSecret = 4

	maxSecrets  = 8192     // that came up at run time: tokens and temporary keys
	maxRedacted = 16 << 10 // bytes of an error's text; some 200 characters of it are shown
	maxSteps    = 50_000   // escapes that are read to find the secrets in a text. Many backslashes have millions of readings.
)

// Secrets knows every secret of one cloud and removes it from texts, however it is encoded there. All texts that a [Client]
// returns have been through it, but for tags, which are compared and not shown. The zero value knows no secret. It is safe for
// concurrent use.
type Secrets struct {
	mu      sync.RWMutex
	known   map[string]bool
	order   []string           // of those that may be dropped, the oldest first
	forms   map[[2]byte][]form // by the first two bytes
	begins  []uint64           // a bit for each pair of first bytes, because every ID of every scrape is looked through
	headers map[string]string  // see watch; nil: only those that usually have a secret
}

// form is a secret as it is, or its base64.
type form struct {
	text string
	// base64 is whether the text is base64. It may be a part of an encoding of something longer, which is removed with it.
	base64 bool
	// parameter is whether the text may be an ID too, see [Secrets.refuse].
	parameter bool
}

// Add adds secrets that do not change: those of the configuration.
func (s *Secrets) Add(values ...string) { s.add(true, false, values) }

// AddParameters adds values that may be secrets, such as those of headers. An ID may be equal to one.
func (s *Secrets) AddParameters(values ...string) { s.add(true, true, values) }

// AddHeaders adds the names of headers whose values are secrets.
func (s *Secrets) AddHeaders(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.headers == nil {
		s.headers = map[string]string{}
	}
	for _, name := range names {
		s.headers[textproto.CanonicalMIMEHeaderKey(name)] = name
	}
}

// learn adds secrets that came up at run time. The oldest ones are dropped when there are too many.
func (s *Secrets) learn(values ...string) { s.add(false, false, values) }

func (s *Secrets) add(forever, parameter bool, values []string) {
	s.mu.RLock()
	news := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return len(v) < shortSecret || s.known[v] })
	s.mu.RUnlock()
	if len(news) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known, s.forms, s.begins = map[string]bool{}, map[[2]byte][]form{}, make([]uint64, 1<<16/64)
	}
	for _, v := range news {
		if s.known[v] {
			continue
		}
		s.known[v] = true
		for _, f := range formsOf(v, parameter) {
			pair := [2]byte{f.text[0], f.text[1]}
			s.forms[pair] = append(s.forms[pair], f)
			s.begins[int(pair[0])<<2|int(pair[1])>>6] |= 1 << (pair[1] & 63)
		}
		if !forever {
			s.order = append(s.order, v)
		}
	}
	if len(s.order) > maxSecrets {
		s.drop(s.order[:maxSecrets/2])
		s.order = slices.Clone(s.order[maxSecrets/2:])
	}
}

// drop forgets secrets. The caller holds mu.
func (s *Secrets) drop(values []string) {
	gone := map[string]bool{}
	for _, v := range values {
		delete(s.known, v)
		for _, f := range formsOf(v, false) {
			gone[f.text] = true
		}
	}
	for pair, list := range s.forms {
		if s.forms[pair] = slices.DeleteFunc(list, func(f form) bool { return gone[f.text] }); len(s.forms[pair]) == 0 {
			delete(s.forms, pair)
		}
	}
}

// formsOf returns the forms of a secret. Percent signs, escapes and entities are no forms: [form.match] reads them.
func formsOf(secret string, parameter bool) []form {
	var list []form
	add := func(text string, base64 bool) {
		if len(text) >= shortSecret && !slices.ContainsFunc(list, func(f form) bool { return f.text == text }) {
			list = append(list, form{text, base64, parameter})
		}
	}
	add(secret, false)
	add(oneLine(secret), false)
	for _, plain := range []string{secret, url.QueryEscape(secret)} { // RFC 6749 quotes a password before its base64.
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			add(encoding.EncodeToString([]byte(plain)), true)
			// Behind a user's name, the secret may begin at any of the three bytes that four characters stand for. The
			// characters at both ends depend on what is beside the secret.
			for before := range 3 {
				coded := encoding.EncodeToString(append(make([]byte, before), plain...))
				if from, to := (before*8+5)/6, (before+len(plain))*8/6; to-from >= longSecret {
					add(coded[from:to], true)
				}
			}
		}
	}
	return list
}

// userInfo is what stands before the host of a URL. It is a secret, whoever's it is.
var userInfo = regexp.MustCompile(`://[^\s/"'<>]*@`)

// Redact returns the text without the secrets. It does not shorten it: that comes after, or a part of a secret could be left
// at the end.
func (s *Secrets) Redact(text string) string {
	if strings.Contains(text, "://") {
		text = userInfo.ReplaceAllString(text, "://"+redacted+"@")
	}
	text, _ = s.replace(text)
	return text
}

// message returns an error's text without secrets, shortened.
func (s *Secrets) message(text string) string {
	return shorten(s.Redact(cut(text, maxRedacted)))
}

// replace returns the text without the secrets, and whether one was a credential.
func (s *Secrets) replace(text string) (_ string, credential bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.forms) == 0 {
		return text, false
	}
	var b strings.Builder
	done, steps := 0, maxSteps
	for at := 0; at < len(text); at++ {
		from, to, f := s.longest(text, at, &steps)
		if to == 0 {
			continue
		}
		b.WriteString(text[done:max(from, done)] + redacted)
		credential = credential || !f.parameter
		done, at = to, to-1
	}
	return b.String() + text[done:], credential
}

// longest returns where the longest secret that begins at a byte of the text begins and ends, 0 for none.
func (s *Secrets) longest(text string, at int, steps *int) (from, to int, found form) {
	look := func(forms []form) {
		for _, f := range forms {
			n, ok := f.match(text[at:], 0, steps)
			if !ok || len(f.text) < longSecret && !isWord(text, at, at+n) {
				continue
			}
			begin, end := at, at+n
			if f.base64 {
				begin = len(strings.TrimRight(text[:at], base64Letters))
				end = len(text) - len(strings.TrimLeft(text[end:], base64Letters+"="))
			}
			if end > to || end == to && (begin < from || found.parameter) {
				from, to, found = begin, end, f
			}
		}
	}
	if at+1 == len(text) {
		return 0, 0, form{} // a form has more than one byte
	}
	if first, second := text[at], text[at+1]; !isEscape(first) && !isEscape(second) {
		if s.begins[int(first)<<2|int(second)>>6]&(1<<(second&63)) != 0 {
			look(s.forms[[2]byte{first, second}])
		}
		return from, to, found
	}
	for _, r := range readings(text[at:], 0) {
		for word, set := range s.begins[int(r.text[0])<<2 : int(r.text[0])<<2+4] {
			for ; set != 0; set &= set - 1 {
				look(s.forms[[2]byte{r.text[0], byte(word<<6 | bits.TrailingZeros64(set))}])
			}
		}
	}
	return from, to, found
}

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"

// cutOff matches the end of a text that was shortened.
var cutOff = regexp.MustCompile(`^(…|-[0-9a-f]{64}$)`)

// match returns how many bytes at the start of the text spell the form from its byte k on. The start of a form is enough
// where the text was cut off. Each escape that is read is a step. When there is no step left, the rest of the text counts as
// the form.
func (f form) match(text string, k int, steps *int) (n int, ok bool) {
	for k < len(f.text) {
		switch {
		case n == len(text):
			return 0, false
		case k >= shortSecret && (text[n] == '-' || text[n] == "…"[0]) && cutOff.MatchString(text[n:]):
			return n, true
		case !isEscape(text[n]):
			if text[n] != f.text[k] {
				return 0, false
			}
			n, k = n+1, k+1
			continue
		case *steps == 0:
			return len(text), true
		}
		*steps--
		for _, r := range slices.Backward(readings(text[n:], 0)) {
			if strings.HasPrefix(f.text[k:], r.text) {
				if more, ok := f.match(text[n+r.n:], k+len(r.text), steps); ok {
					return n + r.n + more, true
				}
			}
		}
		return 0, false
	}
	return n, true
}

// refuse returns an error if one of the IDs or URLs has a credential in it: it cannot be shown, and without a part it would
// be another one.
func (s *Secrets) refuse(ids ...string) error {
	for _, id := range ids {
		if _, credential := s.replace(id); credential {
			return errSecretID
		}
	}
	return nil
}

var errSecretID = errors.New("an ID in the response has a secret of this exporter in it: the server, or a proxy before it, " +
	"returns what it received, correct it")

// redactImages removes the secrets from images, or returns why that is not possible.
func (s *Secrets) redactImages(images []Image) error {
	for i := range images {
		img := &images[i]
		if err := s.refuse(img.ID, img.Owner); err != nil {
			return err
		}
		img.Name, img.Status = s.Redact(img.Name), s.Redact(img.Status)
		if !img.Visibility.Known() {
			img.Visibility = Visibility(s.Redact(string(img.Visibility)))
		}
	}
	return nil
}

// refuseMembers is refuse for members.
func (s *Secrets) refuseMembers(members []Member) error {
	for _, m := range members {
		if err := s.refuse(m.ID, string(m.Type)); err != nil {
			return err
		}
	}
	return nil
}
