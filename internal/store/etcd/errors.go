package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/floe-k8s/floe/internal/store"
)

// ErrUnknownOutcome: the answer to a transaction was lost, and etcd could not say in time whether it was committed.
var ErrUnknownOutcome = errors.New("it is not known whether the transaction was committed")

// translate gives etcd's errors the store's classes.
func translate(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %w", store.ErrExpired, err)
	case errors.Is(err, rpctypes.ErrFutureRev):
		return fmt.Errorf("%w: %w", store.ErrFuture, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: etcd's database has reached its quota; compact it, defragment every member, then disarm the alarm "+
			"(etcdctl compact, etcdctl defrag, etcdctl alarm disarm): %w", store.ErrFull, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: etcd's --max-request-bytes: %w", store.ErrTooLarge, err)
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: etcd's --max-txn-ops is too low for its conditions and records: %w", store.ErrTooLarge, err)
	}
	return err
}

// codeOf returns the gRPC code of an error of etcd's client; Unknown when it has none.
func codeOf(err error) codes.Code {
	var e rpctypes.EtcdError
	switch {
	case errors.As(err, &e):
		return e.Code()
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	}
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return codes.Unknown
}

// answered says that etcd itself refused a request, so that it changed nothing. After any other error it may have been carried out.
func answered(err error) bool {
	switch codeOf(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.ResourceExhausted,
		codes.PermissionDenied, codes.Unauthenticated, codes.NotFound, codes.AlreadyExists, codes.Unimplemented, codes.DataLoss:
		return true
	}
	return false
}
