package runtime

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/floe-k8s/floe/internal/runtime/image"
	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// The codes that callers of CRI branch on, each with its meaning here.

// notFound: the sandbox, container or image does not exist.
func notFound(format string, args ...any) error {
	return status.Errorf(codes.NotFound, format, args...)
}

// invalid: the request contradicts itself or the definition.
func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// unsupported: the request is fine, but this runtime or this host cannot do it.
func unsupported(format string, args ...any) error {
	return status.Errorf(codes.Unimplemented, format, args...)
}

// wrongState: not now; the sandbox or container is in a state that does not allow it.
func wrongState(format string, args ...any) error {
	return status.Errorf(codes.FailedPrecondition, format, args...)
}

func alreadyExists(format string, args ...any) error {
	return status.Errorf(codes.AlreadyExists, format, args...)
}

func unavailable(format string, args ...any) error {
	return status.Errorf(codes.Unavailable, format, args...)
}

// failed wraps what went wrong inside, as "what: err", with the code that fits best.
func failed(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	code := status.Code(err)
	switch {
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, image.ErrNotFound), shim.CodeOf(err) == shim.CodeNotFound:
		code = codes.NotFound
	case shim.CodeOf(err) == shim.CodeNotRunning:
		code = codes.FailedPrecondition
	case errors.Is(err, shim.ErrGone):
		code = codes.Unavailable
	}
	what := status.Newf(code, format, args...).Message()
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message() // without the words "rpc error"
	}
	return status.Error(code, what+": "+text)
}
