package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/utils/clock"
)

// Environment is what a trail gets from the program around it.
type Environment struct {
	Clock   clock.WithTicker
	Log     *slog.Logger
	Metrics *Metrics
	// Chance spreads retries, in [0, 1). It is called by several goroutines at once.
	Chance func() float64
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // to the webhook; nil: directly
}

// Open makes the trail that cfg, which is valid, says; nil without a policy or a backend. Run must be called before events are delivered in the mode batch.
func Open(cfg *Config, env Environment) (*Trail, error) {
	if cfg.PolicyFile == "" {
		for name, path := range map[string]string{"audit.log.path": cfg.Log.Path, "audit.webhook.configFile": cfg.Webhook.ConfigFile} {
			if path != "" {
				env.Log.Info("No audit policy file provided, no events will be recorded", name, path)
			}
		}
		return nil, nil
	}
	policy, err := LoadPolicy(cfg.PolicyFile)
	if err != nil {
		return nil, fmt.Errorf("audit.policyFile: %w", err)
	}
	t := &Trail{policy: policy, clock: env.Clock, metrics: env.Metrics, log: env.Log}
	t.ended, t.stop = context.WithCancel(context.Background())
	if cfg.Log.Path != "" {
		out, err := openLog(&cfg.Log)
		if err != nil {
			return nil, err
		}
		t.addLog(&cfg.Log, out, env)
	}
	if cfg.Webhook.ConfigFile != "" {
		hook, err := newWebhook(t, &cfg.Webhook, env)
		if err != nil {
			return nil, err
		}
		t.addWebhook(&cfg.Webhook, hook, env)
	}
	return t, nil
}

func (t *Trail) addLog(cfg *LogConfig, out io.WriteCloser, env Environment) {
	var to sink = &logSink{trail: t, legacy: cfg.Format == FormatLegacy, out: out}
	run := func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}
	if cfg.Mode == ModeBatch {
		lines := to
		b := newBatching(t, func(_ context.Context, events []*auditv1.Event) { lines.take(events...) }, cfg.Batch, env.Clock, 1)
		to, run = b, b.run
	}
	t.add(to, cfg.Mode, &cfg.Truncate, func(ctx context.Context) error { return errors.Join(run(ctx), out.Close()) })
}

func (t *Trail) addWebhook(cfg *WebhookConfig, hook *webhook, env Environment) {
	if cfg.Mode != ModeBatch {
		t.add(hook, cfg.Mode, &cfg.Truncate, nil)
		return
	}
	b := newBatching(t, hook.send, cfg.Batch, env.Clock, sendersAtOnce)
	t.add(b, cfg.Mode, &cfg.Truncate, b.run)
}

func (t *Trail) add(to sink, mode string, limit *Truncate, run func(context.Context) error) {
	if limit.Enabled {
		to = &truncating{t, to, *limit}
	}
	t.sinks, t.strict = append(t.sinks, to), append(t.strict, mode == ModeBlockingStrict)
	if run != nil {
		t.run = append(t.run, run)
	}
}

// Run delivers events until ctx ends, and then what is left, for a bounded time. It is called once.
func (t *Trail) Run(ctx context.Context) error {
	defer t.stop()
	failed := make(chan error, len(t.run))
	for _, run := range t.run {
		go func() { failed <- run(ctx) }()
	}
	<-ctx.Done()
	var errs []error
	for range t.run {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}
