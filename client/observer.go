package client

import (
	"strconv"
	"time"
)

// Operation names what a request is for.
type Operation string

// The operations that an [Observer] sees.
const (
	OpAuthenticate Operation = "authenticate"
	OpListProjects Operation = "list_projects" // with [Projects] only
	OpListImages   Operation = "list_images"
	OpGetImage     Operation = "get_image"
	OpListMembers  Operation = "list_members"
	OpGetMember    Operation = "get_member"  // of [Client.MemberAs], a probe that mostly ends in a 404
	OpGetVersion   Operation = "get_version" // of [Client.Version], which no Observer is told of
)

func quote(s string) string { return strconv.Quote(s) }

// Observer is told of every attempt, once, after the last byte of the answer's body. code is empty for a whole and
// decoded answer, else the HTTP status code, or one of timeout, connect, tls and decode. An attempt that was cancelled
// is not told. A 404 that a probe ([OpGetMember]) is for is told as 404. It must be quick and safe for concurrent use.
type Observer func(op Operation, code string, took time.Duration)
