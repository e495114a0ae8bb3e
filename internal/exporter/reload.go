package exporter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-kit/log/level"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
)

const (
	// stableFor is how long files must have had the same content before ReloadIfChanged loads them.
	stableFor = time.Second
	// loadTimeout is how long a reload waits for files. Reading from a hanging network mount cannot be canceled.
	loadTimeout = 10 * time.Second
	// closeTimeout is how long Close waits.
	closeTimeout = time.Second
)

var (
	errLoadTimeout = fmt.Errorf("not finished within %s: check the file system", loadTimeout)
	errClosed      = errors.New("the runtime is closed")
)

// watch is what a reload knows about the files of the configuration. The holder of slot owns the other fields.
type watch struct {
	slot    chan struct{}
	files   []string // to check
	seen    contents // what the last attempt to load read; nil: unknown
	first   *look    // the first check that found the current contents, if they differ from seen
	reading atomic.Pointer[string]
}

// look is what the files contained when they were checked.
type look struct {
	at       time.Time
	contents contents
}

// attempt is the outcome of a check of the files. finish applies it.
type attempt struct {
	loaded bool          // the configuration was loaded, or refused
	wait   time.Duration // until the next check, if there is a change that was not loaded yet
	next   *running
	fresh  []connected // the clients that next does not share with the current configuration
	err    error
}

// Reload loads the configuration again at once, all or nothing: after an error, which it logs, the old configuration
// stays. A cloud whose connection is unchanged keeps its token, its connections and its counters. Reload returns after
// 10 seconds, or when ctx is done, even if reading a file hangs. It applies nothing after that.
func (r *Runtime) Reload(ctx context.Context) (err error) {
	defer func() { r.report(err) }()
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout, errLoadTimeout)
	defer cancel()
	select {
	case r.watch.slot <- struct{}{}:
		return r.load(ctx, r.readNow).err
	case <-ctx.Done():
		return r.notRead(ctx)
	}
}

// ReloadIfChanged reloads if the content of a file of the configuration, such as a secret's, differs from what the last
// attempt read, and if an earlier call at least a second ago found the same content: half a file can be valid YAML. If
// wait is not zero, it found a change that it may load after that time. It has the same time limit as Reload. While
// another reload is running, it does nothing.
func (r *Runtime) ReloadIfChanged(ctx context.Context) (wait time.Duration, err error) {
	defer func() { r.report(err) }()
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout, errLoadTimeout)
	defer cancel()
	select {
	case r.watch.slot <- struct{}{}:
		a := r.load(ctx, r.readIfStable)
		return a.wait, a.err
	default:
		return 0, nil
	}
}

// report logs why a reload failed, unless the program is exiting.
func (r *Runtime) report(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		_ = level.Error(r.opts.Logger).Log("msg", "reload refused, the old configuration stays", "err", err)
	}
}

// load runs read and applies the outcome, unless ctx is done first. The caller holds the slot, and load releases it
// once read has returned.
func (r *Runtime) load(ctx context.Context, read func() attempt) attempt {
	done := make(chan attempt, 1)
	go func() {
		a := read()
		r.mu.Lock()
		defer r.mu.Unlock()
		a = r.finish(ctx, a)
		<-r.watch.slot
		done <- a
	}()
	select {
	case a := <-done:
		return a
	case <-ctx.Done():
	}
	r.mu.Lock() // so that finish has either applied it or never will
	defer r.mu.Unlock()
	select {
	case a := <-done:
		return a
	default:
		r.successful.Set(0)
		return attempt{loaded: true, err: r.notRead(ctx)}
	}
}

// finish applies a. If it is too late for that, the next check reads the files again. The caller holds mu and the slot.
func (r *Runtime) finish(ctx context.Context, a attempt) attempt {
	if ctx.Err() != nil || r.closed {
		closeAll(a.fresh)
		r.watch.seen, r.watch.first = nil, nil
		err := errClosed
		if ctx.Err() != nil {
			err = r.notRead(ctx)
		}
		a = attempt{loaded: true, err: err}
	}
	switch {
	case !a.loaded:
	case a.err != nil:
		r.successful.Set(0)
	default:
		r.logGone(r.current.Load(), a.next)
		r.apply(a.next)
		r.successful.Set(1)
		r.successAt.SetToCurrentTime()
		images, rules := 0, 0
		for _, c := range a.next.clouds {
			images += len(c.config.Collector.Images)
			rules += len(c.config.Collector.Discover)
		}
		_ = level.Info(r.opts.Logger).Log("msg", "configuration loaded", "clouds", len(a.next.clouds), "images", images, "discover_rules", rules)
		for _, text := range a.next.config.Warnings {
			_ = level.Warn(r.opts.Logger).Log("msg", "the configuration may have a mistake", "warning", text)
		}
	}
	return a
}

// logGone logs which files of images no longer exist.
func (r *Runtime) logGone(old, next *running) {
	for _, entry := range next.clouds {
		name := entry.config.Collector.Name
		i := slices.IndexFunc(old.clouds, func(o runningCloud) bool { return o.config.Collector.Name == name })
		if i < 0 {
			continue
		}
		for _, line := range entry.config.Gone(old.clouds[i].config) {
			_ = level.Warn(r.opts.Logger).Log("msg", line, "cloud", name)
		}
	}
}

// readNow loads the configuration. The caller holds the slot.
func (r *Runtime) readNow() attempt {
	w := &r.watch
	var loaded *config.Config
	var err error
	// The files of a configuration are known only after it was read. Their contents must be from before that, so that a
	// change during the reading is not missed.
	files, found := w.files, contents(nil)
	for range 3 {
		found = r.contentsOf(files)
		loaded, err = r.readConfig()
		if files = filesOf(loaded, err, files); found.has(files) {
			break
		}
	}
	w.remember(files, found)
	return r.prepare(loaded, err)
}

// readIfStable does what ReloadIfChanged documents. The caller holds the slot.
func (r *Runtime) readIfStable() attempt {
	w := &r.watch
	began := time.Now()
	found := r.contentsOf(w.files)
	if w.seen != nil && maps.Equal(found.only(w.seen.files()), w.seen) {
		w.remember(w.seen.files(), w.seen)
		return attempt{}
	}
	if w.first == nil || !maps.Equal(w.first.contents, found) {
		return w.again(found)
	}
	if age := began.Sub(w.first.at); age < stableFor {
		return attempt{wait: stableFor - age}
	}
	loaded, err := r.readConfig()
	used := filesOf(loaded, err, w.files)
	if !found.has(used) { // a file that was not checked before may be half-written too
		w.files = slices.Compact(slices.Sorted(slices.Values(slices.Concat(w.files, used))))
		return w.again(r.contentsOf(w.files))
	}
	a := r.prepare(loaded, err)
	if after := r.contentsOf(w.files); !maps.Equal(after, found) {
		closeAll(a.fresh)
		return w.again(after)
	}
	w.remember(used, found)
	return a
}

// again makes found the first check that found the current contents.
func (w *watch) again(found contents) attempt {
	w.first = &look{time.Now(), found}
	return attempt{wait: stableFor}
}

// remember records found as what the last attempt read of its files.
func (w *watch) remember(files []string, found contents) {
	w.files, w.seen, w.first = files, nil, nil
	if found.has(files) {
		w.seen = found.only(files)
	}
}

func (r *Runtime) contentsOf(files []string) contents {
	return contentsOf(files, func(path string) { r.watch.reading.Store(&path) })
}

func (r *Runtime) readConfig() (*config.Config, error) {
	what := "the configuration"
	r.watch.reading.Store(&what)
	return r.opts.Load()
}

// notRead returns an error about the file that a reload did not read before ctx was done.
func (r *Runtime) notRead(ctx context.Context) error {
	what := "the configuration"
	if reading := r.watch.reading.Load(); reading != nil {
		what = *reading
	}
	return fmt.Errorf("reading %s: %w", what, context.Cause(ctx))
}

// filesOf returns the files that an attempt to load read, or known if that is not known.
func filesOf(loaded *config.Config, err error, known []string) []string {
	if bad, ok := errors.AsType[*config.LoadError](err); ok {
		return sources(bad.Files, bad.Globs)
	}
	if loaded != nil {
		return sources(loaded.Files, loaded.Globs)
	}
	return known
}

// prepare makes clients for the clouds of loaded that have none with the same connection. The caller holds the slot.
func (r *Runtime) prepare(loaded *config.Config, err error) attempt {
	a := attempt{loaded: true, err: err}
	if err != nil {
		return a
	}
	old := r.current.Load()
	a.next = &running{config: loaded}
	for _, cloud := range loaded.Clouds {
		entry := runningCloud{config: cloud}
		if kept := old.find(cloud); kept != nil {
			entry.client, entry.collector, entry.users = kept.client, kept.collector, kept.users
		} else {
			c, err := r.connect(cloud)
			if err != nil {
				closeAll(a.fresh)
				return attempt{loaded: true, err: fmt.Errorf("cloud %s: %w", cloud.Collector.Name, err)}
			}
			a.fresh = append(a.fresh, c)
			entry.client, entry.collector, entry.users = c, collector.New(c, cloud.Collector, r.opts.Logger), &sync.WaitGroup{}
		}
		a.next.clouds = append(a.next.clouds, entry)
	}
	maps.DeleteFunc(r.pauses, func(name string, p *client.LoginPause) bool {
		return p.Over() && !slices.ContainsFunc(loaded.Clouds, func(c config.Cloud) bool { return c.Collector.Name == name })
	})
	return a
}

func closeAll(clients []connected) {
	for _, c := range clients {
		c.Close()
	}
}

// apply makes next the current configuration. It cannot fail. The caller holds mu.
func (r *Runtime) apply(next *running) {
	old := r.current.Load()
	for _, entry := range next.clouds {
		entry.client.Set(entry.config.Client.Settings)
		entry.collector.SetOptions(entry.config.Collector)
		r.observer(entry.config) // so that the counters of all its operations exist
	}
	r.current.Store(next)
	for _, entry := range old.clouds {
		if next.find(entry.config) == nil {
			r.retire(entry)
		}
	}
}
