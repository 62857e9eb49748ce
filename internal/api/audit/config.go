package audit

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"time"
)

// The modes of a backend.
const (
	ModeBatch          = "batch"           // events wait for others, and are sent together
	ModeBlocking       = "blocking"        // a request waits until its events are taken, or lost
	ModeBlockingStrict = "blocking-strict" // and is refused when its first event is lost
)

// The formats of the log.
const (
	FormatJSON   = "json"
	FormatLegacy = "legacy"
)

// Version is the only version of events.
const Version = "audit.k8s.io/v1"

// Config says what is recorded and where it goes. Its fields are kube-apiserver's flags --audit-*.
type Config struct {
	// PolicyFile is an audit.k8s.io/v1 Policy. Empty: nothing is recorded.
	PolicyFile string        `json:"policyFile,omitempty"`
	Log        LogConfig     `json:"log,omitempty"`
	Webhook    WebhookConfig `json:"webhook,omitempty"`
}

// LogConfig is the log backend.
type LogConfig struct {
	// Path is the log file; "-" is standard output. Empty: there is no log.
	Path string `json:"path,omitempty"`
	// MaxAge is for how many days old files are kept; MaxBackup how many of them; 0: without end. Defaults 366 and 100.
	MaxAge    int `json:"maxAge"`
	MaxBackup int `json:"maxBackup"`
	// MaxSize is at how many MiB a new file begins. Default 100.
	MaxSize int `json:"maxSize"`
	// Format is json or legacy. Default json.
	Format string `json:"format,omitempty"`
	// Compress old files with gzip.
	Compress bool   `json:"compress,omitempty"`
	Version  string `json:"version,omitempty"`
	// Mode is batch, blocking or blocking-strict. Default blocking.
	Mode     string   `json:"mode,omitempty"`
	Batch    Batch    `json:"batch,omitempty"`
	Truncate Truncate `json:"truncate,omitempty"`
}

// WebhookConfig is the webhook backend.
type WebhookConfig struct {
	// ConfigFile is a kubeconfig file that says where events are posted. Empty: there is no webhook.
	ConfigFile string `json:"configFile,omitempty"`
	// InitialBackoff is how long the first retry waits. Default 10s.
	InitialBackoff metav1.Duration `json:"initialBackoff,omitempty"`
	Version        string          `json:"version,omitempty"`
	// Mode is batch, blocking or blocking-strict. Default batch.
	Mode     string   `json:"mode,omitempty"`
	Batch    Batch    `json:"batch,omitempty"`
	Truncate Truncate `json:"truncate,omitempty"`
}

// Batch says how events wait for others, in the mode batch.
type Batch struct {
	// BufferSize is how many events wait at most; above it they are lost. Default 10000.
	BufferSize int `json:"bufferSize"`
	// MaxSize is how many are sent together. Default 1 for the log, 400 for the webhook.
	MaxSize int `json:"maxSize"`
	// MaxWait is how long a batch that is not full waits. Default 0 for the log, 30s for the webhook.
	MaxWait metav1.Duration `json:"maxWait"`
	// ThrottleEnable bounds batches to ThrottleQPS a second, ThrottleBurst at once. Default false for the log; true, 10 and 15 for the webhook.
	ThrottleEnable bool    `json:"throttleEnable"`
	ThrottleQPS    float32 `json:"throttleQPS"`
	ThrottleBurst  int     `json:"throttleBurst"`
}

// Truncate says how large events may become.
type Truncate struct {
	Enabled bool `json:"enabled,omitempty"`
	// MaxBatchSize is how many bytes of events are sent together. Default 10485760.
	MaxBatchSize int64 `json:"maxBatchSize"`
	// MaxEventSize is from how many bytes an event loses its objects. Default 102400.
	MaxEventSize int64 `json:"maxEventSize"`
}

// DefaultConfig is upstream's.
func DefaultConfig() Config {
	cut := Truncate{MaxBatchSize: 10 << 20, MaxEventSize: 100 << 10}
	return Config{
		Log: LogConfig{
			MaxAge: 366, MaxBackup: 100, MaxSize: 100, Format: FormatJSON, Version: Version, Mode: ModeBlocking, Truncate: cut,
			Batch: Batch{BufferSize: 10000, MaxSize: 1},
		},
		Webhook: WebhookConfig{
			InitialBackoff: metav1.Duration{Duration: 10 * time.Second}, Version: Version, Mode: ModeBatch, Truncate: cut,
			Batch: Batch{BufferSize: 10000, MaxSize: 400, MaxWait: metav1.Duration{Duration: 30 * time.Second}, ThrottleEnable: true, ThrottleQPS: 10, ThrottleBurst: 15},
		},
	}
}

// Validate says which fields are out of range; those of a backend that is not there are not looked at, as upstream.
func (c *Config) Validate() (errs []error) {
	if l := &c.Log; l.Path != "" {
		errs = append(errs, checkBackend("log", l.Mode, l.Version, &l.Batch, &l.Truncate)...)
		if !slices.Contains([]string{FormatJSON, FormatLegacy}, l.Format) {
			errs = append(errs, fmt.Errorf("audit.log.format: %q: must be json or legacy", l.Format))
		}
		for _, f := range []struct {
			name  string
			value int
		}{{"maxAge", l.MaxAge}, {"maxBackup", l.MaxBackup}, {"maxSize", l.MaxSize}} {
			if f.value < 0 {
				errs = append(errs, fmt.Errorf("audit.log.%s: %d: can't be a negative number", f.name, f.value))
			}
		}
	}
	if w := &c.Webhook; w.ConfigFile != "" {
		errs = append(errs, checkBackend("webhook", w.Mode, w.Version, &w.Batch, &w.Truncate)...)
	}
	return errs
}

func checkBackend(name, mode, version string, b *Batch, t *Truncate) (errs []error) {
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("audit.%s.%s: %v: must be %s", name, field, value, want))
	}
	if !slices.Contains([]string{ModeBatch, ModeBlocking, ModeBlockingStrict}, mode) {
		bad("mode", mode, "batch, blocking or blocking-strict")
	}
	if version != Version {
		bad("version", version, Version)
	}
	if mode == ModeBatch {
		if b.BufferSize <= 0 {
			bad("batch.bufferSize", b.BufferSize, "a positive number")
		}
		if b.MaxSize <= 0 {
			bad("batch.maxSize", b.MaxSize, "a positive number")
		}
		if b.ThrottleEnable && b.ThrottleQPS <= 0 {
			bad("batch.throttleQPS", b.ThrottleQPS, "a positive number")
		}
		if b.ThrottleEnable && b.ThrottleBurst <= 0 {
			bad("batch.throttleBurst", b.ThrottleBurst, "a positive number")
		}
	}
	if t.Enabled {
		if t.MaxEventSize <= 0 {
			bad("truncate.maxEventSize", t.MaxEventSize, "a positive number")
		}
		if t.MaxBatchSize < t.MaxEventSize {
			bad("truncate.maxBatchSize", t.MaxBatchSize, fmt.Sprintf("at least truncate.maxEventSize, %d", t.MaxEventSize))
		}
	}
	return errs
}
