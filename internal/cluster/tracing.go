package cluster

import (
	"context"
	"fmt"

	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// openTracing reads whom requests are told to; instance names this server.
func (s *server) openTracing(instance string) error {
	file := s.Config.API.TracingConfigFile
	if file == "" {
		return nil
	}
	cfg, err := trace.Load(file)
	if err != nil {
		return fmt.Errorf("api.tracingConfigFile: %w", err)
	}
	s.traced = trace.NewMetrics()
	s.tracing = trace.New(cfg, instance, s.egress.To(egress.ControlPlane), s.Log.With("component", "tracing"), s.traced)
	return nil
}

// sendTraces sends spans until ctx ends: after all others, so that the last are told, too.
func (s *server) sendTraces(ctx context.Context) error {
	if s.tracing == nil {
		<-ctx.Done()
		return nil
	}
	return s.tracing.Run(ctx)
}
