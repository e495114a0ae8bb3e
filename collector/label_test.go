package collector_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"glance_share_exporter/internal/fakecloud"
)

func TestLongMemberIDsStayApart(t *testing.T) {
	long := strings.Repeat("ä", 200)
	fits := strings.Repeat("x", 256)
	w := newWorld()
	for _, id := range []string{long + "1", long + "2", fits, "plain"} {
		w.AddMember(empty, fakecloud.Member{MemberID: id, Status: "pending"})
	}
	memberID := regexp.MustCompile(`member_id="([^"]*)"`)
	cut := regexp.MustCompile(`^ä+-[0-9a-f]{64}$`)
	labels := map[string]bool{}
	bubble(t, w, user("producer"), options(empty), func(t *testing.T, b *bench) {
		for _, line := range series(t, b.scrape(t), "glance_image_member_status") {
			label := memberID.FindStringSubmatch(line)[1]
			labels[label] = true
			if !utf8.ValidString(label) || len(label) > 256 {
				t.Errorf("label %q", label)
			}
			if strings.HasPrefix(label, "ä") && !cut.MatchString(label) {
				t.Errorf("label %q does not end in its hash", label)
			}
		}
	})
	if len(labels) != 4 || !labels[fits] || !labels["plain"] {
		t.Errorf("got %v", labels)
	}
}
