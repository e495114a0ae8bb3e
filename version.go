package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	promversion "github.com/prometheus/common/version"
)

// version is set by -ldflags "-X main.version=1.2.3".
var version string

// version is what the build was told, else what Go notes of a module build, else the commit.
func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

func init() {
	promversion.Version = programVersion() // glance_exporter_build_info reads it there
}

func versionText() string {
	return fmt.Sprintf("glance_share_exporter %s (revision %s, %s %s/%s)", programVersion(), promversion.GetRevision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
