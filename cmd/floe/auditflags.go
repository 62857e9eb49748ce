package main

import (
	"github.com/spf13/pflag"

	"github.com/floe-k8s/floe/internal/api/audit"
)

// auditFlags are those of the audit trail, with kube-apiserver's names.
func auditFlags(flags *pflag.FlagSet, cfg *audit.Config) {
	flags.StringVar(&cfg.PolicyFile, "audit-policy-file", cfg.PolicyFile, "file (audit.k8s.io/v1, kind Policy) that says which requests are recorded; without one none are")
	l := &cfg.Log
	flags.StringVar(&l.Path, "audit-log-path", l.Path, "file that recorded requests are written to; - is standard output")
	flags.IntVar(&l.MaxAge, "audit-log-maxage", l.MaxAge, "days that old audit logs are kept; 0: for ever")
	flags.IntVar(&l.MaxBackup, "audit-log-maxbackup", l.MaxBackup, "old audit logs that are kept; 0: all")
	flags.IntVar(&l.MaxSize, "audit-log-maxsize", l.MaxSize, "MiB at which a new audit log begins")
	flags.StringVar(&l.Format, "audit-log-format", l.Format, "json, or legacy: one line of text")
	flags.BoolVar(&l.Compress, "audit-log-compress", l.Compress, "compress old audit logs with gzip")
	backendFlags(flags, "audit-log-", &l.Version, &l.Mode, &l.Batch, &l.Truncate)
	w := &cfg.Webhook
	flags.StringVar(&w.ConfigFile, "audit-webhook-config-file", w.ConfigFile, "kubeconfig file of the server that recorded requests are posted to")
	flags.DurationVar(&w.InitialBackoff.Duration, "audit-webhook-initial-backoff", w.InitialBackoff.Duration, "how long the first retry waits")
	backendFlags(flags, "audit-webhook-", &w.Version, &w.Mode, &w.Batch, &w.Truncate)
}

// backendFlags are those that each backend has, after its prefix.
func backendFlags(flags *pflag.FlagSet, prefix string, version, mode *string, b *audit.Batch, t *audit.Truncate) {
	flags.StringVar(version, prefix+"version", *version, "version of the events: audit.k8s.io/v1")
	flags.StringVar(mode, prefix+"mode", *mode, "batch (events wait for others), blocking (requests wait for their events) or blocking-strict (and fail without)")
	flags.IntVar(&b.BufferSize, prefix+"batch-buffer-size", b.BufferSize, "in the mode batch: events that wait at most; more are lost")
	flags.IntVar(&b.MaxSize, prefix+"batch-max-size", b.MaxSize, "in the mode batch: events that go out together")
	flags.DurationVar(&b.MaxWait.Duration, prefix+"batch-max-wait", b.MaxWait.Duration, "in the mode batch: how long events wait for others")
	flags.BoolVar(&b.ThrottleEnable, prefix+"batch-throttle-enable", b.ThrottleEnable, "in the mode batch: bound how many batches go out in a second")
	flags.Float32Var(&b.ThrottleQPS, prefix+"batch-throttle-qps", b.ThrottleQPS, "batches a second, on average")
	flags.IntVar(&b.ThrottleBurst, prefix+"batch-throttle-burst", b.ThrottleBurst, "batches at once, after a rest")
	flags.BoolVar(&t.Enabled, prefix+"truncate-enabled", t.Enabled, "make events that are too large smaller, and split batches")
	flags.Int64Var(&t.MaxBatchSize, prefix+"truncate-max-batch-size", t.MaxBatchSize, "bytes of events that go out together")
	flags.Int64Var(&t.MaxEventSize, prefix+"truncate-max-event-size", t.MaxEventSize, "bytes from which on an event loses its objects")
}
