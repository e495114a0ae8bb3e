package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glance_share_exporter/internal/config"
)

// mistakes pairs testdata/bad/*.yml with what Load says of them, after the file's name and a colon.
var mistakes = []struct{ file, want string }{
	// The file as a whole.
	{"complex-key", "1: the file has a key that is not a word: write keys as key: value"},
	{"empty", "1: the file is empty: write at least clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"},
	{"first-in-file-order", "1: scrape.concurrency: must be from 1 to 1000, not 0"},
	{"null-document", "1: the file is empty: write at least clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"},
	{"only-comments", "1: the file is empty: write at least clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"},
	{"root-list", "1: the file must be a mapping, lines of key: value, not a list"},
	{"root-word", "1: the file must be a mapping, lines of key: value, not a single value"},
	{"second-cloud", "7: clouds[1].auth: has env and none: write one of them"},
	{"two-documents", "6: a second document begins here: write one document, without a line of ---"},
	// Syntax.
	{"syntax-at-sign", "2: not valid YAML: a value begins with @, % or a backtick: put it in quotes"},
	{"syntax-control-character", "2: not valid YAML: a control character: remove it"},
	{"syntax-escape", "2: not valid YAML: a backslash in double quotes that escapes nothing: use single quotes"},
	{"syntax-indentation-deep", "7: not valid YAML: indent this line like its neighbours, and begin each entry of a list with a dash"},
	{"syntax-indentation", "3: not valid YAML: indent this line like its neighbours, and begin each entry of a list with a dash"},
	{"syntax-list-in-line", "1: not valid YAML: a list cannot begin in this line: begin it in the next one"},
	{"syntax-no-colon", "3: not valid YAML: a key without a colon and a blank after it: write it as key: value"},
	{"syntax-not-utf8", "2: not valid YAML: not UTF-8: save the file as UTF-8"},
	{"syntax-open-bracket", "3: not valid YAML: a [ or { of this line is not closed: close it, or put the value in quotes"},
	{"syntax-open-quote", "2: not valid YAML: a quote that opens in this line is not closed: close it"},
	{"syntax-second-colon", "2: not valid YAML: a second colon in one line, or a line indented too far: put the value in quotes, or indent it like its neighbours"},
	{"syntax-tab", "2: not valid YAML: the line is indented with a tab: use blanks"},
	{"syntax-trailing-bracket", "2: not valid YAML: indent this line like its neighbours, and put a value with quotes or brackets in quotes as a whole"},
	{"syntax-unknown-anchor", "4: not valid YAML: a * without an anchor of that name before it: put the value in quotes, or define the anchor with &"},
	// Keys, aliases and kinds of values.
	{"alias-bomb", "2: member_names: aliases expand to more than 1000000 values: write them out"},
	{"duplicate-key", "6: clouds[0].region: is already in line 5: leave one out"},
	{"duplicate-key-without-blank", "4: clouds[0].auth.password.password: is already in line 4: leave one out"},
	{"duplicate-member-name", "3: member_names.edc8: is already in line 2: leave one out"},
	{"merge-into-itself", "4: clouds[0]: << merges a mapping into itself: leave it out"},
	{"merge-of-a-word", "5: clouds[0]: << must be followed by an alias of a mapping or a list of such, as in <<: *defaults"},
	{"no-blank-after-colon-unknown", `4: clouds[0].auth.password: unknown key "passwd": did you mean "password"?`},
	{"no-blank-after-colon", `4: clouds[0].auth.password: the colon after "password" has no blank after it: write password: and then the value`},
	{"unknown-key-env", `4: clouds[0].auth.env: unknown key "cloud": nothing is known here, write {}`},
	{"unknown-key-far", `5: clouds[0]: unknown key "timeout_seconds"; known here are: name, api, auth, admin_roles, region, interface, endpoint, http, scrape, members_for, members_limit, member_details, expected_members, images, discover`},
	{"unknown-key-http", `5: clouds[0].http: unknown key "proxyurl": did you mean "proxy_url"?`},
	{"unknown-key-image", `7: clouds[0].images[0]: unknown key "label"; known here are: id, name, expected_members, expected_visibility`},
	{"unknown-key-long", `5: clouds[0]: unknown key "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."; known here are: name, api, auth, admin_roles, region, interface, endpoint, http, scrape, members_for, members_limit, member_details, expected_members, images, discover`},
	{"unknown-key", `1: unknown key "cluods": did you mean "clouds"?`},
	// Documented, without an effect yet.
	{"pending-api-ims", "5: clouds[0].api: ims is not supported yet: leave this cloud out, or write api: glance where the cloud has the plain image API too"},
	{"pending-auth-aksk", "4: clouds[0].auth.aksk: not supported yet: use password, with an IAM user of the cloud"},
	{"pending-auth-ecs-agency", "4: clouds[0].auth.ecs_agency: not supported yet: use password, with an IAM user of the cloud"},
	{"pending-cloud-discovery-interval", "5: clouds[0].scrape.discovery_interval: not supported yet: leave it out"},
	{"pending-cloud-max-staleness", "5: clouds[0].scrape.max_staleness: not supported yet: leave it out; every scrape collects"},
	{"pending-cloud-refresh-interval", "5: clouds[0].scrape.refresh_interval: not supported yet: leave it out; every scrape collects"},
	{"pending-cloud-requests-per-second", "5: clouds[0].scrape.requests_per_second: not supported yet: leave it out, and lower scrape.concurrency to ask more slowly"},
	{"pending-inbound", "5: clouds[0].inbound: not supported yet: leave it out"},
	{"pending-members-api", "5: clouds[0].members_api: not supported yet: leave it out"},
	{"pending-projects", "5: clouds[0].projects: not supported yet: leave it out, and write one entry of clouds per project"},
	{"pending-scrape-discovery-interval", "1: scrape.discovery_interval: not supported yet: leave it out"},
	{"pending-scrape-max-staleness", "1: scrape.max_staleness: not supported yet: leave it out; every scrape collects"},
	{"pending-scrape-refresh-interval", "1: scrape.refresh_interval: not supported yet: leave it out; every scrape collects"},
	{"pending-scrape-requests-per-second", "1: scrape.requests_per_second: not supported yet: leave it out, and lower scrape.concurrency to ask more slowly"},
	{"pending-scrape-via", "5: clouds[0].scrape_via: not supported yet: leave it out; /metrics has every cloud"},
	{"pending-shards", "5: clouds[0].shards: not supported yet: leave it out"},
	// clouds and images.
	{"admin-roles-empty-name", "5: clouds[0].admin_roles[1]: is empty: write the name of a role, or leave the line out"},
	{"admin-roles-word", "5: clouds[0].admin_roles: must be a list such as [a, b], not a single value"},
	{"api-unknown", `5: clouds[0].api: must be glance, not "glanse"`},
	{"cloud-word", "1: clouds[0]: must be a mapping such as {name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}, not a single value"},
	{"clouds-empty", "1: clouds: is empty: write at least one, as in clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"},
	{"clouds-mapping", "1: clouds: must be a list such as [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}], not a mapping"},
	{"clouds-missing", "1: clouds: is required: write at least one, as in clouds: [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"},
	{"clouds-null", "1: clouds: has no value: write a list such as [{name: prod, auth: {clouds_yaml: {cloud: prod}}, images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}]}]"},
	{"endpoint-with-password", "4: clouds[0].endpoint: must not carry a user name or password: put them under auth"},
	{"endpoint-with-query", "4: clouds[0].endpoint: must not have a query or fragment: end it at the path"},
	{"endpoint-without-scheme", "4: clouds[0].endpoint: must be a URL such as https://image.example.com"},
	{"image-duplicate", "8: clouds[0].images[1].id: d164b5df-1bc3-4c3f-893e-3e471fd16e64 is already images[0]: leave one out"},
	{"image-id-malformed", "7: clouds[0].images[1].id: \"golden\" is not an image ID: write the UUID in lower case, as `openstack image list` shows it"},
	{"image-id-null", "6: clouds[0].images[0].id: has no value: write a string"},
	{"image-without-id", "6: clouds[0].images[0].id: is required: write the image's UUID"},
	{"image-word", "6: clouds[0].images[0]: must be a mapping such as {id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}, not a single value"},
	{"images-empty", "5: clouds[0].images: is required: list at least one image, as in images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}], or write discover: [{}] for all images of the credential's project"},
	{"images-mapping", "5: clouds[0].images: must be a list such as [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}], not a mapping"},
	{"images-missing", "2: clouds[0].images: is required: list at least one image, as in images: [{id: d164b5df-1bc3-4c3f-893e-3e471fd16e64}], or write discover: [{}] for all images of the credential's project"},
	{"interface-unknown", `5: clouds[0].interface: must be public, internal or admin, not "extern"`},
	{"name-blank", `2: clouds[0].name: "my cloud" must be 1 to 128 letters, digits, dots, dashes and underscores, and begin with a letter or digit, as in prod-eu1`},
	{"name-duplicate", "6: clouds[1].name: prod is already the name of clouds[0]: rename one of them"},
	{"name-list", "2: clouds[0].name: must be a string, not a list"},
	{"name-missing", "2: clouds[0].name: is required: write the value that the label cloud shall have"},
	{"name-null", "2: clouds[0].name: has no value: write a string"},
	{"name-tag", "2: clouds[0].name: has a YAML tag, a word that begins with !: put the value in quotes"},
	// members and scrape.
	{"concurrency-of-cloud", "5: clouds[0].scrape.concurrency: must be from 1 to 1000, not 5000"},
	{"concurrency-overridden", "1: scrape.concurrency: must be from 1 to 1000, not 0"},
	{"concurrency-word", `1: scrape.concurrency: must be a whole number such as 8, not "eight"`},
	{"concurrency-zero", "3: scrape.concurrency: must be from 1 to 1000, not 0"},
	{"member-details-word", `5: clouds[0].member_details: must be true or false, without quotes, not "some"`},
	{"member-names-empty-name", "2: member_names.edc8: has an empty name: write the name to show for this member, or leave the line out"},
	{"member-names-key-blank", "2: member_names[\"team a\"]: the key must be a project's ID, without blanks: write it as `openstack project list` shows it"},
	{"member-names-list", "1: member_names: must be a mapping, lines of key: value, not a list"},
	{"member-names-null", "2: member_names.edc8: has no value: write a string, or leave the key out"},
	{"members-for-empty", "5: clouds[0].members_for: must not be empty: leave the key out for [shared]"},
	{"members-for-twice", "5: clouds[0].members_for[1]: shared is there twice: leave one out"},
	{"members-for-unknown", `5: clouds[0].members_for[1]: must be private, shared, community or public, not "secret"`},
	{"members-limit-word", `5: clouds[0].members_limit: must be a whole number such as 8, not "many"`},
	{"request-timeout-unit", `6: clouds[0].scrape.request_timeout: must be a duration in whole numbers such as 1500ms or 30s, not "5 seconds"`},
	{"scrape-list", "1: scrape: must be a mapping, lines of key: value, not a list"},
	{"timeout-offset-too-long", "3: scrape.timeout_offset: must be less than timeout, 10s"},
	{"members-limit-negative", "5: clouds[0].members_limit: must not be negative: write 0 where the cloud has no quota"},
	{"timeout-negative", `2: scrape.timeout: must be a duration in whole numbers such as 1500ms or 30s, not "-5s"`},
	{"timeout-null", "2: scrape.timeout: has no value: write a duration in whole numbers such as 1500ms or 30s, or leave the key out"},
	{"timeout-offset-mapping", "2: scrape.timeout_offset: must be a duration in whole numbers such as 1500ms or 30s, not a mapping"},
	{"timeout-without-unit", `2: scrape.timeout: must be a duration in whole numbers such as 1500ms or 30s, not "10"`},
	// expected_members, member_groups and discover.
	{"discover-empty-beside-images", "7: clouds[0].discover: is empty: write [{}] for all images of the credential's project, or leave the key out"},
	{"discover-empty", "5: clouds[0].discover: is empty: write [{}] for all images of the credential's project, or leave the key out"},
	{"discover-expected-members-twice", "7: clouds[0].discover[0].expected_members[1]: edc8 is already expected_members[0]: leave one out"},
	{"discover-glob", `7: clouds[0].discover[1].name: "[golden" is not a glob: close its [, and write \ before a [ or \ that stands for itself`},
	{"discover-mapping", "5: clouds[0].discover: must be a list such as [{tags: [golden]}], not a mapping"},
	{"discover-null", "6: clouds[0].discover[0]: has no value: write a mapping such as {tags: [golden]}"},
	{"discover-owner-blank", "5: clouds[0].discover[0].owners[0]: \"team a\" has blanks, so it is no ID: write a project's ID as `openstack project list` shows it"},
	{"discover-owner-twice", "5: clouds[0].discover[0].owners[1]: edc8 is there twice: leave one out"},
	{"discover-owners-empty", "5: clouds[0].discover[0].owners: must not be empty: leave the key out"},
	{"discover-owners-star-and-more", `5: clouds[0].discover[0].owners[0]: "*" takes every project: leave the others out`},
	{"discover-owners-star-without-quotes", `5: not valid YAML: a value begins with * or &: put it in quotes, as in "*"`},
	{"discover-regexp", `7: clouds[0].discover[1].name: "^golden-.*$" looks like a regular expression, and is a glob: write it as in golden-*`},
	{"expected-members-group-as-id", "8: clouds[0].images[0].expected_members[0]: platform is a group of member_groups: write {group: platform}"},
	{"expected-members-name", "8: clouds[0].images[0].expected_members[1]: team-payments is the name of 2c63 in member_names: write the ID"},
	{"discover-same-rule-twice", "7: clouds[0].discover[1]: can never match, because discover[0] takes all of its images: put it before that one, or leave it out"},
	{"discover-tag-blank", `5: clouds[0].discover[0].tags[1]: " x" is no tag: write one without blanks around it`},
	{"discover-tag-twice", "5: clouds[0].discover[0].tags[1]: golden is there twice: leave one out"},
	{"discover-tags-empty", "5: clouds[0].discover[0].tags: must not be empty: leave the key out"},
	{"discover-unknown-key", `5: clouds[0].discover[0]: unknown key "tag": did you mean "tags"?`},
	{"discover-unreachable-glob", "7: clouds[0].discover[1]: can never match, because discover[0] takes all of its images: put it before that one, or leave it out"},
	{"discover-unreachable-owner", "7: clouds[0].discover[1]: can never match, because discover[0] takes all of its images: put it before that one, or leave it out"},
	{"discover-unreachable", "8: clouds[0].discover[2]: can never match, because discover[1] takes all of its images: put it before that one, or leave it out"},
	{"discover-visibility-empty", "5: clouds[0].discover[0].visibility: must not be empty: leave the key out"},
	{"discover-visibility", `5: clouds[0].discover[0].visibility[0]: must be private, shared, community or public, not "secret"`},
	{"expected-members-beside-its-group", "8: clouds[0].images[0].expected_members[1]: edc8 is in group platform too: leave it out here"},
	{"expected-members-blank", "9: clouds[0].images[0].expected_members[1]: \"2f9a 11\" has blanks, so it is no ID: write a project's ID as `openstack project list` shows it"},
	{"expected-members-empty-id", "7: clouds[0].images[0].expected_members[1]: has no id: write a project's ID, {group: platform} or {id: edc89b490d7d4392898e19b2deb34797, name: team-a}"},
	{"expected-members-group-and-name", "9: clouds[0].images[0].expected_members[0]: has group beside other keys: write {group: platform} alone"},
	{"expected-members-group-twice", "8: clouds[0].images[0].expected_members[1]: group platform is already expected_members[0]: leave one out"},
	{"expected-members-list", "7: clouds[0].images[0].expected_members[0]: must be a project's ID, {group: platform} or {id: edc89b490d7d4392898e19b2deb34797, name: team-a}, not a list"},
	{"expected-members-mapping-empty-id", "7: clouds[0].images[0].expected_members[0].id: is empty: write a project's ID as `openstack project list` shows it"},
	{"expected-members-no-groups", "7: clouds[0].images[0].expected_members[0].group: there are no member_groups: write member_groups: {platform: [edc89b490d7d4392898e19b2deb34797]}"},
	{"expected-members-null-entry", "7: clouds[0].images[0].expected_members[1]: has no value: write a project's ID, {group: platform} or {id: edc89b490d7d4392898e19b2deb34797, name: team-a}"},
	{"expected-members-null", "7: clouds[0].images[0].expected_members: has no value: write a list such as [edc89b490d7d4392898e19b2deb34797], or [] for nobody, or leave the key out"},
	{"expected-members-of-cloud", "5: clouds[0].expected_members[1]: edc8 is already expected_members[0]: leave one out"},
	{"expected-members-star", "7: clouds[0].images[0].expected_members[0]: * is no ID: leave expected_members out where everybody may have the image"},
	{"expected-members-twice-by-type", "7: clouds[0].images[0].expected_members[1]: edc8 is already expected_members[0]: leave one out"},
	{"expected-members-twice", "7: clouds[0].images[0].expected_members[2]: edc8 is already expected_members[0]: leave one out"},
	{"expected-members-type", `9: clouds[0].images[0].expected_members[0].type: must be project, domain or organization, not "tenant"`},
	{"expected-members-unknown-group", `8: clouds[0].images[0].expected_members[0].group: there is no group "plat-form": write one of platform, tools, or add it to member_groups`},
	{"expected-members-unknown-key", `7: clouds[0].images[0].expected_members[0]: unknown key "gruop": did you mean "group"?`},
	{"expected-members-without-id", "7: clouds[0].images[0].expected_members[0]: has no id: write a project's ID, {group: platform} or {id: edc89b490d7d4392898e19b2deb34797, name: team-a}"},
	{"expected-members-word", "7: clouds[0].images[0].expected_members: must be a list such as [edc89b490d7d4392898e19b2deb34797], or [] for nobody, not a single value"},
	{"expected-visibility-empty", "7: clouds[0].images[0].expected_visibility: must not be empty: leave the key out"},
	{"expected-visibility-twice", "7: clouds[0].images[0].expected_visibility[1]: shared is there twice: leave one out"},
	{"expected-visibility-unknown", `7: clouds[0].images[0].expected_visibility[1]: must be private, shared, community or public, not "open"`},
	{"expected-visibility-word", "7: clouds[0].images[0].expected_visibility: must be a list such as [a, b], not a single value"},
	{"member-groups-list", "1: member_groups: must be a mapping, lines of key: value, not a list"},
	{"member-groups-nested", "3: member_groups.all[0].group: a group has no groups in it: list its members"},
	{"member-groups-no-name", `2: member_groups[""]: the key must be the name of a group`},
	{"member-groups-twice", "4: member_groups.platform[1]: edc8 is already platform[0]: leave one out"},
	// auth.
	{"application-credential-id-and-name", "7: clouds[0].auth.application_credential.name: is there beside id: write one of them"},
	{"application-credential-id-and-user", "7: clouds[0].auth.application_credential.username: has no use beside id: leave it out"},
	{"application-credential-name-alone", "4: clouds[0].auth.application_credential.username: is required beside name: write the name of the user who made the application credential, or its id instead of name"},
	{"application-credential-without-auth-url", "4: clouds[0].auth.application_credential.auth_url: is required: write Keystone's URL, such as https://cloud.example.com:5000/v3"},
	{"application-credential-without-domain", "4: clouds[0].auth.application_credential.user_domain_name: is required beside username: write the name of the user's domain, as in user_domain_name: Default"},
	{"application-credential-without-id", "4: clouds[0].auth.application_credential.id: is required: write id, or name with username and user_domain_name"},
	{"application-credential-without-secret", "4: clouds[0].auth.application_credential.secret: is required: write secret or secret_file"},
	{"auth-empty", "3: clouds[0].auth: is required: write one of clouds_yaml, env, password, application_credential, token or none, as in auth: {clouds_yaml: {cloud: prod}}"},
	{"auth-missing", "2: clouds[0].auth: is required: write one of clouds_yaml, env, password, application_credential, token or none, as in auth: {clouds_yaml: {cloud: prod}}"},
	{"auth-null", "3: clouds[0].auth: has no value: write a mapping such as {clouds_yaml: {cloud: prod}}"},
	{"auth-three-kinds", "3: clouds[0].auth: has clouds_yaml, env and none: write one of them"},
	{"auth-two-kinds", "3: clouds[0].auth: has token and none: write one of them"},
	{"auth-word", "3: clouds[0].auth: must be a mapping such as {clouds_yaml: {cloud: prod}}, not a single value"},
	{"env-null", "4: clouds[0].auth.env: has no value: write {}"},
	{"env-unset", "3: clouds[0].auth.env: OS_AUTH_URL, OS_USERNAME (or OS_USER_ID), OS_PASSWORD and OS_PROJECT_NAME (or OS_PROJECT_ID) are not set: set them for the exporter, as an openrc file does, or use another kind of auth"},
	{"none-null", "4: clouds[0].auth.none: has no value: write a mapping such as {project_id: edc89b490d7d4392898e19b2deb34797}"},
	{"none-without-endpoint", "2: clouds[0].endpoint: is required with auth none: write the image service's URL"},
	{"none-without-project", "3: clouds[0].auth.none.project_id: is required: write the ID of the project whose view the proxy gives"},
	{"password-and-file", "8: clouds[0].auth.password.password_file: is there beside password: write one of them"},
	{"password-auth-url-bad", "5: clouds[0].auth.password.auth_url: must be a URL such as https://cloud.example.com:5000/v3"},
	{"password-file-directory", "8: clouds[0].auth.password.password_file: testdata/files is not a regular file: name a file"},
	{"password-file-empty", "8: clouds[0].auth.password.password_file: testdata/files/empty is empty: write the secret into it"},
	{"password-file-missing", "8: clouds[0].auth.password.password_file: testdata/bad/nowhere cannot be read, no such file: correct the path, or write the file"},
	{"password-null", "7: clouds[0].auth.password.password: has no value: write a string, in quotes if it begins with a special character, or leave the key out"},
	{"password-number-list", "7: clouds[0].auth.password.password: must be a string, in quotes if it begins with a special character, not a list"},
	{"password-tag", "7: clouds[0].auth.password.password: has a YAML tag, a word that begins with !: put the value in quotes"},
	{"password-two-projects", "9: clouds[0].auth.password.project_id: is there beside project_name: write one of them"},
	{"password-two-user-domains", "7: clouds[0].auth.password.user_domain_id: is there beside user_domain_name: write one of them"},
	{"password-two-users", "7: clouds[0].auth.password.user_id: is there beside username: write one of them"},
	{"password-without-auth-url", "4: clouds[0].auth.password.auth_url: is required: write Keystone's URL, such as https://cloud.example.com:5000/v3"},
	{"password-without-password", "4: clouds[0].auth.password.password: is required: write password or password_file"},
	{"password-without-project-domain", "4: clouds[0].auth.password.project_domain_name: is required beside project_name: write project_domain_name or project_domain_id, or a project_id instead of the name"},
	{"password-without-project", "4: clouds[0].auth.password.project_name: is required: write project_name or project_id, the project whose view of the images is wanted"},
	{"password-without-user-domain", "4: clouds[0].auth.password.user_domain_name: is required beside username: write user_domain_name or user_domain_id, as in user_domain_name: Default"},
	{"password-without-user", "4: clouds[0].auth.password.username: is required: write username or user_id"},
	{"token-as-it-is-without-project", "4: clouds[0].auth.token.project_id: is required without auth_url: write the ID of the project that the token is for"},
	{"token-auth-url-bad", "4: clouds[0].auth.token.auth_url: must not carry a user name or password: put them under auth"},
	{"token-file-missing", "4: clouds[0].auth.token.token_file: testdata/bad/nowhere cannot be read, no such file: correct the path, or write the file"},
	{"token-without-auth-url", "4: clouds[0].auth.token.auth_url: is required: write Keystone's URL, or set endpoint to use the token as it is"},
	{"token-without-token", "4: clouds[0].auth.token.token: is required: write token or token_file"},
	{"unknown-auth", `4: clouds[0].auth: unknown key "passwort": did you mean "password"?`},
	// clouds.yaml.
	{"clouds-yaml-auth-type", `4: clouds[0].auth.clouds_yaml: cloud websso of testdata/files/clouds.yaml: auth type "v3websso" is not supported: use v3applicationcredential, v3password or v3token`},
	{"clouds-yaml-auth-url", "4: clouds[0].auth.clouds_yaml: cloud badurl of testdata/files/clouds.yaml: auth_url must not carry a user name or password: put them under auth"},
	{"clouds-yaml-cacert", "4: clouds[0].auth.clouds_yaml: cloud badca of testdata/files/clouds.yaml: cacert /nowhere/ca.pem cannot be read, no such file: correct the path, or write the file"},
	{"clouds-yaml-cert-without-key", "4: clouds[0].auth.clouds_yaml: cloud certonly of testdata/files/clouds.yaml: cert /nowhere/cert.pem cannot be read, no such file: correct the path, or write the file"},
	{"clouds-yaml-empty-auth", "4: clouds[0].auth.clouds_yaml: cloud nobody of testdata/files/clouds.yaml: auth lacks auth_url, username (or user_id), password and project_name (or project_id): write it there"},
	{"clouds-yaml-empty", "4: clouds[0].auth.clouds_yaml: testdata/files/empty is empty: write clouds into it, or remove it"},
	{"clouds-yaml-file-missing", "4: clouds[0].auth.clouds_yaml.file: testdata/bad/nowhere.yaml cannot be read, no such file: correct the path, or write the file"},
	{"clouds-yaml-interface", `4: clouds[0].auth.clouds_yaml: cloud badinterface of testdata/files/clouds.yaml: interface must be public, internal or admin, not "extern"`},
	{"clouds-yaml-kind", "4: clouds[0].auth.clouds_yaml: testdata/files/kind.yaml:3: a key that is there twice, or a list or mapping in place of a string: correct it there"},
	{"clouds-yaml-no-auth", "4: clouds[0].auth.clouds_yaml: cloud noauth of testdata/files/clouds.yaml: has no auth: write it there"},
	{"clouds-yaml-no-clouds", "4: clouds[0].auth.clouds_yaml.cloud: testdata/files/noclouds.yaml has no clouds: write an entry under its key clouds"},
	{"clouds-yaml-no-password", "4: clouds[0].auth.clouds_yaml: cloud nopassword of testdata/files/clouds.yaml: auth lacks user_domain_name (or user_domain_id), password and project_name (or project_id): write it there"},
	{"clouds-yaml-no-project", "4: clouds[0].auth.clouds_yaml: cloud noproject of testdata/files/clouds.yaml: auth lacks project_name (or project_id): write it there"},
	{"clouds-yaml-syntax", "4: clouds[0].auth.clouds_yaml: testdata/files/syntax.yaml:4: not valid YAML: a * without an anchor of that name before it: put the value in quotes, or define the anchor with &"},
	{"clouds-yaml-system-scope", "4: clouds[0].auth.clouds_yaml: cloud system of testdata/files/clouds.yaml: auth lacks project_name (or project_id): write it there"},
	{"clouds-yaml-unknown-cloud", `5: clouds[0].auth.clouds_yaml.cloud: testdata/files/clouds.yaml has no cloud "prd": write one of those it has: appcred, badca, badinterface, badurl, certonly, insecure, minimal, noauth, nobody, nopassword, noproject, number, prod, system, token, websso`},
	{"clouds-yaml-without-cloud", "4: clouds[0].auth.clouds_yaml.cloud: is required: write the name of a cloud in clouds.yaml"},
	{"clouds-yaml-word", "4: clouds[0].auth.clouds_yaml: must be a mapping such as {cloud: prod}, not a single value"},
	// http.
	{"http-basic-file-missing", "8: clouds[0].http.basic_auth.password_file: testdata/bad/nowhere cannot be read, no such file: correct the path, or write the file"},
	{"http-basic-twice", "5: clouds[0].http: at most one of basic_auth password, password_file & password_ref must be configured"},
	{"http-ca-missing", "7: clouds[0].http.tls_config.ca_file: testdata/bad/nowhere.pem cannot be read, no such file: correct the path, or write the file"},
	{"http-ca-not-pem", "6: clouds[0].http.tls_config: unable to use specified CA cert file testdata/files/password: correct the file"},
	{"http-ca-twice", "6: clouds[0].http.tls_config: at most one of ca, ca_file & ca_ref must be configured"},
	{"http-cert-not-pem", "6: clouds[0].http.tls_config: unable to use specified client cert (file testdata/files/password) & key (file testdata/files/password): tls: failed to find any PEM data in certificate input: correct the file"},
	{"http-cert-without-key", "6: clouds[0].http.tls_config: exactly one of key or key_file must be configured when a client certificate is configured"},
	{"http-header-file-missing", "7: clouds[0].http.http_headers.X-Zone.files[0]: testdata/bad/nowhere cannot be read, no such file: correct the path, or write the file"},
	{"http-header-reserved", `5: clouds[0].http: setting header "User-Agent" is not allowed`},
	{"http-header-word", "7: clouds[0].http.http_headers.X-Zone: must be a mapping, lines of key: value, not a single value"},
	{"http-no-proxy-alone", "5: clouds[0].http: if no_proxy is configured, proxy_url must also be configured"},
	{"http-no-redirects", "6: clouds[0].http.follow_redirects: has no effect: leave it out; redirects are followed within the same host only"},
	{"http-null", "5: clouds[0].http: has no value: write a mapping, lines of key: value, or leave the key out"},
	{"http-oauth2-without-id", "5: clouds[0].http: oauth2 client_id must be configured"},
	{"http-proxy-url", "6: clouds[0].http.proxy_url: must be a URL such as http://proxy.example.com:3128"},
	{"http-proxy-without-scheme", "6: clouds[0].http.proxy_url: must be a URL such as http://proxy.example.com:3128"},
	{"http-secret-ref", `6: clouds[0].http.authorization: unknown key "credentials_ref"; known here are: type, credentials, credentials_file`},
	{"http-skip-verify-word", `6: clouds[0].http.tls_config.insecure_skip_verify: must be true or false, without quotes, not "maybe"`},
	{"http-tls-version", "6: clouds[0].http.tls_config.min_version: must be TLS12 or TLS13"},
	{"http-two-credentials", "5: clouds[0].http: at most one of basic_auth, oauth2 & authorization must be configured"},
	{"http-word", "5: clouds[0].http: must be a mapping, lines of key: value, not a single value"},
}

func TestLoadMistakes(t *testing.T) {
	cleanEnv(t)
	named := map[string]bool{}
	for _, m := range mistakes {
		named[m.file] = true
		t.Run(m.file, func(t *testing.T) {
			path := "testdata/bad/" + m.file + ".yml"
			_, err := config.Load(path)
			if err == nil {
				t.Fatal("loaded")
			}
			if diff := cmp.Diff(path+":"+m.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has more than one line: %q", err)
			}
			if strings.Contains(err.Error(), password) {
				t.Errorf("the error has a secret: %s", err)
			}
		})
	}
	files, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".yml"); !named[name] {
			t.Errorf("%s is in no row", f)
		}
	}
}
