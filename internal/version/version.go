// Package version says which version of the program this is.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"

	promversion "github.com/prometheus/common/version"
)

func init() {
	if promversion.Version == "" { // Not set by -ldflags "-X github.com/prometheus/common/version.Version=1.2.3".
		promversion.Version = "devel"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			promversion.Version = info.Main.Version
		}
	}
}

// Version returns the version that the build was given, otherwise what Go recorded in the binary. glance_exporter_build_info
// has it too.
func Version() string { return promversion.Version }

// Text is what --version prints.
func Text() string {
	return fmt.Sprintf("glance_share_exporter %s (revision %s, %s %s/%s)",
		promversion.Version, promversion.GetRevision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
