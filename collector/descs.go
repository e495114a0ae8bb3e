package collector

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

var (
	cloudLabels  = []string{"cloud"}
	imageLabels  = []string{"cloud", "image_id", "image_name"}
	memberLabels = []string{"cloud", "image_id", "image_name", "member_id", "member_name", "member_type"}

	projectLabels = []string{"cloud", "project_id"}
	inboundLabels = []string{"cloud", "image_id", "image_name", "owner_id", "owner_name", "project_id"}
)

// desc is a metric family.
type desc struct {
	*prometheus.Desc
	family *dto.MetricFamily // without its series
}

func newDesc(name, help string, labels []string, more ...string) *desc {
	name = "glance_" + name
	family := &dto.MetricFamily{Name: &name, Help: &help, Type: dto.MetricType_GAUGE.Enum()}
	return &desc{prometheus.NewDesc(name, help, slices.Concat(labels, more), nil), family}
}

var (
	upDesc = newDesc("up",
		"Whether the exporter had a token and the image API responded at least once in this collection: 1 yes, 0 no.", cloudLabels)
	durationDesc = newDesc("scrape_duration_seconds",
		"How long this collection of the cloud took, in seconds.", cloudLabels)
	snapshotDesc = newDesc("snapshot_timestamp_seconds",
		"Start time of the oldest collection with data on this page, in seconds since 1970. Only where scrapes show data of earlier "+
			"collections: with refresh_interval, and where images are read in turns.", cloudLabels)
	configHashDesc = newDesc("cloud_config_hash",
		"A number that changes when the configuration changes which images are watched or what is expected of them.", cloudLabels)
	watchedDesc = newDesc("watched_images",
		"Number of images to read in this collection.", cloudLabels)
	discoveryDesc = newDesc("discovery_success",
		"Whether every listing for discover is complete and proven to show all images: 1 yes, 0 no. Absent without discover.", cloudLabels)
	skippedDesc = newDesc("skipped_images",
		"Number of images in the listings that rules with skip leave out. Absent without such rules, and where "+
			"glance_discovery_success is 0.", cloudLabels)
	projectInfoDesc = newDesc("project_info",
		"A project of the credential, always 1. Absent without projects.", cloudLabels, "project_id", "project_name")
	projectSuccessDesc = newDesc("project_success",
		"Whether the credential has a token for the project: 1 yes, 0 no. Absent without projects.", cloudLabels, "project_id")
	tokenExpiryDesc = newDesc("token_expiry_timestamp_seconds",
		"When the current token expires, by the cloud's clock, in seconds since 1970. Absent without a token that expires.", cloudLabels)
	authPausedDesc = newDesc("auth_paused",
		"Whether logins are paused because the last one was refused, or returned nothing usable: 1 yes, 0 no. With projects, a pause for "+
			"one project counts only if no project has a token.", cloudLabels)
	viewProvenDesc = newDesc("view_proven",
		"Whether responses of the image API prove what the credential can see in the project: 1 yes, 0 no. sees is members (rows of member "+
			"lists), images (images in listings) or administrator. Absent where nothing depends on it.", projectLabels, "sees")
	clockSkewDesc = newDesc("clock_skew_seconds",
		"The image API's clock minus the exporter's, in seconds; 0 if they agree within one second, the resolution of the "+
			"Date header.", cloudLabels)

	successDesc = newDesc("image_scrape_success",
		"Whether the image's members were read, or its record shows a visibility without members: 1 yes, 0 no.", imageLabels)
	statusCodeDesc = newDesc("image_scrape_http_status_code",
		"HTTP status code of the response that decided glance_image_scrape_success, 0 without a response or if it was rejected. 200 "+
			"without success means that the response is not proven. Huawei Cloud's own error codes count as the status they stand for.", imageLabels)
	waitingDesc = newDesc("image_waiting",
		"1 for an image that is read in turns and was not read yet, absent for all others.", imageLabels)
	completeDesc = newDesc("image_members_complete",
		"Whether the members shown are all members: 1 yes, 0 no, for example in the view of another project than the owner. Absent where "+
			"the image's visibility has no members.", imageLabels)
	infoDesc = newDesc("image_info",
		"The image's record, always 1.", imageLabels, "current_name", "hidden", "image_status", "owner_id")
	visibilityDesc = newDesc("image_visibility",
		"Whether the image has this visibility: 1 yes, 0 no.", imageLabels, "visibility")
	visibilityReadDesc = newDesc("image_visibility_read_timestamp_seconds",
		"When the request for the record behind glance_image_visibility began, in seconds since 1970, by the exporter's clock.", imageLabels)
	expectedVisibilityDesc = newDesc("image_expected_visibility",
		"A visibility that the configuration expects of the image, always 1. Absent if it expects none, or if the record "+
			"was not read.", imageLabels, "visibility")
	visibilityExpectedDesc = newDesc("image_visibility_expected",
		"Whether the image has one of the visibilities that the configuration expects: 1 yes, 0 no.", imageLabels)
	membersDesc = newDesc("image_members",
		"Number of members of the image per status. Every member has access, whatever its status.", imageLabels, "status")
	membersReadDesc = newDesc("image_members_read_timestamp_seconds",
		"When the request for the members shown began, in seconds since 1970, by the exporter's clock; "+
			"the request for the record where that decided. Absent where glance_image_scrape_success is 0.", imageLabels)
	imageLeftDesc = newDesc("image_left",
		"A discovered image that is no longer watched since less than an hour, without a change of the configuration, always 1. "+
			"reason is deleted or unmatched (no rule matches it, or one skips it).", []string{"cloud", "image_id", "reason"})
	membersLimitDesc = newDesc("image_members_limit",
		"Number of members that the cloud allows the image, from the configuration; at most 10 for Huawei Cloud's images of "+
			"full servers.", imageLabels)

	expectedMembersDesc = newDesc("image_expected_members",
		"Number of members that the configuration expects of the image. Absent without expected_members, or if the image "+
			"was not read.", imageLabels)
	unexpectedMembersDesc = newDesc("image_unexpected_members",
		"Number of members of the image that the configuration does not expect, whatever their status.", imageLabels)
	missingMembersDesc = newDesc("image_missing_members",
		"Number of members that the configuration expects and the image does not have.", imageLabels)

	memberStatusDesc = newDesc("image_member_status",
		"Whether the member has this status: 1 yes, 0 no.", memberLabels, "status")
	memberExpectedDesc = newDesc("image_member_expected",
		"Whether the configuration expects the member: 1 yes, even if it is not a member; 0 no, an unexpected member.", memberLabels)
	memberUntilDesc = newDesc("image_member_expected_until_timestamp_seconds",
		"When the configuration's approval of the member ends, in seconds since 1970; it stays after that. Absent if it "+
			"does not end.", memberLabels)
	memberCreatedDesc = newDesc("image_member_created_timestamp_seconds",
		"created_at of the member, in seconds since 1970: when the image was first shared with it. A share that is removed and created "+
			"again keeps it.", memberLabels)
	memberUpdatedDesc = newDesc("image_member_updated_timestamp_seconds",
		"updated_at of the member, in seconds since 1970: when its share or status last changed.", memberLabels)
	memberNameDesc = newDesc("member_name_info",
		"What Keystone calls a project that is a member of images, or the owner of inbound ones, always 1. Its owner chooses the name. "+
			"Only with resolve_project_names.", cloudLabels, "keystone_name", "member_id", "member_type")

	inboundSuccessDesc = newDesc("inbound_success",
		"Whether the listing of images that other projects share with the project is complete and proven: 1 yes, 0 no. Only "+
			"with inbound.", projectLabels)
	inboundImagesDesc = newDesc("inbound_images",
		"Number of images that other projects share with the project, per status that the project gave them. It can use "+
			"all of them.", projectLabels, "status")
	inboundUnexpectedDesc = newDesc("inbound_unexpected_images",
		"Number of images that unexpected owners share with the project, whatever their status.", projectLabels)
	inboundReadDesc = newDesc("inbound_read_timestamp_seconds",
		"When the images that other projects share with the project were read, in seconds since 1970, by the exporter's clock: "+
			"the start of the oldest request.", projectLabels)
	inboundInfoDesc = newDesc("inbound_image_info",
		"The record of an image that another project shares with the project, always 1.",
		[]string{"cloud", "current_name", "hidden", "image_id", "image_name", "image_status", "owner_id", "owner_name", "project_id"})
	inboundStatusDesc = newDesc("inbound_image_status",
		"Whether the project gave the image this status: 1 yes, 0 no.", inboundLabels, "status")
	inboundUntilDesc = newDesc("inbound_image_expected_until_timestamp_seconds",
		"When the configuration's approval of the owner ends, in seconds since 1970; it stays after that. Absent if it "+
			"does not end.", inboundLabels)
	inboundExpectedDesc = newDesc("inbound_image_expected",
		"Whether the configuration expects the owner of the image: 1 yes, 0 no. Absent without expected_owners.", inboundLabels)
)

var allDescs = []*desc{
	upDesc, durationDesc, snapshotDesc, configHashDesc, watchedDesc,
	discoveryDesc, skippedDesc, projectInfoDesc, projectSuccessDesc, tokenExpiryDesc, authPausedDesc, clockSkewDesc, viewProvenDesc,
	successDesc, statusCodeDesc, waitingDesc, completeDesc, infoDesc, visibilityDesc, visibilityReadDesc, expectedVisibilityDesc,
	visibilityExpectedDesc,
	imageLeftDesc, membersDesc, membersReadDesc, membersLimitDesc, expectedMembersDesc, unexpectedMembersDesc, missingMembersDesc,
	memberStatusDesc, memberExpectedDesc, memberUntilDesc, memberCreatedDesc, memberUpdatedDesc, memberNameDesc,
	inboundSuccessDesc, inboundImagesDesc, inboundUnexpectedDesc, inboundReadDesc, inboundInfoDesc, inboundStatusDesc,
	inboundExpectedDesc, inboundUntilDesc,
}
