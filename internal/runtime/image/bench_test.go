package image

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

const (
	benchLayers = 10
	benchBytes  = 500 << 20 // of all layers together, compressed
)

// BenchmarkPull pulls and unpacks an image of 500 MB in ten gzip layers from a registry in another process on this machine. Besides time it
// reports the processors' time of this process and the unpackers, and the largest resident size of this process and of one unpacker.
func BenchmarkPull(b *testing.B) {
	dir := os.Getenv("FLOE_BENCH_IMAGE") // an image to use again, or to leave for others
	if dir == "" {
		dir = b.TempDir()
	}
	if _, err := os.Stat(filepath.Join(dir, "latest")); err != nil {
		benchImage(b, dir)
	}
	address := benchRegistry(b, dir)
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		root := filepath.Join(b.TempDir(), "images")
		unix.Sync()
		b.StartTimer()
		m := benchChild(b, address, root)
		b.StopTimer()
		for unit, value := range m {
			b.ReportMetric(value, unit)
		}
		must(b, os.RemoveAll(root))
		b.StartTimer()
	}
}

// benchChild pulls in a process of its own, whose memory and children are those of the pull alone.
func benchChild(b *testing.B, address, root string) map[string]float64 {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), benchPullEnv+"="+strings.Join([]string{address, root, shimPath}, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	must(b, err)
	var m map[string]float64
	must(b, json.Unmarshal(out, &m))
	return m
}

const benchPullEnv = "FLOE_BENCH_PULL"

// benchPull is that process.
func benchPull(job string) error {
	words := strings.Fields(job)
	s, err := Open(Config{Root: words[1], Unpack: ShimUnpacker(words[2])})
	if err != nil {
		return err
	}
	if _, err := s.Pull(context.Background(), words[0]+"/bench:latest", registry.Auth{}, nil); err != nil {
		return err
	}
	var self, children unix.Rusage
	if err := errors.Join(unix.Getrusage(unix.RUSAGE_SELF, &self), unix.Getrusage(unix.RUSAGE_CHILDREN, &children)); err != nil {
		return err
	}
	seconds := func(u unix.Rusage) float64 { return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9 }
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"cpu-s/op": seconds(self) + seconds(children), "pull-cpu-s/op": seconds(self),
		"peak-MB": float64(self.Maxrss) / 1024, "unpacker-MB": float64(children.Maxrss) / 1024,
	})
}

// benchImage writes an image into dir: blobs by digest, and the manifest as "latest".
func benchImage(b *testing.B, dir string) {
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	c := linux
	for i := range benchLayers {
		d, diff := benchLayer(b, dir, i)
		m.Layers = append(m.Layers, d)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, diff)
	}
	config, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	_, hash := blobName(config)
	m.Config = v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(config)), Digest: hash}
	manifest, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	for name, data := range map[string][]byte{hash.String(): config, digestOf(manifest): manifest, "latest": manifest} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// benchLayer makes one layer: files from 1 KiB to 4 MiB of words and random bytes, which shrink to a half or so.
func benchLayer(b *testing.B, dir string, n int) (v1.Descriptor, v1.Hash) {
	f, err := os.Create(filepath.Join(dir, "layer"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	blob, plain := sha256.New(), sha256.New()
	size := &countWriter{}
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, blob, size), 5)
	if err != nil {
		b.Fatal(err)
	}
	w := tar.NewWriter(io.MultiWriter(z, plain))
	data := make([]byte, 4<<20)
	for i := 0; size.n < benchBytes/benchLayers; i++ {
		part := data[:1<<10<<r.IntN(13)]
		benchContent(r, part)
		if i%64 == 0 {
			must(b, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("layer%d/d%d/", n, i/64), Mode: 0o755}))
		}
		must(b, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("layer%d/d%d/f%d", n, i/64, i), Mode: 0o644, Size: int64(len(part))}))
		_, err := w.Write(part)
		must(b, err)
	}
	must(b, w.Close())
	must(b, z.Close())
	digest := hex.EncodeToString(blob.Sum(nil))
	must(b, os.Rename(f.Name(), filepath.Join(dir, "sha256:"+digest)))
	return v1.Descriptor{MediaType: types.OCILayer, Size: size.n, Digest: v1.Hash{Algorithm: "sha256", Hex: digest}},
		v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(plain.Sum(nil))}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

type countWriter struct{ n int64 }

func (c *countWriter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

var benchWords = strings.Fields("return error func string if nil context package import type struct interface range for switch case default var const map chan select")

func benchContent(r *rand.Rand, b []byte) {
	for len(b) > 0 {
		if r.IntN(8) == 0 {
			n := min(len(b), 64)
			for i := range b[:n] {
				b[i] = byte(r.Uint32())
			}
			b = b[n:]
			continue
		}
		b = b[copy(b, benchWords[r.IntN(len(benchWords))]):]
		if len(b) > 0 {
			b[0] = " \n\t({.,"[r.IntN(7)]
			b = b[1:]
		}
	}
}

// benchServe is the registry's process: it serves the files of a directory and says on which address.
func benchServe(dir string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Content-Type", string(types.OCIManifestSchema1))
		}
		http.ServeFile(w, r, filepath.Join(dir, filepath.Base(r.URL.Path)))
	}))
}

const benchServeEnv = "FLOE_BENCH_SERVE"

func benchRegistry(b *testing.B, dir string) string {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), benchServeEnv+"="+dir, "GOMAXPROCS="+strconv.Itoa(runtime.GOMAXPROCS(0)))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(b, err)
	must(b, cmd.Start())
	b.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			b.Error(err)
		}
		_ = cmd.Wait() // it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	must(b, err)
	return strings.TrimSpace(line)
}
