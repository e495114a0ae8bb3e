package client

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkDecodeMembers: a list as Glance has it.
func BenchmarkDecodeMembers(b *testing.B) {
	for _, n := range []int{3, 100} {
		var rows []string
		for i := range n {
			rows = append(rows, fmt.Sprintf(`{"member_id": "%032x", "image_id": %q, "status": "accepted", "created_at": `+
				`"2026-11-23T20:50:46Z", "updated_at": "2026-11-23T20:50:46Z", "schema": "/v2/schemas/member"}`, i, fuzzedID))
		}
		body := []byte(`{"members": [` + strings.Join(rows, ", ") + `], "schema": "/v2/schemas/members"}`)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeMembers(body, fuzzedID, time.Time{}, Glance); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodePage: a listing as Glance has it.
func BenchmarkDecodePage(b *testing.B) {
	var rows []string
	for i := range 100 {
		rows = append(rows, fmt.Sprintf(`{"id": "83a34450-688e-449a-abea-%012d", "name": "golden-%d", "owner": `+
			`"61c9216745884e7782dc16e5123a5fc9", "visibility": "shared", "status": "active", "os_hidden": false, "tags": ["a", "b"], `+
			`"checksum": null, "size": 1}`, i, i))
	}
	body := []byte(`{"images": [` + strings.Join(rows, ", ") + `], "schema": "/v2/schemas/images", "first": "/v2/images"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePage(body, Glance); err != nil {
			b.Fatal(err)
		}
	}
}
