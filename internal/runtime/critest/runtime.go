package critest

import (
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var semver = regexp.MustCompile(`^v?\d+(\.\d+){0,2}([-+][0-9A-Za-z.+-]+)?$`)

// runtimeCases are the rules of calls about the runtime itself.
var runtimeCases = []testCase{
	{"Version/names the runtime and versions that are semver-compatible", func(s *suite) {
		v, err := s.runtime.Version(s.ctx, &runtimeapi.VersionRequest{Version: "v1"})
		s.must(err)
		if v.RuntimeName == "" || !semver.MatchString(v.RuntimeVersion) || !semver.MatchString(v.RuntimeApiVersion) {
			s.Errorf("version %v", v)
		}
	}},
	{"Status/has the required conditions", func(s *suite) {
		st, err := s.runtime.Status(s.ctx, &runtimeapi.StatusRequest{})
		s.must(err)
		for _, required := range []string{runtimeapi.RuntimeReady, runtimeapi.NetworkReady} {
			if !slices.ContainsFunc(st.Status.Conditions, func(c *runtimeapi.RuntimeCondition) bool { return c.Type == required && c.Status }) {
				s.Errorf("%s is not true: %v", required, st.Status.Conditions)
			}
		}
	}},
	{"Status/handlers have unique names, one of them the default's", func(s *suite) {
		st, err := s.runtime.Status(s.ctx, &runtimeapi.StatusRequest{})
		s.must(err)
		var names []string
		for _, h := range st.RuntimeHandlers {
			names = append(names, h.Name)
		}
		slices.Sort(names)
		if len(slices.Compact(slices.Clone(names))) != len(names) || !slices.Contains(names, "") {
			s.Errorf("handlers %q", names)
		}
	}},
	{"Status/info comes only when verbose", func(s *suite) {
		for _, verbose := range []bool{false, true} {
			st, err := s.runtime.Status(s.ctx, &runtimeapi.StatusRequest{Verbose: verbose})
			s.must(err)
			s.want("info without verbose", len(st.Info) > 0 && !verbose, false)
		}
	}},
	{"RuntimeConfig/names a cgroup driver", func(s *suite) {
		c, err := s.runtime.RuntimeConfig(s.ctx, &runtimeapi.RuntimeConfigRequest{})
		s.must(err)
		if runtimeapi.CgroupDriver_name[int32(c.GetLinux().GetCgroupDriver())] == "" {
			s.Errorf("config %v", c)
		}
	}},
	{"UpdateRuntimeConfig/an empty range of pod addresses changes nothing", func(s *suite) {
		_, err := s.runtime.UpdateRuntimeConfig(s.ctx, &runtimeapi.UpdateRuntimeConfigRequest{RuntimeConfig: &runtimeapi.RuntimeConfig{NetworkConfig: &runtimeapi.NetworkConfig{}}})
		s.must(err)
	}},
	{"GetContainerEvents/tells a container's life in order, with its sandbox", func(s *suite) {
		stream, err := s.runtime.GetContainerEvents(s.ctx, &runtimeapi.GetEventsRequest{})
		s.must(err)
		_, err = stream.Header() // from here on nothing is missed
		s.must(err)
		pod, podConfig := s.pod()
		id := s.runIn(pod, podConfig, func(c *runtimeapi.ContainerConfig) { c.Command = []string{tool, "echo"} })
		s.ended(id)
		_, err = s.runtime.RemoveContainer(s.ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
		s.must(err)
		var got []string
		for len(got) < 4 {
			e, err := stream.Recv()
			s.must(err)
			if e.ContainerId != id {
				continue
			}
			got = append(got, e.ContainerEventType.String())
			s.want("sandbox of the event", e.PodSandboxStatus.GetId(), pod)
			if e.CreatedAt <= 0 {
				s.Errorf("event %v", e)
			}
		}
		s.want("events", got, []string{"CONTAINER_CREATED_EVENT", "CONTAINER_STARTED_EVENT", "CONTAINER_STOPPED_EVENT", "CONTAINER_DELETED_EVENT"})
	}},
	{"CheckpointContainer/an unknown container is an error", func(s *suite) {
		_, err := s.runtime.CheckpointContainer(s.ctx, &runtimeapi.CheckpointContainerRequest{ContainerId: "unknown", Location: s.dir})
		s.refused("a checkpoint of an unknown container", err)
	}},
}

// imageCases are the rules of ImageService that need no registry.
var imageCases = []testCase{
	{"ImageStatus/an absent image is no error, but nil", func(s *suite) {
		resp, err := s.images.ImageStatus(s.ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: "example.com/absent:none"}})
		s.must(err)
		if resp.Image != nil {
			s.Errorf("image %v", resp.Image)
		}
	}},
	{"Image/has an ID, a size above 0, and a user ID or a user name, not both", func(s *suite) {
		i := s.image()
		if i.Id == "" || i.Size == 0 || i.Uid != nil && i.Username != "" {
			s.Errorf("image %v", i)
		}
	}},
	{"ListImages/filters by image", func(s *suite) {
		all, err := s.images.ListImages(s.ctx, &runtimeapi.ListImagesRequest{})
		s.must(err)
		one, err := s.images.ListImages(s.ctx, &runtimeapi.ListImagesRequest{Filter: &runtimeapi.ImageFilter{Image: &runtimeapi.ImageSpec{Image: s.Image}}})
		s.must(err)
		none, err := s.images.ListImages(s.ctx, &runtimeapi.ListImagesRequest{Filter: &runtimeapi.ImageFilter{Image: &runtimeapi.ImageSpec{Image: "example.com/absent:none"}}})
		s.must(err)
		if len(all.Images) == 0 || len(one.Images) != 1 || one.Images[0].Id != s.image().Id || len(none.Images) != 0 {
			s.Errorf("all %d, by name %v, by an absent name %v", len(all.Images), one.Images, none.Images)
		}
	}},
	{"StreamImages/sends each image once and closes", func(s *suite) {
		stream, err := s.images.StreamImages(s.ctx, &runtimeapi.StreamImagesRequest{})
		s.must(err)
		ids := collect(s, stream.Recv, func(part *runtimeapi.StreamImagesResponse) (ids []string) {
			for _, i := range part.Images {
				ids = append(ids, i.Id)
			}
			return ids
		})
		s.once("images", ids, s.image().Id)
	}},
	{"ImageStatus/info comes only when verbose", func(s *suite) {
		resp, err := s.images.ImageStatus(s.ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: s.Image}})
		s.must(err)
		s.want("info without verbose", len(resp.Info), 0)
	}},
	{"RemoveImage/an absent image is removed", func(s *suite) {
		for range 2 {
			_, err := s.images.RemoveImage(s.ctx, &runtimeapi.RemoveImageRequest{Image: &runtimeapi.ImageSpec{Image: "example.com/absent:none"}})
			s.must(err)
		}
	}},
	{"ImageFsInfo/names file systems with the time of measuring", func(s *suite) {
		info, err := s.images.ImageFsInfo(s.ctx, &runtimeapi.ImageFsInfoRequest{})
		s.must(err)
		for _, f := range info.ImageFilesystems {
			if f.Timestamp <= 0 || f.GetFsId().GetMountpoint() == "" || f.UsedBytes == nil {
				s.Errorf("file system %v", f)
			}
		}
		if len(info.ImageFilesystems) == 0 {
			s.Error("no file system")
		}
	}},
	{"image_id/is the image's ID wherever an image is told", func(s *suite) {
		_, id := s.sleeper()
		want := s.image().Id
		s.want("ContainerStatus.image_id", s.status(id).ImageId, want)
		list, err := s.runtime.ListContainers(s.ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{Id: id}})
		s.must(err)
		s.want("Container.image_id", list.Containers[0].ImageId, want)
	}},
	{"CreateContainer/an absent image is an error", func(s *suite) {
		pod, podConfig := s.pod()
		config := s.containerConfig("echo")
		config.Image.Image = "example.com/absent:none"
		_, err := s.create(pod, podConfig, config)
		s.refused("an absent image", err, codes.NotFound, codes.Unknown, codes.InvalidArgument)
	}},
}

func (s *suite) image() *runtimeapi.Image {
	s.Helper()
	resp, err := s.images.ImageStatus(s.ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: s.Image}})
	s.must(err)
	if resp.Image == nil {
		s.Fatalf("image %s is absent", s.Image)
	}
	return resp.Image
}

// once fails the case unless each ID comes once, among them those wanted.
func (s *suite) once(what string, ids []string, wanted ...string) {
	s.Helper()
	seen := map[string]int{}
	for _, id := range ids {
		seen[id]++
		if seen[id] > 1 {
			s.Errorf("%s: %s came twice", what, id)
		}
	}
	for _, w := range wanted {
		if seen[w] == 0 {
			s.Errorf("%s: %s did not come, but %s", what, w, strings.Join(ids, ", "))
		}
	}
}
