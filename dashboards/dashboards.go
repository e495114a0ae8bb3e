// Package dashboards has the runbooks, which the exporter serves beside its status page.
package dashboards

import _ "embed"

// Runbooks is runbooks.md.
//
//go:embed runbooks.md
var Runbooks []byte
