package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/utils/clock"
)

// etcdSize is smaller than fullSize where etcd needs longer, so that each scenario takes seconds on both sides. The tool has no 99th percentile below 100.
var etcdSize = size{lonePuts: 5_000, puts: 200_000, gets: 100_000, ranges: 200}

// beside measures etcd and floe's log one after the other, on the same disk, and writes what they showed.
func beside(ctx context.Context, c clock.Clock, programs, records string) error {
	return inTemporary(func(dir string) error {
		m, err := describe(dir, programs)
		if err != nil {
			return err
		}
		if m.BeforeEtcd, err = measureSyncs(ctx, c, dir); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "==> etcd")
		etcd, err := measureEtcd(ctx, c, programs, dir, etcdSize)
		if err != nil {
			return err
		}
		if m.BeforeFloe, err = measureSyncs(ctx, c, dir); err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "==> floe's log")
		var floe []result
		if err := child(ctx, &floe, nil, "log", filepath.Join(dir, "floe")); err != nil {
			return err
		}
		return errors.Join(record(records, "machine", m), record(records, "etcd", etcd), record(records, "floe", floe))
	})
}

func record(dir, name string, v any) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), append(data, '\n'), 0o644)
}
