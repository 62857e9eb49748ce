package encryption

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"k8s.io/utils/clock"
)

// Config says which file there is.
type Config struct {
	File string // an apiserver.config.k8s.io/v1 EncryptionConfiguration
	// Reload reads the file again when it changes, which is looked for each minute. One that is not good changes nothing, and is told.
	Reload     bool
	ResourceOf ResourceOf
	Clock      clock.WithTicker
	Log        *slog.Logger
	Metrics    *Metrics
}

// Keeper keeps a Codec as its file says. Its methods but Run and Close are safe for concurrent use.
type Keeper struct {
	Config
	codec *Codec
	text  []byte // of the file that is in force
	// retired were in force until the last reload: calls of theirs may be under way until the next look.
	retired *rules
}

// Open reads the file. Plug-ins are asked when they are first needed.
func Open(cfg Config) (*Keeper, error) {
	text, err := os.ReadFile(cfg.File)
	if err != nil {
		return nil, fmt.Errorf("encryption configuration: %w", err)
	}
	r, err := decode(cfg.File, text, cfg.Clock)
	if err != nil {
		return nil, err
	}
	k := &Keeper{Config: cfg, codec: &Codec{resourceOf: cfg.ResourceOf, metrics: cfg.Metrics}, text: text}
	k.codec.rules.Store(r)
	return k, nil
}

// Codec is what the file says, now and after it has changed.
func (k *Keeper) Codec() *Codec { return k.codec }

// Run keeps plug-ins' keys fresh, and the file when it is to be, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := k.Clock.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		if k.Reload {
			k.reload()
		}
		for _, p := range k.codec.rules.Load().kms {
			if err := p.refresh(); err != nil {
				k.Log.Error("a KMS plug-in is not well", "err", err)
			}
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return nil
		}
	}
}

// reload puts a changed file in force, if every plug-in that it names answers.
func (k *Keeper) reload() {
	if err := k.retire(); err != nil {
		k.Log.Error("the connections of the old encryption configuration", "err", err)
	}
	text, err := os.ReadFile(k.File)
	if err == nil && bytes.Equal(text, k.text) {
		return
	}
	var next *rules
	if err == nil {
		next, err = decode(k.File, text, k.Clock)
	}
	if err == nil {
		for _, p := range next.kms {
			err = errors.Join(err, p.refresh())
		}
		if err != nil {
			err = errors.Join(err, next.close())
		}
	}
	if err != nil {
		k.Metrics.reloads.WithLabelValues("failure").Inc()
		k.Log.Error("the encryption configuration was not read again; the old one stays in force", "err", err)
		return
	}
	k.text = text
	k.retired = k.codec.rules.Swap(next)
	k.Metrics.reloads.WithLabelValues("success").Inc()
	k.Log.Info("the encryption configuration was read again", "file", k.File)
}

// Plugins are the names of the KMS plug-ins that are in force, in the file's order.
func (k *Keeper) Plugins() []string {
	var names []string
	for _, p := range k.codec.rules.Load().kms {
		names = append(names, p.name)
	}
	return names
}

// Health says which plug-ins did not answer well when they were last asked.
func (k *Keeper) Health() error {
	var errs []error
	for _, p := range k.codec.rules.Load().kms {
		errs = append(errs, p.health())
	}
	return errors.Join(errs...)
}

// Close ends connections to plug-ins.
func (k *Keeper) Close() error { return errors.Join(k.retire(), k.codec.rules.Load().close()) }

func (k *Keeper) retire() error {
	old := k.retired
	k.retired = nil
	if old == nil {
		return nil
	}
	return old.close()
}
