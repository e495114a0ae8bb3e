package collector

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
)

func TestLimit(t *testing.T) {
	for _, test := range []struct {
		name    string
		sizes   []int
		leftOut map[int]int
	}{
		{"none", nil, map[int]int{}},
		{"all", []int{0, 3, 2000}, map[int]int{}},
		{"one too many of an image", []int{3, 2001}, map[int]int{1: 1}},
		{"some with very many beside those with a few", append([]int{2000, 9000}, many(1000, 50)...), map[int]int{1: 7000}},
		{"more than a cloud may show", append(many(199, 2000), 1999, 3, 2), map[int]int{}},
		{"the largest give way", append(many(399, 1500), 3), map[int]int{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			images := make([]ImageSnapshot, len(test.sizes))
			for i, n := range test.sizes {
				images[i].Members = make([]client.Member, n)
			}
			limit(images)
			leftOut, shown := map[int]int{}, 0
			for i, img := range images {
				shown += len(img.Members) - img.LeftOut
				if img.LeftOut > 0 {
					leftOut[i] = img.LeftOut
				}
			}
			if shown > maxShownInAll {
				t.Errorf("%d are shown", shown)
			}
			if total := sum(test.sizes); total > maxShownInAll && len(test.leftOut) == 0 {
				// Nothing is wasted, and nobody with a few gives anything.
				if shown < maxShownInAll-len(images) {
					t.Errorf("%d are shown", shown)
				}
				for i, n := range test.sizes {
					if n < 100 && leftOut[i] > 0 {
						t.Errorf("image %d with %d members gives %d", i, n, leftOut[i])
					}
				}
				return
			}
			if diff := cmp.Diff(test.leftOut, leftOut); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func many(n, size int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = size
	}
	return list
}

func sum(list []int) (n int) {
	for _, v := range list {
		n += v
	}
	return n
}
