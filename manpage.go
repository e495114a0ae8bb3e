package main

import (
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/alecthomas/kingpin/v2"
)

func init() {
	// What --help-man prints. Kingpin's own page has no line that says what the program is, and leaves hyphens and dots to
	// be taken for something else.
	kingpin.ManPageTemplate = manPage
}

// manFuncs are what manPage needs beside Kingpin's functions.
var manFuncs = template.FuncMap{"roff": roff, "programVersion": programVersion, "sourceDate": sourceDate}

// sourceDate is the day of what is released, see https://reproducible-builds.org/specs/source-date-epoch/; empty: it is not told.
func sourceDate() string {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return ""
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly)
}

// roff escapes a line of text for roff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

const manPage = `.TH GLANCE_SHARE_EXPORTER 1 "{{sourceDate}}" "glance_share_exporter {{programVersion|roff}}" "User Commands"
.SH NAME
glance_share_exporter \- tell Prometheus who can use which OpenStack image
.SH SYNOPSIS
.B glance_share_exporter
[\fIflags\fR]
.SH DESCRIPTION
On every scrape,
.B glance_share_exporter
asks the image API of OpenStack or Huawei Cloud for the members of the configured images, and tells Prometheus each of
them with its status, whether it is meant to have the image, who may use an image without being a member, and what could
not be seen.
.PP
A member has access whatever its status: pending and rejected only keep the image out of that project's image list.
.SH OPTIONS
A flag without a value is turned off by
.B \-\-no\-
before its name. A value that is not in capitals is the default.
{{range .App.Flags}}{{if not .Hidden -}}
.TP
\fB{{if .Short}}\-{{.Short|Char}}\fR, \fB{{end}}\-\-{{.Name|roff}}{{if not .IsBoolFlag}}\fR=\fI{{.FormatPlaceHolder|roff}}{{end}}\fR
{{.Help|roff}}
{{end}}{{end -}}
.SH FILES
.TP
.I exporter.yml
The configuration: which images of which clouds, as whom, and who is meant to have them. Its default is in the working
directory. Relative paths in it begin at its own directory.
.SH SIGNALS
.TP
SIGHUP
loads the configuration again, all or nothing: a bad file changes nothing, and the log says why.
.TP
SIGTERM, SIGINT
refuse new requests, give the scrapes at work 5 seconds to finish, and end. A second one ends the program at once, with 1.
.SH EXIT STATUS
0, or 1 where a line on standard error says what is wrong. With
.B \-\-once
also 1 if a cloud could not be read, with
.B \-\-healthcheck
if no exporter answers.
.SH EXAMPLES
Check the configuration, look at one collection, and serve on port 10292:
.PP
.nf
.RS
glance_share_exporter \-\-config.check
glance_share_exporter \-\-once
glance_share_exporter
.RE
.fi
`
