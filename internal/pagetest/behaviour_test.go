package pagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"glance_share_exporter/internal/fakecloud"
)

// shownImages is an expression for the names of the images that are listed.
const shownImages = `[...document.querySelectorAll('#list .name')].map(e => e.textContent).join()`

func unexpected(t *testing.T) *exporter {
	t.Helper()
	return scenes[1].start(t)
}

// Typing filters at once, keeps what is typed and where, and the address says what is shown.
func TestFilterWhileTyping(t *testing.T) {
	t.Parallel()
	e := unexpected(t)
	p := newTab(t)
	p.open(e.url + "/")
	p.do(chromedp.SendKeys(chromedp.CSS("#q"), "UBUNTU"))
	p.await(shownImages + ` === 'golden-ubuntu-24.04,golden-ubuntu-24.04' && location.search === '?q=UBUNTU'`)
	if !eval[bool](p, `document.activeElement.id === 'q' && document.activeElement.value === 'UBUNTU'`) {
		t.Error("the filter has lost the focus or its text")
	}
	p.await(`document.getElementById('announce').textContent.startsWith('Showing 2 of 14 images.')`)
	p.do(chromedp.Click(chromedp.CSS("#problems")))
	p.await(shownImages + ` === 'golden-ubuntu-24.04' && location.search === '?q=UBUNTU&problems=1'`)
	p.do(chromedp.Click(chromedp.CSS("#all")))
	p.await(`document.querySelectorAll('#list .name').length === 14 && document.getElementById('q').value === ''`)
	// The choice of a cloud, and a text that is sent by the Enter key.
	p.do(chromedp.Focus(chromedp.CSS("#cloud")), chromedp.KeyEvent(kb.ArrowDown+kb.ArrowDown))
	p.await(`document.querySelectorAll('#list .name').length === 7 && location.search === '?cloud=prod-us'`)
	p.do(chromedp.SendKeys(chromedp.CSS("#q"), "rescue\r"))
	p.await(shownImages + ` === 'rescue'`)
	// Back is how it was before.
	p.do(chromedp.NavigateBack())
	p.await(`document.querySelectorAll('#list .name').length === 14 && location.search === ''`)
	p.quiet(e.url)
}

// An alert links to its image: it alone is shown, and open, in both clouds that have it.
func TestLinkToAnImage(t *testing.T) {
	t.Parallel()
	e := unexpected(t)
	p := newTab(t)
	p.open(e.url + "/?image=" + debian)
	if got := eval[string](p, shownImages); got != "golden-debian-12,golden-debian-12" {
		t.Error(got)
	}
	if got := p.text("#list"); !strings.Contains(got, "✖ unexpected") || !strings.Contains(got, "dev-sandbox") ||
		!strings.Contains(got, "Only image "+debian) {
		t.Error(got)
	}
	// The verdict stays that of everything, and leads to the other one.
	p.do(chromedp.Click(chromedp.CSS("#verdict li:last-child a")))
	p.await(shownImages + ` === 'golden-rocky-9'`)
	p.quiet(e.url)
}

// The command that removes a member is copied by its button, where the browser has a clipboard for pages and where it has none.
func TestCopy(t *testing.T) {
	t.Parallel()
	e := unexpected(t)
	for name, script := range map[string]string{
		"clipboard": `navigator.clipboard.writeText = async (text) => { window.copied = text; }; true`,
		"none": `Object.defineProperty(navigator, 'clipboard', { value: undefined });
			document.addEventListener('copy', () => { window.copied = document.activeElement.value; }); true`,
	} {
		p := newTab(t)
		p.open(e.url + "/?cloud=prod-eu&image=" + debian)
		eval[bool](p, script)
		p.do(chromedp.Click(chromedp.CSS(".todo pre + .copy")))
		p.await(`document.getElementById('announce').textContent === 'copied'`)
		if got := eval[string](p, `window.copied`); !strings.HasPrefix(got, "openstack image remove project "+debian+" ") {
			t.Errorf("%s: %q", name, got)
		}
		p.quiet(e.url)
	}
}

// Without scripts the form is sent, and the answer is the same page.
func TestWithoutScripts(t *testing.T) {
	t.Parallel()
	e := unexpected(t)
	p := newTab(t)
	scripts := func(on bool) {
		call(p, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
	}
	scripts(false)
	p.do(chromedp.Navigate(e.url + "/?problems=1"))
	p.do(chromedp.KeyEvent(strings.Repeat(kb.Tab, 12)+"debian"),
		chromedp.KeyEvent(kb.Enter)) // skip, 6 pages, 3 of the verdict, clouds, filter
	for end := time.Now().Add(patience); !p.asked("q=debian"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the form was not sent")
		}
	}
	time.Sleep(time.Second) // for the answer, in which no script may begin
	scripts(true)           // to look
	p.await(`document.readyState === 'complete' && location.search === '?q=debian&cloud=&problems=1'`)
	if got := eval[string](p, shownImages); got != "golden-debian-12" {
		t.Error(got)
	}
	if !eval[bool](p, `document.getElementById('auto').hidden`) {
		t.Error("a refresh is promised")
	}
	p.quiet(e.url)
}

// While somebody reads further down, an image becomes dangerous and is put above: what he reads, has opened and has the focus on stays
// where it is. The demo does this.
func TestRefreshMovesNothing(t *testing.T) {
	t.Parallel()
	e := startExporter(t, "--demo")
	e.scrape(t)
	var scrapes sync.WaitGroup
	stop := make(chan struct{})
	defer scrapes.Wait()
	defer close(stop)
	scrapes.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				e.scrape(t)
			}
		}
	})
	p := newTab(t)
	p.look(look{width: 700, height: 500})
	p.open(e.url + "/")
	const block = `document.getElementById('image-demo-` + rocky + `')`
	if got := p.text("#title"); got != "✖ Unexpected access to 1 image" {
		t.Fatal(got)
	}
	eval[bool](p, block+`.scrollIntoView(), window.scrollBy(0, -100), true`)
	p.do(chromedp.Focus(chromedp.CSS("#image-demo-"+rocky+" > summary")), chromedp.KeyEvent(kb.Enter))
	p.await(block + `.open`)
	top := eval[float64](p, block+`.getBoundingClientRect().top`)
	was := eval[float64](p, `scrollY`)
	p.await(`document.title.startsWith('✖ Unexpected access to 2 images')`)
	if now := eval[float64](p, block+`.getBoundingClientRect().top`); now-top > 2 || top-now > 2 {
		t.Errorf("it moved from %g to %g", top, now)
	}
	if now := eval[float64](p, `scrollY`); now <= was {
		t.Errorf("nothing was put above: scrolled from %g to %g", was, now)
	}
	if !eval[bool](p, block+`.open && document.activeElement === `+block+`.querySelector('summary')`) {
		t.Error("it was closed, or the focus is lost")
	}
	if got := eval[string](p, `document.getElementById('announce').textContent`); got != "✖ Unexpected access to 2 images" {
		t.Errorf("announced: %q", got)
	}
	p.quiet(e.url)
}

// A page that is not refreshed any more says so, and that what it shows is of then.
func TestTheExporterIsAway(t *testing.T) {
	t.Parallel()
	e := scenes[0].start(t)
	p := newTab(t)
	p.open(e.url + "/")
	e.stop()
	p.await(`!document.getElementById('lost').hidden`)
	if got := p.text("#lost"); !strings.HasPrefix(got, "✖ This page is out of date: the exporter did not respond. It shows the state at 20") {
		t.Error(got)
	}
	if got := eval[string](p, "document.title"); !strings.HasPrefix(got, "✖ out of date · ") {
		t.Error(got)
	}
	if got := p.text("#title"); got != "Out of date: ✔ No unexpected access" {
		t.Error(got)
	}
	p.picture("away", looks[0])
	p.accessible("away")
}

// A page that nobody sees asks for nothing, and at once when it is seen again; the switch stops it too.
func TestRefreshPauses(t *testing.T) {
	t.Parallel()
	e := scenes[0].start(t)
	asked := func(p *tab) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.requests)
	}
	p, off := newTab(t), newTab(t)
	p.open(e.url + "/")
	off.open(e.url + "/")
	hide := func(hidden bool) {
		eval[bool](p, fmt.Sprintf(`Object.defineProperty(document, 'hidden', {value: %t, configurable: true}), document.dispatchEvent(new `+
			`Event('visibilitychange')), true`, hidden))
	}
	hide(true)
	off.do(chromedp.Click(chromedp.CSS("#refresh")))
	before, beforeOff := asked(p), asked(off)
	time.Sleep(17 * time.Second)
	if n := asked(p) - before; n != 0 {
		t.Errorf("%d requests of a page that nobody sees", n)
	}
	if n := asked(off) - beforeOff; n != 0 {
		t.Errorf("%d requests of a page that is not to refresh", n)
	}
	for name, wake := range map[*tab]func(){p: func() { hide(false) }, off: func() { off.do(chromedp.Click(chromedp.CSS("#refresh"))) }} {
		shown, began := name.text("#asof"), time.Now()
		wake()
		name.await(`document.getElementById('asof').innerText !== ` + quote(shown))
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("a page that wakes up is refreshed after %s", took)
		}
		name.quiet(e.url)
	}
}

// Everything is reached by the keyboard, in the order of the page, and can be seen where it is.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	e := unexpected(t)
	p := newTab(t)
	p.open(e.url + "/?cloud=prod-eu")
	const here = `(a => a.id || a.closest('[id]')?.id + ' ' + a.tagName)(document.activeElement)`
	tab := func() string {
		p.do(chromedp.KeyEvent(kb.Tab))
		return eval[string](p, `document.activeElement === document.body ? '' : `+here)
	}
	tab()
	if !eval[bool](p, `(a => a.matches('.skip') && a.getBoundingClientRect().left >= 0)(document.activeElement)`) {
		t.Error("no skip link to be seen")
	}
	var reached []string
	for range 100 {
		at := tab()
		if at == "" {
			break
		}
		reached = append(reached, at)
		if !eval[bool](p, `getComputedStyle(document.activeElement).outlineStyle !== 'none'`) {
			t.Errorf("%s: the focus cannot be seen", at)
		}
	}
	for _, want := range []string{
		"refresh", "verdict A", "clouds SUMMARY", "q", "cloud", "problems", "all",
		"image-prod-eu-" + debian + " SUMMARY", "image-prod-eu-" + rescue + " SUMMARY",
	} {
		if !slices.Contains(reached, want) {
			t.Errorf("%s is not reached: %q", want, reached)
		}
	}
	// The way past the rest, and a block opened by a key.
	p.do(chromedp.Focus(chromedp.CSS(".skip")), chromedp.KeyEvent(kb.Enter))
	p.await(`document.activeElement.id === 'list'`)
	p.do(chromedp.Focus(chromedp.CSS("#image-prod-eu-"+rescue+" > summary")), chromedp.KeyEvent(kb.Enter))
	p.await(`document.getElementById('image-prod-eu-` + rescue + `').open`)
	p.quiet(e.url)
}

// Names that are long, turned around, or markup, fit on the smallest phone and break nothing.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	w, address := newWorld(t)
	for i, name := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat("W ", 200), "<script>document.title = 'mine'</script>",
		"‮evil", strings.Repeat("Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍", 20), "</summary></details><b>", "日本語の名前",
	} {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		w.AddImage(fakecloud.Image{ID: id, Name: name, Owner: owner, Visibility: "shared"})
		w.Share(id, name)
	}
	e := watch(t, "prod", address)
	p := newTab(t)
	p.open(e.url + "/")
	if got := p.text("#title"); got != "✖ Unexpected access to 7 images" {
		t.Error(got)
	}
	eval[bool](p, "document.querySelectorAll('details').forEach(d => d.open = true), true")
	for _, width := range []int64{320, 390, 768, 1200} {
		p.look(look{width: width, height: 800})
		p.fits(fmt.Sprint(width))
		p.picture(fmt.Sprint("hostile-", width), look{width: width, height: 800})
	}
	p.accessible("hostile")
	p.quiet(e.url)
}

// On paper all blocks are open, since nobody can open them there.
func TestPrint(t *testing.T) {
	t.Parallel()
	e := unexpected(t)
	p := newTab(t)
	p.open(e.url + "/")
	const seen = `document.querySelector('#list details:not([open]) table').checkVisibility()`
	if eval[bool](p, seen) {
		t.Error("a closed block is seen on the screen")
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	if !eval[bool](p, seen) {
		t.Error("a closed block is not seen on paper")
	}
}

// A thousand images with three members each are there soon, and filtered soon. It has the machine for itself.
func TestAThousandImages(t *testing.T) {
	w, address := newWorld(t)
	for i := range 1000 {
		id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		w.AddImage(fakecloud.Image{ID: id, Name: fmt.Sprint("image-", i), Owner: owner, Visibility: "shared"})
		for _, m := range []string{payments, search, partner} {
			w.Share(id, m)
		}
	}
	file := filepath.Join(t.TempDir(), "exporter.yml")
	text := fmt.Sprintf("clouds:\n  - name: prod\n    auth:\n      password: {auth_url: %s/identity/v3, username: watcher, "+
		"user_domain_name: Default, password: secret, project_name: golden}\n"+
		"    scrape: {timeout: 1m}\n    discover:\n      - {name: image-*, expected_members: [%s, %s, %s]}\n", address, payments, search, partner)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e := startExporter(t, "--config.file="+file)
	e.scrapeFor(t, 30*time.Second)
	p := newTab(t)
	p.open(e.url + "/")
	if got := p.text("#title"); got != "✔ No unexpected access" {
		t.Fatal(got)
	}
	if n := eval[int](p, `document.querySelectorAll('#list .group details').length`); n != 1000 {
		t.Fatalf("%d images", n)
	}
	type load struct{ Answer, Loaded, Size, Transferred, Elements float64 }
	l := eval[load](p, `(n => ({Answer: n.responseEnd - n.requestStart, Loaded: n.loadEventEnd, Size: n.decodedBodySize, Transferred: n.transferSize,
		Elements: document.querySelectorAll('*').length}))(performance.getEntriesByType('navigation')[0])`)
	if l.Loaded > 10_000 || l.Loaded == 0 {
		t.Errorf("it took %.0f ms", l.Loaded)
	}
	if l.Transferred > 400_000 {
		t.Errorf("%.0f bytes are sent", l.Transferred)
	}
	t.Logf("1,000 images with 3 members each: answered in %.0f ms, loaded after %.0f ms, %.0f kB, sent as %.0f kB, %.0f elements",
		l.Answer, l.Loaded, l.Size/1000, l.Transferred/1000, l.Elements)
	began := time.Now()
	p.do(chromedp.SendKeys(chromedp.CSS("#q"), "image-777"))
	p.await(shownImages + ` === 'image-777'`)
	t.Logf("filtered after %s", time.Since(began).Round(time.Millisecond))
	p.quiet(e.url)
}
