package pagetest

import "testing"

type look struct {
	name          string
	width, height int64
	dark          bool
}

var looks = []look{{"light", 1200, 900, false}, {"dark", 1200, 900, true}, {"phone-dark", 390, 844, true}, {"phone", 390, 844, false}}

// Every state of the world, in every light and on a phone: the verdict is the first thing that is seen, nothing is wider than the
// window, axe finds nothing, and the browser has nothing to complain of.
func TestScenes(t *testing.T) {
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			e := s.start(t)
			p := newTab(t)
			p.open(e.url + "/")
			if got := p.text("#title"); got != s.title {
				t.Errorf("got %q, want %q", got, s.title)
			}
			for _, l := range looks {
				p.look(l)
				if !eval[bool](p, "document.getElementById('title').getBoundingClientRect().bottom < 300") {
					t.Errorf("%s: the verdict is far down", l.name)
				}
				p.picture(s.name+"-"+l.name, l)
			}
			eval[bool](p, "document.querySelectorAll('details').forEach(d => d.open = true), true")
			for _, l := range looks {
				p.look(l)
				p.fits(l.name)
				if l.name != "phone-dark" { // dark is, and phone is
					p.accessible(s.name + ", " + l.name)
				}
			}
			p.quiet(e.url)
		})
	}
}

// The runbooks fit, too, and their tables scroll.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	_, one := newWorld(t)
	e := watch(t, "prod-eu", one)
	p := newTab(t)
	p.open(e.url + "/runbooks")
	for _, l := range looks {
		p.look(l)
		p.fits(l.name)
		p.picture("runbooks-"+l.name, l)
	}
	p.look(looks[0])
	p.accessible("runbooks")
	p.quiet(e.url)
}
