// Package pagetest looks at the status page as people do: with a browser, by keyboard, on a phone, in the dark. It is a module of
// its own, so that what drives the browser stays out of the exporter's dependencies.
//
// It needs chromium and npm, which brings axe-core into a temporary directory. With GLANCE_PICTURES=DIR it also draws the page.
package pagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is for one thing that a page does: a refresh comes every 15 s.
const patience = 40 * time.Second

// What all tests use; TestMain makes and removes it.
var (
	exporterPath string
	axeSource    string
	browser      context.Context
)

func TestMain(m *testing.M) {
	code, err := prepare(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepare(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "pagetest")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	exporterPath = filepath.Join(dir, "glance_share_exporter")
	if err := command("../..", "go", "build", "-o", exporterPath, "."); err != nil {
		return 1, err
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
		}
		if err != nil {
			return 1, err
		}
	}
	if err := command(dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return 1, err
	}
	axe, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return 1, err
	}
	axeSource = string(axe)

	options := append([]chromedp.ExecAllocatorOption{},
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoSandbox,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("hide-scrollbars", true),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	defer cancel()
	var stop context.CancelFunc
	browser, stop = chromedp.NewContext(allocator)
	defer stop()
	if err := chromedp.Do(browser); err != nil {
		return 1, fmt.Errorf("starting chromium: %w", err)
	}
	return m.Run(), nil
}

// removeAll waits for the last of the browser's processes to write no more.
func removeAll(dir string) (err error) {
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

func command(dir string, argv ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// tab is a tab of its own, without anything that another one left, and what it complains of and asks for.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	requests   []string
}

func newTab(t *testing.T) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *log.EventEntryAdded:
			p.complaints = append(p.complaints, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
		case *runtime.EventConsoleAPICalled:
			text, _ := json.Marshal(e.Args) // for people
			p.complaints = append(p.complaints, fmt.Sprintf("console.%s: %s", e.Type, text))
		case *runtime.EventExceptionThrown:
			p.complaints = append(p.complaints, fmt.Sprintf("%+v", e.ExceptionDetails))
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	p.look(looks[0])
	return p
}

// look gives the window a size, and the reader a liking.
func (p *tab) look(l look) {
	p.t.Helper()
	call(p, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 600})
	scheme := map[bool]string{true: "dark", false: "light"}[l.dark]
	call(p, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// picture draws the whole page, if asked to.
func (p *tab) picture(name string, l look) {
	p.t.Helper()
	dir := os.Getenv("GLANCE_PICTURES")
	if dir == "" {
		return
	}
	picture := run(p, chromedp.FullScreenshot(100))
	p.look(l) // which a picture of the whole page undoes
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// fits fails if the page is wider than the window.
func (p *tab) fits(what string) {
	p.t.Helper()
	if wide := eval[int](p, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
		p.t.Errorf("%s: %d pixels too wide", what, wide)
	}
}

// call gives the browser a command of its protocol.
func call[P, R any](p *tab, cmd cdp.Command[P, R], params P) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, cmd, params); err != nil {
		p.t.Fatal(err)
	}
}

func run[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	value, err := try(p, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return value
}

// try is run for what may fail.
func try[T any](p *tab, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	run(p, chromedp.Steps(actions...))
}

func (p *tab) open(address string) {
	p.t.Helper()
	p.do(chromedp.Navigate(address), chromedp.WaitReady(chromedp.CSS("main")))
}

// eval returns what an expression is in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// text is what can be seen of an element: not what is in a closed block.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, "document.querySelector("+quote(selector)+").innerText")
}

// await waits until an expression is true in the page. A page that is being left, as after a step back, cannot tell.
func (p *tab) await(expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		is, err := try(p, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
		if err == nil && is {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("waited for %s (%v), and it shows\n%.3000s", expression, err, p.text("body"))
		}
	}
}

// quiet fails if the browser complained of anything, or asked anybody else for anything, or for anything but the page itself.
func (p *tab) quiet(base string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.complaints {
		p.t.Error("the browser complains:", c)
	}
	for _, r := range p.requests {
		if u, err := url.Parse(r); err != nil || u.Scheme != "data" && !strings.HasPrefix(r, base+"/?") &&
			r != base+"/" && r != base+"/runbooks" {
			p.t.Errorf("the page asks for %s", r)
		}
	}
	if len(p.requests) == 0 {
		p.t.Error("no request was seen")
	}
}

// asked reports whether the page asked for an address with a text.
func (p *tab) asked(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if strings.Contains(r, text) {
			return true
		}
	}
	return false
}

// accessible lets axe look at the page, which refreshes no more from then on: axe must not see a half of two.
func (p *tab) accessible(what string) {
	p.t.Helper()
	eval[bool](p, `(box => { if (box?.checked) box.click(); return true })(document.getElementById('refresh'))`)
	p.do(chromedp.Evaluate[chromedp.Void](axeSource))
	found := eval[string](p, `axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(r => JSON.stringify({
			passes: r.passes.length,
			violations: r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html + ' ' + n.failureSummary)})),
			incomplete: r.incomplete.map(v => v.id + ': ' + v.nodes.slice(0, 2).map(n => n.html).join(' ')),
		}))`)
	var result struct {
		Passes     int
		Violations []struct {
			ID, Help string
			Nodes    []string
		}
		Incomplete []string
	}
	if err := json.Unmarshal([]byte(found), &result); err != nil {
		p.t.Fatal(err)
	}
	for _, v := range result.Violations {
		p.t.Errorf("%s: %s: %s\n%s", what, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
	}
	if result.Passes < 15 {
		p.t.Errorf("%s: axe looked at %d rules only", what, result.Passes)
	}
	if len(result.Incomplete) > 0 {
		p.t.Errorf("%s: axe cannot decide: %q", what, result.Incomplete)
	}
	p.t.Logf("%s: axe: %d rules pass, %d violations", what, result.Passes, len(result.Violations))
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a text can be
	return string(text)
}
