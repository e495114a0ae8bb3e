package collector

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	dto "github.com/prometheus/client_model/go"

	"glance_share_exporter/client"
)

// Bounds of the requests to Keystone for names.
const (
	nameAge           = time.Hour        // after which a name is requested again
	keepName          = 24 * time.Hour   // for which a name is shown without being read again
	namesTime         = 10 * time.Second // for all requests after one run
	maxNames          = 20_000           // projects of a cloud
	maxNamesRequested = 20               // projects that are requested one by one after one run
	namesInARow       = 3                // refusals in a row that end requests for single projects for nameAge
	namesAfterFail    = time.Minute      // at least, between requests to a Keystone that is unavailable
)

// names has Keystone's names of the projects in a cloud's snapshots. The owner of a project chooses its name, so a name
// proves nothing: it is shown beside the ID, no label of other metrics has it, and nothing waits for it.
type names struct {
	ctx    context.Context // ends with the cloud
	cancel context.CancelFunc
	logger log.Logger
	shown  atomic.Pointer[map[string]string] // by project ID; replaced, never changed
	busy   atomic.Bool                       // whether a call of resolve is running, which owns the fields below

	projects map[string]*projectName
	list     time.Time // before which the list of projects is not requested
	single   time.Time // before which no single project is requested
	refused  int       // refused requests for single projects, in a row
	failure  error     // of the last failed request; nil: none failed since the last name was read
	logged   bool      // the failure is in the log
}

// projectName is Keystone's name of a project.
type projectName struct {
	name      string
	named     time.Time // when name was read
	requested time.Time // when the last response came
}

func newNames(logger log.Logger) *names {
	n := &names{logger: logger, projects: map[string]*projectName{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// known returns the names by project ID. The map never changes.
func (n *names) known() map[string]string {
	if shown := n.shown.Load(); shown != nil {
		return *shown
	}
	return nil
}

// validID matches texts that can be a project's ID. The owner of an image may add any text as a member.
var validID = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z_-]{0,63}$`)

// resolve requests the names that are unknown or old, at most limit of them one by one. It does nothing while another
// call is running. The error is why names are missing.
func (n *names) resolve(ctx context.Context, api API, ids []string, limit int) error {
	if !n.busy.CompareAndSwap(false, true) {
		return nil
	}
	defer n.busy.Store(false)
	ctx, stop := context.WithTimeout(ctx, namesTime)
	defer stop()
	defer context.AfterFunc(n.ctx, stop)()
	defer n.publish()
	due := n.due(ids)
	if len(due) > namesInARow && !time.Now().Before(n.list) {
		n.requestAll(ctx, api, due)
		due = n.due(ids)
	}
	for _, id := range due[:min(len(due), limit)] {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().Before(n.single):
			return n.failure
		}
		n.requestOne(ctx, api, id)
	}
	return n.failure
}

// due returns the IDs to request, first those that were never requested.
func (n *names) due(ids []string) []string {
	var due []string
	for _, id := range ids {
		switch p := n.projects[id]; {
		case !validID.MatchString(id):
		case p != nil && age(p.requested) < nameAge, p == nil && len(n.projects) >= maxNames:
		default:
			due = append(due, id)
		}
	}
	requested := func(id string) time.Time {
		if p := n.projects[id]; p != nil {
			return p.requested
		}
		return time.Time{}
	}
	slices.SortStableFunc(due, func(a, b string) int { return requested(a).Compare(requested(b)) })
	return due
}

// requestAll requests the list of projects, as an administrator may.
func (n *names) requestAll(ctx context.Context, api API, due []string) {
	list, err := api.ProjectNames(ctx)
	n.list = time.Now().Add(nameAge)
	if err != nil {
		if status := keystoneStatus(err); ctx.Err() == nil && (status == 0 || status == statusTooManyRequests || status >= 500) {
			n.pause(err)
		}
		return
	}
	for _, id := range due {
		if name, ok := list[id]; ok {
			n.answer(id, name)
		}
	}
}

func (n *names) requestOne(ctx context.Context, api API, id string) {
	name, err := api.ProjectName(ctx, id)
	switch status := keystoneStatus(err); {
	case err == nil:
		n.answer(id, name)
	case status == statusNotFound: // from Keystone or a proxy; a known name stays for keepName
		n.answered(id)
	case status == statusForbidden || status == statusUnauthorized:
		n.failure = err
		if n.refused++; n.refused >= namesInARow {
			n.refused, n.single = 0, time.Now().Add(nameAge)
			n.tell()
		}
		n.answered(id)
	case ctx.Err() == nil:
		n.pause(err)
	}
}

// answer notes the name of a project.
func (n *names) answer(id, name string) {
	if p := n.answered(id); p != nil {
		p.name, p.named = name, p.requested
	}
	n.refused, n.failure, n.logged = 0, nil, false
}

// answered notes that there was a response about a project. It returns nil if there are too many projects.
func (n *names) answered(id string) *projectName {
	p := n.projects[id]
	if p == nil {
		if len(n.projects) >= maxNames {
			return nil
		}
		p = &projectName{}
		n.projects[id] = p
	}
	p.requested = time.Now()
	return p
}

// keystoneStatus returns the HTTP status of Keystone's response, 0 without a response.
func keystoneStatus(err error) int {
	if apiErr, ok := errors.AsType[*client.Error](err); ok && apiErr.Op == client.OpResolveNames {
		return apiErr.Status()
	}
	return 0
}

// pause stops requests for a while after an error that may be temporary.
func (n *names) pause(err error) {
	pause := namesAfterFail
	if apiErr, ok := errors.AsType[*client.Error](err); ok {
		pause = max(pause, apiErr.RetryAfter)
	}
	n.list, n.single, n.failure = time.Now().Add(pause), time.Now().Add(pause), err
	n.tell()
}

// tell logs once why names are missing.
func (n *names) tell() {
	if !n.logged && code(n.failure) != client.CodeCanceled {
		n.logged = true
		_ = level.Info(n.logger).Log("msg", "Keystone does not return the names of projects", "err", n.failure)
	}
}

// publish publishes the names that are not too old, and drops the projects that are no longer requested.
func (n *names) publish() {
	maps.DeleteFunc(n.projects, func(_ string, p *projectName) bool { return age(p.requested) >= keepName })
	shown := make(map[string]string, len(n.projects))
	for id, p := range n.projects {
		if p.name != "" && age(p.named) < keepName {
			shown[id] = p.name
		}
	}
	n.shown.Store(&shown)
}

// Resolve requests the names of all projects of a snapshot that was just collected, and adds them to it. It returns how
// many projects have a name now, how many there are, and why the others have none. It does nothing unless
// [Options].ResolveNames is set.
func (c *Cloud) Resolve(ctx context.Context, s *Snapshot) (found, all int, err error) {
	if !s.opts.ResolveNames || s.Err != nil {
		return 0, 0, s.Err
	}
	c.Wait() // for the names that the run requests
	members, owners := s.projects()
	ids := slices.Concat(members, owners)
	err = c.names.resolve(ctx, c.api, ids, len(ids))
	s.names = c.names.known()
	for _, id := range ids {
		if s.names[id] != "" {
			found++
		}
	}
	return found, len(ids), err
}

// resolve requests some of the names after a run.
func (c *Cloud) resolve(s *Snapshot) {
	if s.opts == nil || !s.opts.ResolveNames || s.Err != nil {
		return
	}
	members, owners := s.projects()
	_ = c.names.resolve(context.Background(), c.api, slices.Concat(members, owners), maxNamesRequested)
}

// projects returns the IDs of the projects that a snapshot shows besides the credential's own, each once and sorted.
// named are members of images and owners of inbound images, which have series; owners are owners of images.
func (s *Snapshot) projects() (named, owners []string) {
	seen := map[string]bool{"": true}
	for i := range s.Scopes {
		seen[s.Scopes[i].Access.ProjectID] = true
	}
	add := func(list *[]string, id string) {
		if !seen[id] {
			seen[id] = true
			*list = append(*list, id)
		}
	}
	for i := range s.Images {
		img := &s.Images[i]
		for k := range img.Members {
			if m := &img.Members[k]; m.Type == client.TypeProject {
				add(&named, m.ID)
			}
		}
		for _, m := range img.Missing() {
			if m.Type == client.TypeProject {
				add(&named, m.ID)
			}
		}
	}
	for i := range s.Inbound {
		for k := range s.Inbound[i].Images {
			add(&named, s.Inbound[i].Images[k].Record.Owner)
		}
	}
	for i := range s.Images {
		if r := s.Images[i].Record; r != nil {
			add(&owners, r.Owner)
		}
	}
	slices.Sort(named)
	slices.Sort(owners)
	return named, owners
}

// KeystoneNameOf is [Snapshot.KeystoneName] for a member. It returns "" for a member that is not a project.
func (s *Snapshot) KeystoneNameOf(kind client.MemberType, id string) string {
	if kind != client.TypeProject {
		return ""
	}
	return s.KeystoneName(id)
}

// KeystoneName returns Keystone's name of a project, empty if it is not known. The project's owner chose the name:
// never show it without the ID, or like a name of the configuration.
func (s *Snapshot) KeystoneName(id string) string { return labelValue(s.names[id]) }

// printNames prints the names of the projects that have series.
func (s *Snapshot) printNames(p *printer, cloud *dto.LabelPair) {
	if len(s.names) == 0 || !s.opts.MemberDetails {
		return
	}
	kind := p.label(memberTypeLabel, string(client.TypeProject))
	named, _ := s.projects()
	for _, id := range named {
		if name := s.KeystoneName(id); name != "" {
			p.gauge(memberNameDesc, p.labels(cloud, p.label(keystoneNameLabel, name), p.label(memberIDLabel, id), kind), 1)
		}
	}
}

// namesFor returns the names to show with the options.
func (c *Cloud) namesFor(opts *Options) map[string]string {
	if !opts.ResolveNames {
		return nil
	}
	return c.names.known()
}
