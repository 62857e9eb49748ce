// Package customtest serves, in tests, what a cluster's CustomResourceDefinitions define.
package customtest

import (
	"context"
	"errors"
	"testing"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/custom"
	"github.com/floe-k8s/floe/internal/observe"
)

// Keep runs a Keeper until the test ends; resolve finds the services of conversion webhooks.
func Keep(t testing.TB, c *apitest.Cluster, resolve reach.Resolver) {
	t.Helper()
	keeper := custom.New(custom.Config{API: c.API, User: apitest.Administrator(), Clock: c.Clock, Log: observe.Discard(), Webhooks: reach.Means{Resolve: resolve}})
	if err := keeper.Load(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- keeper.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the keeper of definitions has ended: %v", err)
		}
	})
}
