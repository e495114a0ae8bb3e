package client

import "time"

// Operation names what a request is for.
type Operation string

// The operations of an [Observer].
const (
	OpAuthenticate Operation = "authenticate"
	OpListProjects Operation = "list_projects" // with [Projects] only
	OpListImages   Operation = "list_images"
	OpGetImage     Operation = "get_image"
	OpListMembers  Operation = "list_members"
	OpGetMember    Operation = "get_member"    // of [Client.MemberAs], a probe that is mostly answered with 404
	OpResolveNames Operation = "resolve_names" // of [Client.ProjectNames] and [Client.ProjectName]
	OpGetVersion   Operation = "get_version"   // of [Client.Version], which calls no Observer
)

// Observer is called once for every attempt, after the last byte of the response's body. code is empty for a complete and
// decoded response, else the HTTP status code, or one of timeout, connect, tls and decode. It is not called for an attempt
// that was canceled. The 404 that a probe ([OpGetMember]) expects has the code 404. It must be quick and safe for concurrent
// use.
type Observer func(op Operation, code string, took time.Duration)
