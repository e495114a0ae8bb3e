// Command sbom writes what a Go program was built from, as go version -m shows it, as a CycloneDX document.
//
//	sbom -version 1.2.3 -time 1795651200 glance_share_exporter >glance_share_exporter.cdx.json
//
// The same program, version and time make the same document.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	version := flags.String("version", "", "version of the program")
	seconds := flags.Int64("time", 0, "when it was made, in seconds since 1970")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 || *version == "" {
		return errors.New("usage: sbom -version VERSION -time SECONDS PROGRAM")
	}
	program, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	sum := sha256.Sum256(program)
	encoder := cdx.NewBOMEncoder(stdout, cdx.BOMFileFormatJSON)
	return encoder.SetPretty(true).EncodeVersion(document(info, *version, sum, time.Unix(*seconds, 0)), cdx.SpecVersion1_6)
}

func document(info *debug.BuildInfo, version string, sum [32]byte, at time.Time) *cdx.BOM {
	name := path.Base(info.Path)
	settings := map[string]string{}
	var properties []cdx.Property
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
		properties = append(properties, cdx.Property{Name: "go:build:" + s.Key, Value: s.Value})
	}
	program := cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: fmt.Sprintf("pkg:generic/%s@%s", name, url.PathEscape(version)), Name: name, Version: version,
		Description: "for " + settings["GOOS"] + "/" + settings["GOARCH"],
		Licenses:    &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Hashes:      &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		Properties:  &properties,
	}
	program.PackageURL = program.BOMRef
	// The standard library is where a scanner finds what is wrong with Go's own code.
	components := []cdx.Component{component("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		components = append(components, component(module.Path, module.Version, module.Sum))
	}
	var refs []string
	dependencies := []cdx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	for _, c := range components {
		refs = append(refs, c.BOMRef)
		dependencies = append(dependencies, cdx.Dependency{Ref: c.BOMRef})
	}
	bom := cdx.NewBOM()
	// A UUID of version 8, of what the program is.
	id := sum
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	bom.SerialNumber = fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:16])
	bom.Metadata = &cdx.Metadata{Timestamp: at.UTC().Format(time.RFC3339), Component: &program}
	bom.Components = &components
	// Who needs whom among them, a program does not tell.
	bom.Dependencies = &dependencies
	bom.Compositions = &[]cdx.Composition{{
		Aggregate: cdx.CompositionAggregateComplete, Assemblies: &[]cdx.BOMReference{cdx.BOMReference(program.BOMRef)},
	}}
	return bom
}

func component(module, version, sum string) cdx.Component {
	purl := "pkg:golang/" + module + "@" + url.PathEscape(version)
	c := cdx.Component{
		Type: cdx.ComponentTypeLibrary, BOMRef: purl, Name: module, Version: version, Scope: cdx.ScopeRequired, PackageURL: purl,
	}
	if sum != "" {
		// Of go.sum: no hash of any one file.
		c.Properties = &[]cdx.Property{{Name: "go:sum", Value: sum}}
	}
	return c
}
