package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// command runs the program as it is installed, as Kingpin prints what follows past run's stdout.
func command(t *testing.T, args ...string) (stdout string, code int) {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795651200")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// helpFlags returns the flags that --help tells of.
func helpFlags(t *testing.T) []string {
	t.Helper()
	var help output
	if err := run(context.Background(), []string{"--help"}, &help, &output{}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^\s+(?:-h, )?--(?:\[no-\])?([a-z.-]+)`).FindAllStringSubmatch(help.String(), -1) {
		if !strings.HasPrefix(found[1], "help-") { // hidden, and told of in the text of --help
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestManPage(t *testing.T) {
	page, code := command(t, "--help-man")
	if want := ".TH GLANCE_SHARE_EXPORTER 1 \"2026-11-26\" \"glance_share_exporter "; code != 0 || !strings.HasPrefix(page, want) {
		t.Fatalf("exit %d, does not begin with %s:\n%.200s", code, want, page)
	}
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^\.TP\n\\fB(?:\\-h\\fR, \\fB)?\\-\\-([^\n]*?)(?:\\fR=.*)?\\fR\n.`).FindAllStringSubmatch(page, -1) {
		names = append(names, strings.ReplaceAll(found[1], `\-`, "-"))
	}
	slices.Sort(names)
	if diff := cmp.Diff(helpFlags(t), names); diff != "" {
		t.Errorf("--help against --help-man:\n%s", diff)
	}
	for line := range strings.Lines(page) {
		if regexp.MustCompile(`(^|[^\\])-`).MatchString(line) && !strings.HasPrefix(line, ".TH") {
			t.Errorf("a hyphen where a minus is meant: %s", line)
		}
	}
}

func TestRoff(t *testing.T) {
	for text, want := range map[string]string{"--once": `\-\-once`, `C:\x`: `C:\ex`, ".hidden": `\&.hidden`, "'s": `\&'s`, "": ""} {
		if got := roff(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestCompletion(t *testing.T) {
	words := func(args ...string) []string {
		text, code := command(t, append([]string{"--completion-bash"}, args...)...)
		if code != 0 {
			t.Errorf("%v: exit %d", args, code)
		}
		return strings.Fields(text)
	}
	flags := words("--")
	for i := range flags {
		flags[i] = strings.TrimPrefix(flags[i], "--")
	}
	slices.Sort(flags)
	if diff := cmp.Diff(helpFlags(t), flags); diff != "" {
		t.Errorf("--help against the completion:\n%s", diff)
	}
	if got, want := words("--log.level", ""), []string{"debug", "info", "warn", "error"}; !slices.Equal(got, want) {
		t.Errorf("log levels: got %v, want %v", got, want)
	}
	for flag, want := range map[string]string{"--completion-script-bash": "complete -F _glance_share_exporter_bash_autocomplete", "--completion-script-zsh": "#compdef glance_share_exporter\n\n_glance_share_exporter() {"} {
		if script, code := command(t, flag); code != 0 || !strings.Contains(script, want) {
			t.Errorf("%s: exit %d, no %q in\n%s", flag, code, want, script)
		}
	}
}
