package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// seenBy is who owns an image, and a project that sees it.
type seenBy struct {
	owner string
	by    *scope
}

// Images is [Client.Images] in the view of all projects. It fails only where none of them gets a response.
func (p *Projects) Images(ctx context.Context, ids []string, hidden bool) ([]Image, error) {
	scopes, failure := p.entered()
	var found []Image
	responded := false
	missing := slices.Clone(ids)
	for _, s := range p.knownFirst(scopes, ids) {
		if len(missing) == 0 {
			break
		}
		images, err := s.client.Images(ctx, missing, hidden)
		if err != nil {
			if failure = err; ctx.Err() != nil {
				break
			}
			continue
		}
		responded = true
		p.remember(s, images...)
		found = append(found, images...)
		missing = slices.DeleteFunc(missing, func(id string) bool {
			return slices.ContainsFunc(images, func(img Image) bool { return img.ID == id })
		})
	}
	if !responded && failure != nil {
		return nil, failure
	}
	return found, nil
}

// knownFirst returns the scopes, first those that are known to see one of the images.
func (p *Projects) knownFirst(scopes []*scope, ids []string) []*scope {
	known := map[*scope]bool{}
	for _, id := range ids {
		if s, _ := p.scopeOf(id); s != nil {
			known[s] = true
		}
	}
	first := make([]*scope, 0, len(scopes))
	var rest []*scope
	for _, s := range scopes {
		if known[s] {
			first = append(first, s)
		} else {
			rest = append(rest, s)
		}
	}
	return append(first, rest...)
}

// Image is [Client.Image] in the view of the first project that sees the image. It is not found where no project finds it
// and the owner's or an administrator's project, or each project, gets the API's own 404.
func (p *Projects) Image(ctx context.Context, id string) (Image, error) {
	first, sure := p.scopeOf(id)
	var deleted, notFound, failure error
	read := func(s *scope) (img Image, found bool) {
		img, err := s.client.Image(ctx, id)
		if err == nil {
			p.remember(s, img)
			return img, true
		}
		apiErr, ok := errors.AsType[*Error](err)
		if !ok || apiErr.Op != OpGetImage || apiErr.Status() != http.StatusNotFound {
			failure = err
			return Image{}, false
		}
		if notFound == nil || !apiErr.OwnNotFound {
			notFound = err // A gateway's 404 says nothing about the image, whatever the others return.
		}
		if s == first && sure && apiErr.OwnNotFound {
			deleted = err
		}
		return Image{}, false
	}
	if first != nil && p.errOf(first) == nil {
		if img, found := read(first); found {
			return img, nil
		}
	}
	scopes, notEntered := p.entered()
	for _, s := range scopes {
		if s == first {
			continue
		}
		if img, found := read(s); found {
			return img, nil
		}
		if failure != nil && ctx.Err() != nil {
			break
		}
	}
	if err := cmp.Or(deleted, failure, notEntered, notFound); err != nil {
		return Image{}, err
	}
	return Image{}, p.errNoProject()
}

// Members is [Client.Members] in the view of the project that owns the image, else of one that sees it.
func (p *Projects) Members(ctx context.Context, imageID string) (MemberList, error) {
	s, sure := p.scopeOf(imageID)
	if s == nil {
		if _, err := p.Image(ctx, imageID); err != nil {
			return MemberList{}, err
		}
		if s, sure = p.scopeOf(imageID); s == nil {
			return MemberList{}, p.errNoProject()
		}
	}
	if err := p.errOf(s); err != nil {
		return MemberList{}, err
	}
	list, err := s.client.Members(ctx, imageID)
	apiErr, ok := errors.AsType[*Error](err)
	if ok && apiErr.Op == OpListMembers && apiErr.Status() == http.StatusNotFound && !sure {
		p.mu.Lock()
		p.seen.delete(imageID) // The next call looks for a project that sees it.
		p.mu.Unlock()
	}
	return list, err
}

// MembersAs is [Client.Members] in the view of one of the projects.
func (p *Projects) MembersAs(ctx context.Context, project, imageID string) (MemberList, error) {
	s, err := p.scope(project)
	if err != nil {
		return MemberList{}, err
	}
	return s.client.Members(ctx, imageID)
}

// MemberAs is [Client.MemberAs] in the view of one of the projects.
func (p *Projects) MemberAs(ctx context.Context, project, imageID, memberID string) (MemberAnswer, error) {
	s, err := p.scope(project)
	if err != nil {
		return MemberAnswer{}, err
	}
	return s.client.MemberAs(ctx, project, imageID, memberID)
}

// ImagePage is [Client.ImagePage] in the view of the query's As, else of its owner or member, else of a project with an
// administrator's role.
func (p *Projects) ImagePage(ctx context.Context, q ImageQuery, marker string) (ImagePage, error) {
	var s *scope
	var err error
	if as := cmp.Or(q.As, q.SharedWith); as == "" && (q.Owner == "" || q.Foreign) {
		s, err = p.administrator()
	} else {
		s, err = p.scope(cmp.Or(as, q.Owner))
	}
	if err != nil {
		return ImagePage{}, err
	}
	page, err := s.client.ImagePage(ctx, q, marker)
	if q.SharedWith == "" { // Otherwise anybody could fill the memory by sharing images.
		p.remember(s, page.Images...)
	}
	return page, err
}

// scope returns one of the projects.
func (p *Projects) scope(project string) (*scope, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byID[project]; s != nil {
		return s, s.err
	}
	return nil, errNoScope
}

// administrator returns the first project with an administrator's role.
func (p *Projects) administrator() (*scope, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.scopes {
		if s.err == nil && s.access.HasRole(p.settings.AdminRoles) {
			return s, nil
		}
	}
	return nil, errNoScope
}

var errNoScope = &Error{
	Op: OpAuthenticate, Code: CodeNoRole, Message: "no project with a token can send this request",
}

func (p *Projects) errOf(s *scope) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.err
}

// remember records the owners of images that a project sees.
func (p *Projects) remember(by *scope, images ...Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, img := range images {
		p.seen.put(img.ID, seenBy{owner: img.Owner, by: by})
	}
}

// scopeOf returns the project to read an image in: its owner, else one that sees it; nil where that is not known. sure is
// whether the project sees the image as long as it exists: the owner does, and one with an administrator's role, which is
// used where the owner cannot be.
func (p *Projects) scopeOf(id string) (s *scope, sure bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.seen.get(id)
	if !ok {
		return nil, false
	}
	by, admin := known.by, known.by.err == nil && known.by.access.HasRole(p.settings.AdminRoles)
	if p.byID[by.id] != by {
		by, admin = nil, false
	}
	if owner := p.byID[known.owner]; owner != nil && (owner.err == nil || !admin) {
		return owner, true
	}
	return by, admin
}

const (
	// keepSeen is the shortest time for which an image is remembered that is not read. It is a time and not a number of
	// collections, because each shard has its own, and reads only its own images.
	keepSeen = time.Hour
	maxSeen  = 500_000 // and up to twice as many
)

// forget drops the images that are no longer read.
func (p *Projects) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.rotatedAt) >= keepSeen {
		p.rotatedAt = now
		p.seen.rotate()
	}
}
