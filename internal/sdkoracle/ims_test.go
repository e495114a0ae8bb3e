package sdkoracle

import (
	"net/url"
	"testing"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/region"
	ims "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/ims/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/ims/v2/model"

	"glance_share_exporter/client"
)

// The vendor's SDK reads the same of the fake IMS as our client does, with a permanent key and with a temporary one. The SDK drops the
// path of an endpoint, so IMS is at the root.
func TestIMS(t *testing.T) {
	_, url := newHuawei(t)
	for name, k := range map[string]key{"permanent key": permanent, "temporary key": temporary} {
		t.Run(name, func(t *testing.T) {
			theirs := sdk{t, newSDK(t, k, url)}
			ours := map[client.MembersAPI]*client.Client{}
			for _, version := range []client.MembersAPI{client.MembersV1, client.MembersV2} {
				ours[version] = newClient(t, client.Options{
					Settings: client.Settings{API: client.IMS, MembersAPI: version}, Keys: k, ProjectID: project, Endpoint: url,
				})
			}
			same(t, "members v1", ourMembers(t, ours[client.MembersV1], golden), theirs.membersV1(), 1201)
			same(t, "members v2", ourMembers(t, ours[client.MembersV2], golden), theirs.membersV2(), 1201)

			img, err := ours[client.MembersV1].Image(t.Context(), golden)
			if err != nil || !img.FullServer {
				t.Fatalf("%+v, %v", img, err)
			}
			same(t, "record", []string{imageLine(img)}, []string{theirs.record()}, 1)

			own := client.ImageQuery{Owner: project}
			same(t, "own images", ourImages(t, ours[client.MembersV1], own), theirs.images(model.ListImagesRequest{Owner: ptr(project)}), 601)
			statuses := model.GetListImagesRequestMemberStatusEnum()
			for status, their := range map[client.Status]model.ListImagesRequestMemberStatus{
				client.Accepted: statuses.ACCEPTED, client.Pending: statuses.PENDING, client.Rejected: statuses.REJECTED,
			} {
				q := client.ImageQuery{SharedWith: project, MemberStatus: status}
				same(t, "images of others, "+string(status), ourImages(t, ours[client.MembersV1], q), theirs.images(model.ListImagesRequest{
					Imagetype:  ptr(model.GetListImagesRequestImagetypeEnum().SHARED),
					Visibility: ptr(model.GetListImagesRequestVisibilityEnum().SHARED), MemberStatus: &their,
				}), 1)
			}
		})
	}
}

// A list that Glance's own path gives in pages with a link has the images that IMS' own path has.
func TestNativeImages(t *testing.T) {
	_, url := newHuawei(t)
	theirs := sdk{t, newSDK(t, permanent, url)}
	all := theirs.images(model.ListImagesRequest{Owner: ptr(project)})
	same(t, "own images by both paths", theirs.nativeImages(), all, 601)
}

// visibilities are what the vendor's tools show: __imagetype, since the visibility of a shared image is private.
var visibilities = map[string]string{"gold": "public", "private": "private", "shared": "shared"}

// sdk reads with the vendor's SDK.
type sdk struct {
	*testing.T
	*ims.ImsClient
}

func newSDK(t *testing.T, k key, url string) *ims.ImsClient {
	t.Helper()
	builder := basic.NewCredentialsBuilder().WithAk(k.Access).WithSk(k.Secret).WithProjectId(project)
	if k.SecurityToken != "" {
		builder = builder.WithSecurityToken(k.SecurityToken)
	}
	auth, err := builder.SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	hc, err := ims.ImsClientBuilder().WithRegion(region.NewRegion("cn-north-4", url)).WithCredential(auth).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	return ims.NewImsClient(hc)
}

func (s sdk) membersV1() (lines []string) {
	for marker, first := "", true; first || marker != ""; first = false {
		resp, err := s.ListImageMembers(&model.ListImageMembersRequest{ImageId: golden, Marker: orNil(marker)})
		if err != nil {
			s.Fatal(err)
		}
		for _, m := range *resp.Members {
			lines = append(lines, s.member(m.MemberType, m.MemberId, m.Status, m.Urn, m.ImageId))
		}
		marker = resp.PageInfo.NextMarker
	}
	return lines
}

func (s sdk) membersV2() (lines []string) {
	for marker, first := "", true; first || marker != ""; first = false {
		resp, err := s.GlanceListImageMembers(&model.GlanceListImageMembersRequest{ImageId: golden, Marker: orNil(marker)})
		if err != nil {
			s.Fatal(err)
		}
		for _, m := range *resp.Members {
			lines = append(lines, s.member(value(m.MemberType), m.MemberId, m.Status, value(m.Urn), m.ImageId))
		}
		marker = resp.PageInfo.NextMarker
	}
	return lines
}

// member is a row. Those that are no project's have a URN.
func (s sdk) member(kind, id, status, urn, image string) string {
	if (urn != "") != (kind != "project") || image != golden {
		s.Errorf("%s %s has the URN %q and is of %s", kind, id, urn, image)
	}
	return line(kind, id, status)
}

func (s sdk) record() string {
	img, err := s.GlanceShowImage(&model.GlanceShowImageRequest{ImageId: golden})
	if err != nil {
		s.Fatal(err)
	}
	if img.Imagetype.Value() != "shared" || img.Isregistered.Value() != "true" || img.OsType.Value() == "" || value(img.ImageSize) == "" ||
		value(img.ActiveAt) == "" {
		s.Errorf("a record without a mandatory key: %s", img)
	}
	return line(value(img.Id), value(img.Name), value(img.Owner), visibilities[img.Imagetype.Value()], img.Status.Value())
}

// images are the images of GET /v2/cloudimages, whose next page begins after the last image.
func (s sdk) images(req model.ListImagesRequest) (lines []string) {
	for {
		resp, err := s.ListImages(&req)
		if err != nil {
			s.Fatal(err)
		}
		if len(*resp.Images) == 0 {
			return lines
		}
		for _, img := range *resp.Images {
			if img.ImageSize == "" || img.ImageSourceType.Value() == "" || img.Isregistered.Value() == "" || img.OsType.Value() == "" ||
				img.ActiveAt == "" {
				s.Fatalf("a record without a mandatory key: %s", img)
			}
			lines = append(lines, line(img.Id, img.Name, img.Owner, visibilities[img.Imagetype.Value()], img.Status.Value()))
			req.Marker = ptr(img.Id)
		}
	}
}

// nativeImages are those of GET /v2/images, which has a link to the next page.
func (s sdk) nativeImages() (lines []string) {
	req := model.GlanceListImagesRequest{Owner: ptr(project)}
	for {
		resp, err := s.GlanceListImages(&req)
		if err != nil {
			s.Fatal(err)
		}
		for _, img := range *resp.Images {
			lines = append(lines, line(img.Id, img.Name, img.Owner, visibilities[img.Imagetype.Value()], img.Status.Value()))
		}
		if resp.Next == nil {
			return lines
		}
		next, err := url.Parse(*resp.Next)
		if err != nil {
			s.Fatal(err)
		}
		req.Marker = ptr(next.Query().Get("marker"))
	}
}

func ptr[T any](v T) *T { return &v }

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
