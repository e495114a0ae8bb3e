package client_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
)

// E18: a record is never lost for a side field, alone and in a list, which its neighbours are not lost for either.
func TestE18SideFields(t *testing.T) {
	full := client.Image{
		ID:         golden,
		Name:       "golden",
		Owner:      producer,
		Visibility: client.Shared,
		Status:     "active",
		Hidden:     true,
		Tags:       []string{"a"},
		View:       producer,
	}
	with := func(change func(img *client.Image)) client.Image {
		img := full
		change(&img)
		return img
	}
	noTags := with(func(img *client.Image) { img.Tags, img.TagsUnknown = nil, true })
	notHidden := with(func(img *client.Image) { img.Hidden = false })
	for _, test := range []struct {
		name, key, value string
		want             client.Image
	}{
		{"whole_image of another type", "__whole_image", `7`, full},
		{"whole_image with another word", "__whole_image", `"perhaps"`, full},
		{"whole_image that is an object", "__whole_image", `{"a": [1]}`, full},
		{"no list of tags", "tags", `"a"`, noTags},
		{"a tag that is no text", "tags", `["a", 7]`, noTags},
		{"a tag that is a list", "tags", `["a", ["b"]]`, noTags},
		{"more tags than there can be", "tags", `["` + strings.Repeat("x", 300<<10) + `"]`, noTags},
		{"hidden with another word", "os_hidden", `"perhaps"`, notHidden},
		{"hidden of another type", "os_hidden", `[true]`, notHidden},
		{"hidden in a word", "os_hidden", `"True"`, full},
		{"a name of another type", "name", `{"a": 1}`, with(func(img *client.Image) { img.Name = "" })},
		{"a status of another type", "status", `7`, with(func(img *client.Image) { img.Status = "" })},
		{"an odd date", "created_at", `{"a": 1}`, full},
		{"a property", "anything", `[{"a": [null]}]`, full},
		{"a property in other letters", "OWNER", `7`, full},
		{"a property in other letters", "Visibility", `{}`, full},
		{"a property in other letters", "tagſ", `7`, full},
		{"a property that is called like an error", "error", `"x"`, full},
		{"a property of many commas", "anything", `"` + strings.Repeat(`,\",`, 300_000) + `"`, full},
	} {
		for _, api := range []client.API{client.Glance, client.IMS} {
			t.Run(test.name+" "+string(api), func(t *testing.T) {
				values := map[string]string{
					"id": `"` + golden + `"`, "name": `"golden"`, "owner": `"` + producer + `"`, "visibility": `"shared"`,
					"status": `"active"`, "os_hidden": "true", "tags": `["a"]`,
				}
				values[test.key] = test.value
				var pairs []string
				for key, value := range values {
					pairs = append(pairs, fmt.Sprintf("%q: %s", key, value))
				}
				record := "{" + strings.Join(pairs, ", ") + "}"
				got, err := answering(t, api, record).Image(t.Context(), golden)
				if diff := cmp.Diff(test.want, got, ignoreBy); err != nil || diff != "" {
					t.Error(err, diff)
				}
				neighbour := `{"id": "` + hidden + `", "owner": "o", "visibility": "private", "tags": ["b"]}`
				want := []client.Image{test.want, {ID: hidden, Owner: "o", Visibility: client.Private, Tags: []string{"b"}, View: producer}}
				c := answering(t, api, `{"images": [`+record+`, `+neighbour+`]}`)
				page, err := c.ImagePage(t.Context(), client.ImageQuery{Owner: producer}, "")
				if diff := cmp.Diff(want, page.Images, ignoreBy); err != nil || diff != "" || page.Unreadable > 0 {
					t.Error(err, diff)
				}
				images, err := c.Images(t.Context(), []string{golden, hidden}, false)
				if diff := cmp.Diff(want, images, ignoreBy); err != nil || diff != "" {
					t.Error(err, diff)
				}
			})
		}
	}
}

// E18: a property of the owner's costs nothing but itself, in whatever letters, and a value that is there twice costs that
// value. What else is in the list is read.
func TestE18DuplicateNames(t *testing.T) {
	want := client.Image{
		ID:         golden,
		Name:       "golden",
		Owner:      producer,
		Visibility: client.Shared,
		Status:     "active",
		Tags:       []string{"a"},
		View:       producer,
	}
	with := func(change func(img *client.Image)) client.Image {
		img := want
		change(&img)
		return img
	}
	for twice, want := range map[string]client.Image{
		`"anything": 1, "anything": {"a": 1, "a": 2}`: want,
		`"error": "x", "error": "y"`:                  want,
		"\"anything\": \"\xff\", \"\xfe\": 1":         want,
		`"anything": "\ud800", "\ud800": 1`:           want,
		`"name": "another"`:                           with(func(img *client.Image) { img.Name = "" }),
		`"status": null`:                              with(func(img *client.Image) { img.Status = "" }),
		`"\u0074ags": []`:                             with(func(img *client.Image) { img.Tags, img.TagsUnknown = nil, true }),
		`"os_hidden": true, "os_hidden": true`:        want,
	} {
		record := `{"id": "` + golden + `", "name": "golden", "owner": "` + producer +
			`", "visibility": "shared", "status": "active", "tags": ["a"], ` + twice + `}`
		got, err := answering(t, client.Glance, record).Image(t.Context(), golden)
		if diff := cmp.Diff(want, got, ignoreBy); err != nil || diff != "" {
			t.Errorf("%s: %v %s", twice, err, diff)
		}
		page, err := answering(t, client.Glance, `{"images": [`+record+`, {"id": "x"}]}`).ImagePage(t.Context(), client.ImageQuery{}, "")
		if diff := cmp.Diff([]client.Image{want, {ID: "x", View: producer}}, page.Images, ignoreBy); err != nil || diff != "" {
			t.Errorf("%s: %v %s", twice, err, diff)
		}
	}
}

// E18: text that is not UTF-8 stays within its value.
func TestE18InvalidText(t *testing.T) {
	record := `{"id": "` + golden + `", "name": "a\ud800", "owner": "` + producer + `", "visibility": "shared", "tags": ["` + "\xff" + `"]}`
	want := client.Image{ID: golden, Name: "a\ufffd", Owner: producer, Visibility: client.Shared, Tags: []string{"\ufffd"}, View: producer}
	page, err := answering(t, client.Glance, `{"images": [`+record+`]}`).ImagePage(t.Context(), client.ImageQuery{}, "")
	if diff := cmp.Diff([]client.Image{want}, page.Images, ignoreBy); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// E18: who owns an image, and who has it, is not guessed.
func TestE18StrictFields(t *testing.T) {
	for _, record := range []string{
		`{"id": 7, "owner": "o", "visibility": "shared"}`, `{"id": "` + golden + `", "owner": 7, "visibility": "shared"}`,
		`{"id": "` + golden + `", "owner": "o", "visibility": ["shared"]}`,
		`{"id": "` + golden + `", "name": 7, "owner": 7, "visibility": "shared"}`, `7`,
		`{"id": "` + golden + `", "owner": "o", "owner": "p", "visibility": "shared"}`, `{"id": "` + golden + `", "id": "` + golden + `"}`,
		`{"id": "` + golden + `", "owner": "o", "visibility": "shared", "visibility": "private"}`, `[{"id": "` + golden + `"}]`,
	} {
		if img, err := answering(t, client.Glance, record).Image(t.Context(), golden); err == nil || asError(t, err).Code != client.CodeDecode {
			t.Errorf("%s: got %+v, %v", record, img, err)
		}
		page, err := answering(t, client.Glance, `{"images": [`+record+`]}`).ImagePage(t.Context(), client.ImageQuery{}, "")
		if err != nil || len(page.Images) > 0 || page.Unreadable != 1 {
			t.Errorf("%s: got %+v, %v", record, page, err)
		}
	}
}

// E18: what begins with __ is the owner's own property in Glance.
func TestE18PropertiesOfHuaweiCloud(t *testing.T) {
	record := `{"id": "` + golden + `", "owner": "o", "visibility": "shared", "__whole_image": "true"}`
	for api, want := range map[client.API]bool{client.Glance: false, client.IMS: true, "": false} {
		img, err := answering(t, api, record).Image(t.Context(), golden)
		if err != nil || img.FullServer != want {
			t.Errorf("%s: got %+v, %v", api, img, err)
		}
		page, err := answering(t, api, `{"images": [`+record+`]}`).ImagePage(t.Context(), client.ImageQuery{Owner: "o"}, "")
		if err != nil || page.Images[0].FullServer != want {
			t.Errorf("%s: got %+v, %v", api, page, err)
		}
	}
}
