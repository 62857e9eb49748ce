package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/image"
	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

// findImage resolves an image and says how to get one that is absent.
func (r *Runtime) findImage(ref string) (*image.Image, error) {
	if ref == "" {
		return nil, invalid("no image is named")
	}
	img, err := r.images.Resolve(ref)
	if errors.Is(err, image.ErrNotFound) {
		return nil, notFound("image %q is not on this node: pull it, or load an archive with `floe images load FILE`", ref)
	}
	return img, err
}

// imageRef is what containers report as the image they run: by digest when it has a name, else by ID.
func imageRef(i *image.Image) string {
	if len(i.RepoDigests) > 0 {
		return i.RepoDigests[0]
	}
	return i.ID
}

// criImage is CRI's form of an image.
func criImage(i *image.Image) *runtimeapi.Image {
	out := &runtimeapi.Image{
		Id: i.ID, RepoTags: i.Names, RepoDigests: i.RepoDigests, Size: uint64(i.Size), Spec: &runtimeapi.ImageSpec{Image: i.ID}, Pinned: i.Pinned,
	}
	user, _, _ := strings.Cut(i.User, ":")
	if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
		out.Uid = &runtimeapi.Int64Value{Value: uid}
	} else {
		out.Username = user
	}
	if out.Username == "" && out.Uid == nil {
		out.Uid = &runtimeapi.Int64Value{Value: 0}
	}
	return out
}

// ListImages lists the images, all or the one that the filter names.
func (r *Runtime) ListImages(_ context.Context, req *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	images, err := r.images.List()
	if ref := req.GetFilter().GetImage().GetImage(); ref != "" {
		var one *image.Image
		one, err = r.images.Resolve(ref)
		images = []*image.Image{one}
		if errors.Is(err, image.ErrNotFound) {
			images, err = nil, nil
		}
	}
	if err != nil {
		return nil, failed(err, "list images")
	}
	resp := &runtimeapi.ListImagesResponse{}
	for _, i := range images {
		resp.Images = append(resp.Images, criImage(i))
	}
	return resp, nil
}

// ImageStatus tells about one image; an absent one is no error, but an answer without image.
func (r *Runtime) ImageStatus(_ context.Context, req *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	i, err := r.images.Resolve(req.GetImage().GetImage())
	if errors.Is(err, image.ErrNotFound) {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	if err != nil {
		return nil, failed(err, "image status")
	}
	resp := &runtimeapi.ImageStatusResponse{Image: criImage(i)}
	if req.GetVerbose() {
		if resp.Info, err = r.imageInfo(i); err != nil {
			return nil, failed(err, "image status")
		}
	}
	return resp, nil
}

// imageInfo is what a verbose request gets besides, under containerd's key: the uppermost chain ID and the configuration.
func (r *Runtime) imageInfo(i *image.Image) (map[string]string, error) {
	config, err := r.images.ConfigData(i)
	if err != nil {
		return nil, err
	}
	info, err := json.Marshal(struct {
		ChainID   string          `json:"chainID"`
		ImageSpec json.RawMessage `json:"imageSpec"`
	}{i.Layers[len(i.Layers)-1].Chain, config})
	return map[string]string{"info": string(info)}, err
}

// PullImage pulls an image as the request's credentials allow, and returns its ID. The errors that callers branch on: NotFound, PermissionDenied for who
// may not, InvalidArgument for a name that is none, DataLoss for content with another digest.
func (r *Runtime) PullImage(ctx context.Context, req *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	name := req.GetImage().GetImage()
	if name == "" {
		return nil, invalid("no image is named")
	}
	if _, err := image.Normalize(name); err != nil {
		return nil, invalid("failed to parse image reference %q: %v", name, err)
	}
	auth, err := criAuth(req.GetAuth())
	if err != nil {
		return nil, invalid("pull image %q: %v", name, err)
	}
	start := r.cfg.Clock.Now()
	ended, progress := r.cfg.Pulls.begin(), &image.Progress{}
	i, err := r.images.Pull(ctx, name, auth, progress)
	took := r.cfg.Clock.Since(start)
	fetched, _ := progress.Bytes()
	if err != nil {
		ended(took, 0, fetched, err)
		return nil, pullError(err, name)
	}
	ended(took, i.Size, fetched, nil)
	r.cfg.Log.Info("image pulled", "image", name, "id", i.ID, "bytes", i.Size, "took", took)
	return &runtimeapi.PullImageResponse{ImageRef: i.ID}, nil
}

// criAuth is who pulls: of what the request has, a name with password wins over an identity token, that over Docker's form, and all over a
// registry token.
func criAuth(a *runtimeapi.AuthConfig) (registry.Auth, error) {
	auth := registry.Auth{}
	switch {
	case a.GetUsername() != "":
		auth.Username, auth.Password = a.GetUsername(), a.GetPassword()
	case a.GetIdentityToken() != "":
		auth.IdentityToken = a.GetIdentityToken()
	case a.GetAuth() != "":
		var err error
		if auth, err = registry.ParseAuth(a.GetAuth()); err != nil {
			return auth, err
		}
	default:
		auth.RegistryToken = a.GetRegistryToken()
	}
	auth.Server = a.GetServerAddress()
	return auth, nil
}

// pullError gives what went wrong the code that says whose matter it is.
func pullError(err error, name string) error {
	for _, class := range []struct {
		cause error
		code  codes.Code
	}{
		{registry.ErrUnauthorized, codes.PermissionDenied}, {registry.ErrNotFound, codes.NotFound},
		{image.ErrUnusable, codes.InvalidArgument}, {image.ErrContent, codes.DataLoss},
	} {
		if errors.Is(err, class.cause) {
			return status.Errorf(class.code, "failed to pull image %q: %v", name, err)
		}
	}
	return failed(err, "failed to pull image %q", name)
}

// RemoveImage removes an image with all its names; an absent one is removed. Containers keep the layers they use.
func (r *Runtime) RemoveImage(_ context.Context, req *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error) {
	err := r.images.Remove(req.GetImage().GetImage())
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		return nil, failed(err, "remove image")
	}
	return &runtimeapi.RemoveImageResponse{}, nil
}

// ImageFsInfo tells what is on the disk that images are on: blobs and unpacked layers, and apart from them the writable layers of all containers, each
// measured at most diskAge ago.
func (r *Runtime) ImageFsInfo(ctx context.Context, _ *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error) {
	if err := r.ready(ctx); err != nil {
		return nil, err
	}
	bytes, inodes, err := r.images.Usage()
	if err != nil {
		return nil, failed(err, "image file system")
	}
	now := r.cfg.Clock.Now()
	usage := func(bytes, inodes uint64) []*runtimeapi.FilesystemUsage {
		return []*runtimeapi.FilesystemUsage{{
			Timestamp: now.UnixNano(), FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: r.cfg.Root},
			UsedBytes: &runtimeapi.UInt64Value{Value: bytes}, InodesUsed: &runtimeapi.UInt64Value{Value: inodes},
		}}
	}
	return &runtimeapi.ImageFsInfoResponse{
		ImageFilesystems: usage(uint64(bytes), uint64(inodes)), ContainerFilesystems: usage(r.writableUsage(now)),
	}, nil
}

// writableUsage adds up the writable layers.
func (r *Runtime) writableUsage(now time.Time) (bytes, inodes uint64) {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.containers))
	r.mu.Unlock()
	for _, c := range all {
		b, n := c.meter.layer(now, r.upper(c.id))
		bytes, inodes = bytes+b, inodes+n
	}
	return bytes, inodes
}
