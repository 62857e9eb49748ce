package cluster

import (
	"context"
	"sync"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
)

// followAgain is how long a follower rests that could not go on.
const followAgain = time.Second

var (
	flowSchemas    = flowcontrolv1.SchemeGroupVersion.WithResource("flowschemas")
	priorityLevels = flowcontrolv1.SchemeGroupVersion.WithResource("prioritylevelconfigurations")
)

// count counts what the server's own parts ask for.
func (s *server) count(user auth.User, attributes auth.Attributes) (end func()) {
	if s.fairness == nil {
		return func() {}
	}
	return s.fairness.Count(user, attributes)
}

// runFairness keeps priority and fairness as its objects configure it, if it is there at all.
func (s *server) runFairness(ctx context.Context) error {
	if s.fairness == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	from, changed := s.client(apiServer, auth.Masters), make(chan struct{}, 1)
	following, cancel := context.WithCancel(ctx)
	var followers sync.WaitGroup
	for _, res := range []client.Resource{flowSchemas, priorityLevels} {
		followers.Go(func() { s.followKind(following, from, res, changed) })
	}
	defer followers.Wait()
	defer cancel()
	return s.fairness.Run(ctx, changed, func(ctx context.Context) (schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration, err error) {
		view, err := from.View(ctx)
		if err != nil {
			return nil, nil, err
		}
		for obj := range view.List(flowSchemas, "") {
			schemas = append(schemas, obj.(*flowcontrolv1.FlowSchema))
		}
		for obj := range view.List(priorityLevels, "") {
			levels = append(levels, obj.(*flowcontrolv1.PriorityLevelConfiguration))
		}
		return schemas, levels, nil
	})
}

// followKind tells changed, which keeps one message, whenever something of a resource is new, beginning with all that exists, until ctx ends.
func (s *server) followKind(ctx context.Context, from client.Client, res client.Resource, changed chan<- struct{}) {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // what is there will be read
		}
	}
	for ctx.Err() == nil {
		view, err := from.View(ctx)
		var stream client.Stream
		if err == nil {
			tell()
			stream, err = from.Watch(ctx, res, view.Revision(), "", "")
		}
		for err == nil {
			if _, err = stream.Next(ctx); err == nil {
				tell()
			}
		}
		if client.IsExpired(err) {
			continue
		}
		rest := s.Clock.NewTimer(followAgain)
		select {
		case <-ctx.Done():
		case <-rest.C():
		}
		rest.Stop()
	}
}
