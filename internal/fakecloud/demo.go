package fakecloud

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// The demo's IDs never change, so that a configuration, a dashboard or a picture made with it stays true.
const (
	demoGolden   = "f6fadfa7e5c14b629362da5cc13da58a"
	demoPayments = "2c63888f28f04481be6ddce7a7ace732"
	demoSearch   = "8a119b9e16bc47328f7b7676d015b0dc"
	demoPlatform = "bc67ba94637d4efaa09e467ada679f81"
	demoRunners  = "fab36728a78b4b7e8787c0de2f960063"
	demoPartner  = "a712755f6cac44d599d5269512e74f7b"
	demoSandbox  = "ac8efe121c5949f1ba2dde83458bfed0"
	demoVendor   = "5d7f0a3be0a94f0fb1f4f0a9a3a0c6d2"
	demoStranger = "e81c6a0cf5b54a6d8a0d6c1f2b7e9304"

	demoDebian12 = "5796a670-482c-490e-8d97-82bfcdc83011"
	demoUbuntu   = "0b80a255-53a1-4945-a932-58ef7777682c"
	demoRocky    = "45ac16b9-c20d-4c21-8f8a-7abff2e91ac7"
	demoWindows  = "dd2ee150-d284-4277-b89c-1af40ce8fcc9"
	demoAlpine   = "3c3ae353-fb14-428e-90b4-01a6c1cc0aff"
	demoDebian11 = "b9c8b9ff-e46e-4627-9419-c7723226db94"
	demoCentOS   = "bbeeb636-1d33-4c6d-96f0-da847a2a3b87"
	demoScratch  = "68e58909-ccb2-4416-925a-56c9a30f4300"
	demoFedora   = "ff53a46f-5ead-403a-84c4-b877678537a3"
	demoCirros   = "e179f773-a6e0-43c0-9514-b7dde2ad0478"
	demoNightly  = "d0f1c4aa-5b52-4a43-9d2c-61f2b3a4c7e8"
	demoBase     = "1c9d5c0e-6a2f-4d3b-8f47-0c5a9e1b7d22"
	demoDouble   = "f3a2b1c0-4d5e-4f60-8a7b-9c8d7e6f5a41"
)

// Demo is a cloud that moves: a producer's golden images, the projects they are shared with, and a loop of things that
// happen to them.
type Demo struct {
	*Cloud
	User, Password, Project string // the producer's login, in the domain Default
	ProjectID               string
	Projects                []DemoProject // the consumers
	Images                  []DemoImage
	Vendor                  DemoProject // shares an image with the producer, as is expected

	// Describe, if set before the first step, is called with a sentence about each step.
	Describe func(string)

	mu   sync.Mutex
	next int
}

// DemoProject is a project of the demo, with the name that a person would know it by.
type DemoProject struct {
	ID, Name string
}

// DemoImage is an image of the demo.
type DemoImage struct {
	ID, Name string
	// Expected are the projects that should have access, ExpectedVisibility the visibilities that it may have; nil: not
	// judged.
	Expected, ExpectedVisibility []string
}

// Judged reports whether it is known who should have access to the image, even if that is nobody.
func (i DemoImage) Judged() bool { return i.Expected != nil }

// NewDemo returns the demo's cloud before its first step. The seed decides how old images and shares are; all the rest
// is always the same.
func NewDemo(seed uint64) *Demo {
	d := &Demo{
		Cloud:     New(Options{}),
		User:      "image-watcher",
		Password:  "demo-password",
		Project:   "golden",
		ProjectID: demoGolden,
		Projects: []DemoProject{
			{demoPayments, "team-payments"},
			{demoSearch, "team-search"},
			{demoPlatform, "data-platform"},
			{demoRunners, "ci-runners"},
			{demoPartner, "partner-acme"},
			{demoSandbox, "dev-sandbox"},
		},
		Vendor: DemoProject{demoVendor, "distro-vendor"},
	}
	d.AddProjectID(d.ProjectID, d.Project)
	d.AddUser(d.User, d.Password, d.ProjectID, "reader")
	d.SetPolicy(Policy{ReadProjects: func(roles []string) bool { return slices.Contains(roles, "reader") }})
	for _, p := range append(slices.Clone(d.Projects), d.Vendor, DemoProject{demoStranger, "somebody"}) {
		d.AddProjectID(p.ID, p.Name)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	within := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d) + 1)) }
	start := d.opts.Now()
	for i, img := range demoImages() {
		img.Owner = d.ProjectID
		age := time.Duration(30+i*10)*24*time.Hour + within(10*24*time.Hour)
		img.CreatedAt = start.Add(-age)
		img.Size = 1<<30 + rng.Int64N(3<<30)
		d.AddImage(img.Image)
		for _, m := range img.members {
			m.CreatedAt = start.Add(-within(age))
			m.UpdatedAt = m.CreatedAt.Add(within(start.Sub(m.CreatedAt)))
			d.AddMember(img.ID, m)
		}
		d.Images = append(d.Images, DemoImage{img.ID, img.Name, img.expected, img.expectedVisibility})
	}
	created := start.Add(-100 * 24 * time.Hour)
	d.AddImage(Image{ID: demoBase, Name: "vendor-base-12", Owner: demoVendor, CreatedAt: created})
	d.AddMember(demoBase, Member{MemberID: d.ProjectID, Status: "accepted", CreatedAt: created, UpdatedAt: created.Add(time.Hour)})
	d.SetLatency(7 * time.Millisecond) // what a real Glance takes for three members
	return d
}

type demoImage struct {
	Image
	members                      []Member
	expected, expectedVisibility []string
}

func demoImages() []demoImage {
	accepted := func(id string) Member { return Member{MemberID: id, Status: "accepted"} }
	pending := func(id string) Member { return Member{MemberID: id, Status: "pending"} }
	rejected := func(id string) Member { return Member{MemberID: id, Status: "rejected"} }
	golden := []string{"golden"}
	return []demoImage{
		{
			Image: Image{ID: demoDebian12, Name: "golden-debian-12", Tags: golden},
			members: []Member{
				accepted(demoPayments), accepted(demoSearch), pending(demoPlatform),
				accepted(demoSandbox), // not expected
			},
			expected: []string{demoPayments, demoSearch, demoPlatform},
		},
		{
			Image:    Image{ID: demoUbuntu, Name: "golden-ubuntu-24.04", Tags: golden},
			members:  []Member{accepted(demoPayments), accepted(demoPlatform), rejected(demoRunners)},
			expected: []string{demoPayments, demoPlatform, demoRunners},
		},
		{
			Image:    Image{ID: demoRocky, Name: "golden-rocky-9", Tags: golden},
			members:  []Member{accepted(demoSearch), accepted(demoRunners)},
			expected: []string{demoSearch, demoRunners},
		},
		{
			Image:    Image{ID: demoWindows, Name: "golden-windows-2022", Tags: golden, Protected: true},
			members:  []Member{accepted(demoPayments)},
			expected: []string{demoPayments},
		},
		{
			Image:    Image{ID: demoAlpine, Name: "golden-alpine-3.20", Tags: golden},
			expected: []string{},
		},
		{
			Image:    Image{ID: demoDebian11, Name: "golden-debian-11", Tags: golden, Hidden: true},
			members:  []Member{accepted(demoPayments), accepted(demoPartner)},
			expected: []string{demoPayments, demoPartner},
		},
		{
			Image:    Image{ID: demoCentOS, Name: "golden-centos-7", Tags: golden, Status: "deactivated"},
			members:  []Member{pending(demoRunners)},
			expected: []string{demoRunners},
		},
		{Image: Image{ID: demoScratch, Name: "build-scratch", Visibility: "private"}},
		{
			Image:              Image{ID: demoFedora, Name: "golden-fedora-41", Visibility: "community", Tags: golden},
			expectedVisibility: []string{"community"},
		},
		{
			Image:              Image{ID: demoCirros, Name: "cirros-0.6", Visibility: "public"},
			expectedVisibility: []string{"public"},
		},
	}
}

type demoStep struct {
	text string
	do   func(d *Demo)
}

// demoSteps lead back to where they began, so that the loop can go on for ever.
var demoSteps = []demoStep{
	{"golden-alpine-3.20 is offered to dev-sandbox, which is not expected", func(d *Demo) { d.Share(demoAlpine, demoSandbox) }},
	{"dev-sandbox accepts golden-alpine-3.20", func(d *Demo) { d.SetStatus(demoAlpine, demoSandbox, "accepted") }},
	{"dev-sandbox is removed from golden-alpine-3.20", func(d *Demo) { d.Unshare(demoAlpine, demoSandbox) }},
	{"golden-windows-2022 is offered to partner-acme, which is not expected", func(d *Demo) {
		d.Share(demoWindows, demoPartner)
	}},
	{"partner-acme rejects golden-windows-2022", func(d *Demo) { d.SetStatus(demoWindows, demoPartner, "rejected") }},
	{"partner-acme is removed from golden-windows-2022", func(d *Demo) { d.Unshare(demoWindows, demoPartner) }},
	{"golden-rocky-9 becomes a community image: every project can boot it", func(d *Demo) {
		d.SetImage(demoRocky, func(img *Image) { img.Visibility = "community" })
	}},
	{"golden-rocky-9 is shared again, with the members of before", func(d *Demo) {
		d.SetImage(demoRocky, func(img *Image) { img.Visibility = "shared" })
	}},
	{"data-platform is removed from golden-ubuntu-24.04 by mistake", func(d *Demo) {
		d.Unshare(demoUbuntu, demoPlatform)
	}},
	{"data-platform has golden-ubuntu-24.04 again", func(d *Demo) {
		d.Share(demoUbuntu, demoPlatform)
		d.SetStatus(demoUbuntu, demoPlatform, "accepted")
	}},
	{"a build makes an image that nobody has listed, build-nightly, and shares it with partner-acme", func(d *Demo) {
		d.AddImage(Image{ID: demoNightly, Name: "build-nightly", Owner: d.ProjectID})
		d.Share(demoNightly, demoPartner)
	}},
	{"build-nightly is deleted", func(d *Demo) { d.RemoveImage(demoNightly) }},
	{"a project that nobody knows offers an image to golden, which looks like vendor-base-12", func(d *Demo) {
		d.AddImage(Image{ID: demoDouble, Name: "vendor-base-12", Owner: demoStranger})
		d.Share(demoDouble, d.ProjectID)
	}},
	{"golden accepts that image by mistake", func(d *Demo) { d.SetStatus(demoDouble, d.ProjectID, "accepted") }},
	{"golden rejects that image", func(d *Demo) { d.SetStatus(demoDouble, d.ProjectID, "rejected") }},
	{"that image is deleted", func(d *Demo) { d.RemoveImage(demoDouble) }},
	{"distro-vendor shares vendor-base-12 no more", func(d *Demo) { d.Unshare(demoBase, d.ProjectID) }},
	{"golden has vendor-base-12 again", func(d *Demo) {
		d.Share(demoBase, d.ProjectID)
		d.SetStatus(demoBase, d.ProjectID, "accepted")
	}},
	{"the image API has a bad minute: 503 and 500 for some images, no answer for golden-alpine-3.20", func(d *Demo) {
		about := func(id string) func(Request) bool {
			return func(r Request) bool { return r.Operation == OpListMembers && r.ImageID == id }
		}
		d.Inject(Fault{Match: about(demoUbuntu), Status: http.StatusServiceUnavailable})
		d.Inject(Fault{Match: about(demoDebian11), Status: http.StatusInternalServerError})
		d.Inject(Fault{Match: about(demoAlpine), Hang: true})
	}},
	{"the image API is well again", func(d *Demo) { d.ClearFaults() }},
}

// Step makes the next thing happen and returns what it is, in a sentence.
func (d *Demo) Step() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := demoSteps[d.next%len(demoSteps)]
	d.next++
	s.do(d)
	if d.Describe != nil {
		d.Describe(s.text)
	}
	return s.text
}

// Steps is how many steps bring the world back to where it began.
func (d *Demo) Steps() int { return len(demoSteps) }

// Run makes a step every so often, until the context ends.
func (d *Demo) Run(ctx context.Context, every time.Duration) {
	defer d.ClearFaults() // or a server's shutdown would wait for the requests that hang
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			d.Step()
		}
	}
}
