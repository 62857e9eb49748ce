package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/api/egress"
)

// openAudit opens the audit trail, if there is to be one.
func (s *server) openAudit() (err error) {
	s.audited = audit.NewMetrics()
	var mu sync.Mutex
	random := s.random(randomAudit)
	s.audit, err = audit.Open(&s.Config.API.Audit, audit.Environment{
		Clock: s.Clock, Log: s.Log.With("component", "audit"), Metrics: s.audited, Dial: s.egress.To(egress.ControlPlane),
		Chance: func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64()
		},
	})
	if err != nil {
		return fmt.Errorf("api.%w", err)
	}
	return nil
}

// recordAudit delivers what is recorded until ctx ends.
func (s *server) recordAudit(ctx context.Context) error {
	if s.audit == nil {
		<-ctx.Done()
		return nil
	}
	return s.audit.Run(ctx)
}
