package client

import (
	"encoding/json"
	"regexp"
	"strings"
)

// serverError is the content of an error body.
type serverError struct {
	code    string // the cloud's own, such as IMG.0027
	message string
}

// text is one line with both.
func (s serverError) text() string {
	if s.code == "" || strings.Contains(s.message, s.code) {
		return s.message
	}
	return strings.TrimSuffix(s.code+": "+s.message, ": ")
}

var ownCode = regexp.MustCompile(`^[A-Z][A-Za-z]{1,15}\.[0-9]{2,8}$`)

// parseServerError parses an error body: Glance's {"message", "code", "title"}, Keystone's and IMS' {"error": {"message",
// "code"}}, a gateway's {"error_msg", "error_code"}, IAM's {"encoded_authorization_message"}, or the text of a page.
func parseServerError(body []byte) serverError {
	type text struct {
		Message string          `json:"message"`
		Msg     string          `json:"error_msg"`
		Code    json.RawMessage `json:"code"`
		MsgCode json.RawMessage `json:"error_code"`
		Encoded string          `json:"encoded_authorization_message"`
	}
	var known struct {
		text
		Error text `json:"error"`
	}
	// An error only means that a key has another type. The other keys are decoded.
	_ = json.Unmarshal(body, &known)
	var s serverError
	for _, t := range []text{known.text, known.Error} {
		for _, m := range []string{t.Msg, t.Message} {
			if s.message == "" {
				s.message = oneLine(m)
			}
		}
		if s.message == "" && t.Encoded != "" {
			s.message = "the credential lacks a right" // The encoded text helps no reader.
		}
		for _, raw := range []json.RawMessage{t.MsgCode, t.Code} {
			var code string
			if s.code == "" && json.Unmarshal(raw, &code) == nil && ownCode.MatchString(code) {
				s.code = code
			}
		}
	}
	if s == (serverError{}) {
		s.message = oneLine(string(body))
	}
	return s
}

// serverMessage is the content of an error body as one line.
func serverMessage(body []byte) string { return parseServerError(body).text() }
