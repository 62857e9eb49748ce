package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/scheduler"
	"github.com/floe-k8s/floe/internal/scheduler/config"
	"github.com/floe-k8s/floe/internal/scheduler/extend"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
	"github.com/floe-k8s/floe/internal/scheduler/why"
)

// Scheduler says how pods are scheduled.
type Scheduler struct {
	// Disabled leaves pods where they are: to another scheduler, or to nobody.
	Disabled bool `json:"disabled,omitempty"`
	// ConfigFile is a kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration. Empty: upstream's default profile.
	ConfigFile string `json:"configFile,omitempty"`
}

// newScheduler makes the scheduler as its file says; settings that have no effect are logged.
func (s *server) newScheduler() (*scheduler.Scheduler, error) {
	log := s.Log.With("component", "scheduler")
	file := config.Default()
	if path := s.Config.Scheduler.ConfigFile; path != "" {
		var err error
		if file, err = config.Read(path); err != nil {
			return nil, fmt.Errorf("scheduler.configFile: %w", err)
		}
		for _, w := range file.Warnings {
			log.Warn(w, "file", path)
		}
	}
	cfg := scheduler.Config{
		Client: s.client("system:kube-scheduler"), Clock: s.Clock, Rand: s.random(randomScheduler), Log: log, Metrics: s.scheduling, Host: s.host,
		Queue: queue.Config{First: file.First, Most: file.Most}, Rules: scheduler.NewRules(s.Clock),
	}
	for _, p := range file.Profiles {
		made, err := scheduler.NewProfile(p, cfg.Rules)
		if err != nil {
			return nil, fmt.Errorf("scheduler.configFile: %w", err)
		}
		cfg.Profiles = append(cfg.Profiles, made)
	}
	for _, e := range file.Extenders {
		made, err := extend.New(e)
		if err != nil {
			return nil, fmt.Errorf("scheduler.configFile: %w", err)
		}
		cfg.Extenders = append(cfg.Extenders, made)
	}
	return scheduler.New(cfg), nil
}

// why answers wire.WhyPath.
func (s *server) why(ctx context.Context, namespace, pod string) (any, error) {
	if s.Config.Scheduler.Disabled {
		return nil, apierrors.NewServiceUnavailable("this server does not schedule (scheduler.disabled)")
	}
	return s.scheduler.Why(ctx, namespace, pod)
}

// Why asks the server that runs on a data directory why a pod has the node that it has, or none.
func Why(ctx context.Context, dataDir, namespace, pod string) (why.Report, error) {
	body, err := get(ctx, dataDir, wire.WhyPath+"?"+url.Values{"namespace": {namespace}, "pod": {pod}}.Encode())
	if err != nil {
		return why.Report{}, err
	}
	report, err := why.Read(body)
	return report, errors.Join(err, body.Close())
}
