package config_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/client"
	"glance_share_exporter/collector"
	"glance_share_exporter/internal/config"
)

const (
	imageA = "11111111-0000-4000-8000-000000000001"
	imageB = "22222222-0000-4000-8000-000000000002"
	imageC = "33333333-0000-4000-8000-000000000003"
	teamA  = "edc89b490d7d4392898e19b2deb34797"
)

// teams is a configuration whose images are in the files of teams.
const teams = `member_groups: {platform: [` + teamA + `]}
clouds:
  - name: prod
    auth: {none: {project_id: ` + teamA + `}}
    endpoint: https://image.example.com
    expected_members: []
    images: [{id: ` + imageC + `}]
    images_files: [teams/*.yml]
`

// inFiles writes files into a directory of their own and returns it. A name that ends with a slash is a directory, and a text
// that begins with an arrow the target of a symbolic link.
func inFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	cleanEnv(t)
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		switch target, link := strings.CutPrefix(files[name], "-> "); {
		case strings.HasSuffix(name, "/"):
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		case link:
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		default:
			write(t, path, files[name])
		}
	}
	return dir
}

func TestImagesFiles(t *testing.T) {
	dir := inFiles(t, map[string]string{
		"exporter.yml": teams,
		"teams/a.yml":  "- id: " + imageA + "\n  name: golden\n  expected_members: [{group: platform}]\n",
		"teams/b.yml":  "-> ../elsewhere",
		"teams/c.yml":  "[] # none yet\n",
		"teams/.d.yml": "nonsense",
		"teams/e.txt":  "nonsense",
		"elsewhere":    "# the images of b\n- {id: " + imageB + ", expected_visibility: [public]}\n",
	})
	c := load(t, filepath.Join(dir, "exporter.yml"))
	nobody := []collector.ExpectedMember{}
	want := []collector.Image{
		{ID: imageC, Policy: collector.Policy{Members: nobody}},
		{ID: imageA, Name: "golden", Policy: collector.Policy{Members: []collector.ExpectedMember{project(teamA, "")}}},
		{ID: imageB, Policy: collector.Policy{Members: nobody, Visibility: []client.Visibility{client.Public}}},
	}
	if diff := cmp.Diff(want, c.Clouds[0].Collector.Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	relative := func(paths []string) (list []string) {
		for _, path := range paths {
			list = append(list, strings.TrimPrefix(path, dir+"/"))
		}
		return list
	}
	if diff := cmp.Diff([]string{"exporter.yml", "teams/a.yml", "teams/b.yml", "teams/c.yml"}, relative(c.Files)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"teams/*.yml"}, relative(c.Globs)); diff != "" {
		t.Errorf("globs (-want +got):\n%s", diff)
	}
	shown, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	_, images, _ := strings.Cut(string(shown), "    images:\n")
	if diff := cmp.Diff(`      - id: `+imageC+`
      # DIR/teams/a.yml
      - id: `+imageA+`
        name: golden
        expected_members:
          - group: platform
      # DIR/teams/b.yml
      - id: `+imageB+`
        expected_visibility:
          - public
    images_files:
      - DIR/teams/*.yml
`, strings.ReplaceAll(images, dir, "DIR")); diff != "" {
		t.Errorf("/config (-want +got):\n%s", diff)
	}
}

// A file that several globs match, or several clouds, is read for each cloud once.
func TestImagesFilesOfSeveralGlobs(t *testing.T) {
	text := strings.Replace(teams, "[teams/*.yml]", "[teams/*.yml, teams/a.yml]", 1)
	_, cloud, _ := strings.Cut(text, "clouds:\n")
	dir := inFiles(t, map[string]string{
		"exporter.yml": text + strings.Replace(cloud, "prod", "test", 1),
		"teams/a.yml":  "[{id: " + imageA + "}]",
	})
	for _, c := range load(t, filepath.Join(dir, "exporter.yml")).Clouds {
		if n := len(c.Collector.Images); n != 2 {
			t.Errorf("%s has %d images", c.Collector.Name, n)
		}
	}
}

// One team's mistake refuses the whole configuration.
func TestMistakesInImagesFiles(t *testing.T) {
	const good = "- id: " + imageA + "\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no file": {
			map[string]string{"teams/.a.yml": good, "teams/a.yaml": good},
			"exporter.yml:8: clouds[0].images_files[0]: teams/*.yml matches no file: correct it, or create a file with [] for no image; " +
				"names that begin with a dot are not matched",
		},
		"no directory": {
			nil, "exporter.yml:8: clouds[0].images_files[0]: teams/*.yml matches no file: correct it, or create a file with [] for no image; " +
				"names that begin with a dot are not matched",
		},
		"the directory is a file": {
			map[string]string{"teams": "x"},
			"exporter.yml:8: clouds[0].images_files[0]: directory teams cannot be read, not a directory: " +
				"let the exporter's user read it, or correct the glob",
		},
		"empty": {
			map[string]string{"teams/a.yml": good, "teams/b.yml": "# no image\n"},
			"teams/b.yml:1: the file is empty: write [] for no image, or a list such as [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]",
		},
		"a mapping": {
			map[string]string{"teams/a.yml": "\nimages:\n" + good},
			"teams/a.yml:2: the file must be a list such as [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}], not a mapping",
		},
		"two documents": {
			map[string]string{"teams/a.yml": good + "---\n" + good},
			"teams/a.yml:2: a second YAML document begins here: write one document, without ---",
		},
		"no YAML": {
			map[string]string{"teams/a.yml": "- id: 'a\n"},
			"teams/a.yml:1: not valid YAML: a quote in this line is not closed: close it",
		},
		"unknown key": {
			map[string]string{"teams/a.yml": good + "  expected: []\n"},
			`teams/a.yml:2: [0]: unknown key "expected": did you mean expected_members or expected_visibility?`,
		},
		"no secrets": {
			map[string]string{"teams/a.yml": good + "  password_file: /etc/shadow\n"},
			`teams/a.yml:2: [0]: unknown key "password_file": the keys here are id, name, expected_members, expected_visibility`,
		},
		"no groups of its own": {
			map[string]string{"teams/a.yml": good + "  expected_members:\n  - {group: mine}\n"},
			`teams/a.yml:3: [0].expected_members[0].group: there is no group "mine": write one of platform, or add it to member_groups`,
		},
		"no value": {
			map[string]string{"teams/a.yml": good + "- id:\n"},
			"teams/a.yml:2: [1].id: has no value: write a string",
		},
		"no ID": {
			map[string]string{"teams/a.yml": good + "- name: x\n"},
			"teams/a.yml:2: [1].id: is required: write the image's UUID",
		},
		"not an ID": {
			map[string]string{"teams/a.yml": good, "teams/b.yml": "\n- id: golden\n"},
			"teams/b.yml:2: [0].id: \"golden\" is not an image ID: write the UUID in lower case, as `openstack image list` shows it",
		},
		"in two files": {
			map[string]string{"teams/a.yml": good, "teams/b.yml": "- id: " + imageB + "\n- name: x\n  id: " + imageA + "\n"},
			"teams/b.yml:3: [1].id: " + imageA + " is also in teams/a.yml:1: remove one",
		},
		"twice in a file": {
			map[string]string{"teams/a.yml": good + good},
			"teams/a.yml:2: [1].id: " + imageA + " is also in teams/a.yml:1: remove one",
		},
		"in images and in a file": {
			map[string]string{"teams/a.yml": "- id: " + imageC + "\n"},
			"teams/a.yml:1: [0].id: " + imageC + " is also in exporter.yml:7: remove one",
		},
		"a link to a file that is matched, too": {
			map[string]string{"teams/a.yml": good, "teams/b.yml": "-> a.yml"},
			"teams/b.yml:1: [0].id: " + imageA + " is also in teams/a.yml:1: remove one",
		},
		"a link that leads nowhere": {
			map[string]string{"teams/a.yml": "-> b"},
			"exporter.yml:8: clouds[0].images_files[0]: teams/a.yml cannot be read, no such file: correct the path, or create the file",
		},
		"not a file": {
			map[string]string{"teams/a.yml/": ""},
			"exporter.yml:8: clouds[0].images_files[0]: teams/a.yml is not a regular file: name a file",
		},
		"too large": {
			map[string]string{"teams/a.yml": strings.Repeat("#", 16<<20+1)},
			"exporter.yml:8: clouds[0].images_files[0]: teams/a.yml has more than 16 MiB: split it, or use discover",
		},
		"exporter.yml comes first": {
			map[string]string{"teams/a.yml": "- id: x\n", "exporter.yml": teams + "    shards: -1\n"},
			"exporter.yml:9: clouds[0].shards: must be from 1 to 1024",
		},
		"a wildcard in the directory": {
			map[string]string{"exporter.yml": strings.Replace(teams, "teams/*.yml", "t*/a.yml", 1)},
			`exporter.yml:8: clouds[0].images_files[0]: "t*/a.yml" has a wildcard in its directory: use * ? and [a-z] in the name of the file only`,
		},
		"no glob": {
			map[string]string{"exporter.yml": strings.Replace(teams, "teams/*.yml", `"teams/[a"`, 1)},
			`exporter.yml:8: clouds[0].images_files[0]: "teams/[a" is not a valid glob: close its [, and escape a literal [ or \ with \`,
		},
		"a single glob": {
			map[string]string{"exporter.yml": strings.Replace(teams, "[teams/*.yml]", "teams/*.yml", 1)},
			"exporter.yml:8: clouds[0].images_files: must be a list such as [teams/*.yml], not a single value",
		},
		"no glob at all": {
			map[string]string{"exporter.yml": strings.Replace(teams, "[teams/*.yml]", "[]", 1)},
			"exporter.yml:8: clouds[0].images_files: must not be empty: remove the key",
		},
		"nothing to watch": {
			map[string]string{
				"exporter.yml": strings.Replace(teams, "    images: [{id: "+imageC+"}]\n", "", 1), "teams/a.yml": "[]",
			},
			"exporter.yml:3: clouds[0].images: is required: list at least one image, as in images: " +
				"[{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}], or write discover: [{}] for all images of the credential's project",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"exporter.yml": teams}
			maps.Copy(files, test.files)
			t.Chdir(inFiles(t, files))
			c, err := config.Load("exporter.yml")
			if c != nil || err == nil || err.Error() != test.want {
				t.Fatalf("got %v\nwant %s", err, test.want)
			}
			bad, ok := errors.AsType[*config.LoadError](err)
			if file, _, _ := strings.Cut(test.want, ":"); !ok || !slices.Contains(bad.Files, file) {
				t.Errorf("a change of %s is not noticed: %q", file, bad.Files)
			}
		})
	}
}

// A pipe could be read only once, and opening it waits for another process.
func TestAPipeAmongImagesFiles(t *testing.T) {
	dir := inFiles(t, map[string]string{"exporter.yml": teams, "teams/a.yml": "[]"})
	if err := syscall.Mkfifo(filepath.Join(dir, "teams/b.yml"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(filepath.Join(dir, "exporter.yml"))
	if err == nil || !strings.HasSuffix(err.Error(), "teams/b.yml is not a regular file: name a file") {
		t.Error(err)
	}
}

func TestWarningsAboutImagesFiles(t *testing.T) {
	t.Chdir(inFiles(t, map[string]string{
		"exporter.yml": teams, "teams/a.yml": "- id: " + imageA + "\n  expected_members:\n  - platform-team\n",
	}))
	const want = "teams/a.yml:3: [0].expected_members[0]: platform-team is not 32 hexadecimal digits"
	if c := load(t, "exporter.yml"); len(c.Warnings) != 1 || !strings.HasPrefix(c.Warnings[0], want) {
		t.Errorf("got %q, want %s", c.Warnings, want)
	}
}

func TestGoneImagesFiles(t *testing.T) {
	const one, two = "[{id: " + imageA + "}]", "[{id: " + imageA + "}, {id: " + imageB + "}]"
	for name, test := range map[string]struct {
		old, next map[string]string
		change    func(text string) string
		want      []string
	}{
		"nothing": {old: map[string]string{"a.yml": two}, next: map[string]string{"a.yml": two}},
		"one": {
			old: map[string]string{"a.yml": two, "b.yml": "[]"}, next: map[string]string{"b.yml": "[]"},
			want: []string{"images_files: teams/a.yml is gone; its 2 images are no longer watched"},
		},
		"of one image": {
			old: map[string]string{"a.yml": one, "b.yml": "[]"}, next: map[string]string{"b.yml": "[]"},
			want: []string{"images_files: teams/a.yml is gone; its image is no longer watched"},
		},
		"without images":   {old: map[string]string{"a.yml": two, "b.yml": "[]"}, next: map[string]string{"a.yml": two}},
		"images taken out": {old: map[string]string{"a.yml": two}, next: map[string]string{"a.yml": "[]"}},
		"renamed": {
			old: map[string]string{"a.yml": two}, next: map[string]string{"b.yml": two},
			want: []string{"images_files: teams/a.yml is gone; 0 of its 2 images are no longer watched"},
		},
		"moved in part": {
			old: map[string]string{"a.yml": two}, next: map[string]string{"b.yml": one},
			want: []string{"images_files: teams/a.yml is gone; 1 of its 2 images are no longer watched"},
		},
		"with discover": {
			old: map[string]string{"a.yml": two}, next: map[string]string{"b.yml": "[]"},
			change: func(text string) string { return text + "    discover: [{}]\n" },
			want:   []string{"images_files: teams/a.yml is gone; its 2 images are no longer watched, unless a rule of discover matches them"},
		},
		"another glob": {
			old: map[string]string{"a.yml": two, "b.yml": "[]"}, next: map[string]string{"b.yml": "[]"},
			change: func(text string) string { return strings.Replace(text, "*.yml", "b*.yml", 1) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			in := func(teamFiles map[string]string, text string) config.Cloud {
				if err := os.RemoveAll("teams"); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir("teams", 0o700); err != nil {
					t.Fatal(err)
				}
				for name, text := range teamFiles {
					write(t, filepath.Join("teams", name), text)
				}
				write(t, "exporter.yml", text)
				return load(t, "exporter.yml").Clouds[0]
			}
			cleanEnv(t)
			old, text := in(test.old, teams), teams
			if test.change != nil {
				text = test.change(text)
			}
			if diff := cmp.Diff(test.want, in(test.next, text).Gone(old)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
