package serve

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime"
)

// pieceBytes is what one piece of a streamed list aims at: far below MaxMessage, so that a single large item more does no harm.
const pieceBytes = 1 << 20

// runtimeService is CRI's RuntimeService: the runtime's own methods, and those that stream.
type runtimeService struct {
	runtimeapi.UnsafeRuntimeServiceServer
	*runtime.Runtime
	ending <-chan struct{} // closed when streams are to end
}

// Images is what ImageService asks of a runtime in one answer; CRI decides its size.
type Images interface {
	ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error)
	ImageStatus(context.Context, *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error)
	PullImage(context.Context, *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error)
	RemoveImage(context.Context, *runtimeapi.RemoveImageRequest) (*runtimeapi.RemoveImageResponse, error)
	ImageFsInfo(context.Context, *runtimeapi.ImageFsInfoRequest) (*runtimeapi.ImageFsInfoResponse, error)
}

// imageService is CRI's ImageService.
type imageService struct {
	runtimeapi.UnsafeImageServiceServer
	Images
}

// inPieces sends items, none twice and none for an empty list, in messages of some pieceBytes each.
func inPieces[T proto.Message](items []T, send func([]T) error) error {
	begin, size := 0, 0
	for i, item := range items {
		n := proto.Size(item)
		if i > begin && size+n > pieceBytes {
			if err := send(items[begin:i]); err != nil {
				return err
			}
			begin, size = i, 0
		}
		size += n
	}
	if begin == len(items) {
		return nil
	}
	return send(items[begin:])
}

func (s *runtimeService) StreamPodSandboxes(req *runtimeapi.StreamPodSandboxesRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxesResponse]) error {
	list, err := s.ListPodSandbox(out.Context(), &runtimeapi.ListPodSandboxRequest{Filter: req.GetFilter()})
	if err != nil {
		return coded(err)
	}
	return inPieces(list.Items, func(part []*runtimeapi.PodSandbox) error {
		return out.Send(&runtimeapi.StreamPodSandboxesResponse{PodSandboxes: part})
	})
}

func (s *runtimeService) StreamContainers(req *runtimeapi.StreamContainersRequest, out grpc.ServerStreamingServer[runtimeapi.StreamContainersResponse]) error {
	list, err := s.ListContainers(out.Context(), &runtimeapi.ListContainersRequest{Filter: req.GetFilter()})
	if err != nil {
		return coded(err)
	}
	return inPieces(list.Containers, func(part []*runtimeapi.Container) error {
		return out.Send(&runtimeapi.StreamContainersResponse{Containers: part})
	})
}

func (s *runtimeService) StreamContainerStats(req *runtimeapi.StreamContainerStatsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamContainerStatsResponse]) error {
	list, err := s.ListContainerStats(out.Context(), &runtimeapi.ListContainerStatsRequest{Filter: req.GetFilter()})
	if err != nil {
		return coded(err)
	}
	return inPieces(list.Stats, func(part []*runtimeapi.ContainerStats) error {
		return out.Send(&runtimeapi.StreamContainerStatsResponse{ContainerStats: part})
	})
}

func (s *runtimeService) StreamPodSandboxStats(req *runtimeapi.StreamPodSandboxStatsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxStatsResponse]) error {
	list, err := s.ListPodSandboxStats(out.Context(), &runtimeapi.ListPodSandboxStatsRequest{Filter: req.GetFilter()})
	if err != nil {
		return coded(err)
	}
	return inPieces(list.Stats, func(part []*runtimeapi.PodSandboxStats) error {
		return out.Send(&runtimeapi.StreamPodSandboxStatsResponse{PodSandboxStats: part})
	})
}

func (s *runtimeService) StreamPodSandboxMetrics(_ *runtimeapi.StreamPodSandboxMetricsRequest, out grpc.ServerStreamingServer[runtimeapi.StreamPodSandboxMetricsResponse]) error {
	list, err := s.ListPodSandboxMetrics(out.Context(), &runtimeapi.ListPodSandboxMetricsRequest{})
	if err != nil {
		return coded(err)
	}
	return inPieces(list.PodMetrics, func(part []*runtimeapi.PodSandboxMetrics) error {
		return out.Send(&runtimeapi.StreamPodSandboxMetricsResponse{PodSandboxMetrics: part})
	})
}

func (s *imageService) StreamImages(req *runtimeapi.StreamImagesRequest, out grpc.ServerStreamingServer[runtimeapi.StreamImagesResponse]) error {
	list, err := s.ListImages(out.Context(), &runtimeapi.ListImagesRequest{Filter: req.GetFilter()})
	if err != nil {
		return coded(err)
	}
	return inPieces(list.Images, func(part []*runtimeapi.Image) error {
		return out.Send(&runtimeapi.StreamImagesResponse{Images: part})
	})
}

// GetContainerEvents sends events until the client leaves, the server ends (Unavailable), or the client is too slow (OutOfRange: it must
// ask again, and list).
func (s *runtimeService) GetContainerEvents(_ *runtimeapi.GetEventsRequest, out grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	subscription := s.Subscribe()
	defer subscription.Close()
	// The headers tell the client that it is subscribed: what happens from now on it will hear.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := forward(ctx, subscription, out)
	cancel()
	<-watched
	switch {
	case errors.Is(err, runtime.ErrEventsLost):
		return status.Error(codes.OutOfRange, err.Error())
	case out.Context().Err() == nil && errors.Is(err, context.Canceled):
		return status.Error(codes.Unavailable, "the container runtime is stopping")
	}
	return coded(err)
}

func forward(ctx context.Context, from *runtime.Subscription, to grpc.ServerStreamingServer[runtimeapi.ContainerEventResponse]) error {
	for {
		event, err := from.Next(ctx)
		if err != nil {
			return err
		}
		if err := to.Send(event); err != nil {
			return err
		}
	}
}
