package config

import (
	"fmt"
	"strings"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
)

// inbound is whether images of other projects are watched, as a word, or who may own them and how many are shown.
type inbound struct {
	word           string
	ExpectedOwners *memberList `yaml:"expected_owners,omitempty"`
	MaxImages      int         `yaml:"max_images"`
}

func (i *inbound) setDefaults() { i.MaxImages = collector.DefaultMaxImages }

func (i *inbound) setWord(word string) { i.word = strings.ToLower(word) }

func (inbound) wanted() string {
	return "true, false, or a mapping such as {expected_owners: [" + member{}.example() + "]}"
}

// inbound returns what is expected of the images that other projects share; nil: they are not watched.
func (b *builder) inbound(path string, i *inbound) *collector.Inbound {
	switch {
	case i == nil || i.word == "false":
		return nil
	case i.word != "" && i.word != "true":
		b.add(path, "must be %s, not %q", i.wanted(), shorten(i.word))
		return nil
	}
	_, limited := b.lines[path+".max_images"]
	if i.word == "" && i.ExpectedOwners == nil && !limited {
		b.add(path, "has no expected_owners: add them, [] for nobody, or write inbound: true if any project may share images")
		return nil
	}
	o := &collector.Inbound{MaxImages: i.MaxImages}
	if o.MaxImages == 0 {
		o.MaxImages = -1 // which is refused
	}
	if i.ExpectedOwners != nil {
		o.Owners = b.owners(path+".expected_owners", *i.ExpectedOwners)
	}
	return o
}

// owners are members that can own images: projects.
func (b *builder) owners(path string, list memberList) []collector.ExpectedMember {
	for k := range list {
		m, at := &list[k], fmt.Sprintf("%s[%d]", path, k)
		if m.ID == "*" {
			b.add(at, "%s", collector.OwnerIDProblem(m.ID))
		}
		if m.Type != "" && m.Type != string(client.TypeProject) {
			b.add(at+".type", "must be project, since only projects own images: write the project's ID, and leave type out")
		}
		for _, g := range b.doc.MemberGroups[m.Group] {
			if e := g.expected(); e.Type != client.TypeProject {
				b.add(at, "group %s has the %s %s, and only projects own images: write a group of projects", m.Group, e.Type, e.ID)
			}
		}
	}
	return b.members(path, list)
}
