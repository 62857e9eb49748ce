package cluster

import (
	"context"
	"time"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/client"
)

// How often servers of aggregated APIs are asked what they have, when nothing is heard of them, as upstream; how long a change waits for others that come
// with it; and how long after a failure all begins anew.
const (
	discoverEvery  = time.Minute
	discoverSettle = 20 * time.Millisecond
	discoverAgain  = time.Second
)

// discover keeps what others answer for in discovery, until ctx ends.
func (s *server) discover(ctx context.Context) error {
	reader := s.client(apiServer)
	for ctx.Err() == nil {
		if err := s.discoverFrom(ctx, reader); ctx.Err() == nil && !client.IsExpired(err) {
			s.Log.Info("API services are read anew", "err", err)
			rest, cancel := api.WithTimeout(ctx, s.Clock, discoverAgain)
			<-rest.Done()
			cancel()
		}
	}
	return ctx.Err()
}

// discoverFrom follows the API services from what there is now, until the stream of their changes ends.
func (s *server) discoverFrom(ctx context.Context, reader client.Reader) error {
	apiServices := apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")
	view, err := reader.View(ctx)
	if err != nil {
		return err
	}
	stream, err := reader.Watch(ctx, apiServices, view.Revision(), "", "")
	if err != nil {
		return err
	}
	for {
		var all []*apiregistrationv1.APIService
		for obj := range view.List(apiServices, "") {
			all = append(all, obj.(*apiregistrationv1.APIService))
		}
		s.servers.Discover(ctx, all)
		for wait := discoverEvery; ; wait = discoverSettle {
			timed, cancel := api.WithTimeout(ctx, s.Clock, wait)
			_, err := stream.Next(timed)
			over := timed.Err() != nil
			cancel()
			if over && ctx.Err() == nil {
				break
			}
			if err != nil {
				return err
			}
		}
		if view, err = reader.View(ctx); err != nil {
			return err
		}
	}
}
