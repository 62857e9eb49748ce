package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime"
)

// MaxMessage bounds a message in either direction, in bytes: what kubelets' clients send and take.
const MaxMessage = 16 << 20

// graceLimit is how long requests that are under way when Serve is to end may take.
const graceLimit = 5 * time.Second

// Serve answers requests that come through l with r until ctx ends, then closes l and waits, for some seconds at most, for the requests
// under way. r must run meanwhile; r's containers are not touched. The error is nil when ctx ended it.
func Serve(ctx context.Context, l net.Listener, r *runtime.Runtime, log *slog.Logger) error {
	server := grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage), grpc.UnaryInterceptor(answer(log)))
	runtimeapi.RegisterRuntimeServiceServer(server, &runtimeService{Runtime: r, ending: ctx.Done()})
	runtimeapi.RegisterImageServiceServer(server, &imageService{Images: r})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceLimit)
	defer cancel()
	stop := context.AfterFunc(limit, server.Stop) // which makes GracefulStop return too
	defer stop()
	server.GracefulStop()
	if err := <-failed; !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// answer gives every error a code, and shows errors to who looks closely.
func answer(log *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		resp, err := handle(ctx, req)
		if err != nil {
			err = coded(err)
			log.Debug("request failed", "method", info.FullMethod, "error", err)
		}
		return resp, err
	}
}

// coded is err with the code of a context's end when it is one and has no code of its own.
func coded(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unknown, err.Error())
}
