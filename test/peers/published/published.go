// Package published keeps what a server publishes about itself: its discovery and OpenAPI documents, as it answered.
package published

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// Root names the answer of the path "/", which is no name for a file.
const Root = "root"

// Aggregated begins the name of a path's answer to who accepts aggregated discovery (KEP-3352).
const Aggregated = "aggregated"

// AcceptAggregated is what such a client accepts.
const AcceptAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// window is how far back, in bytes, compression looks: over all documents, which repeat each other.
const window = 16 << 20

// Documents are bodies by path, such as "/openapi/v3/api/v1"; all are JSON.
type Documents map[string][]byte

// Write puts the documents into a file.
func (d Documents) Write(file string) error {
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, path := range slices.Sorted(maps.Keys(d)) {
		if err := t.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(d[path]))}); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if _, err := t.Write(d[path]); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(file, out.Bytes(), 0o644)
}

// Read returns the documents of a file.
func Read(file string) (Documents, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer z.Close()
	out := Documents{}
	for t := tar.NewReader(z); ; {
		header, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if out[header.Name], err = io.ReadAll(t); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file, header.Name, err)
		}
	}
}
