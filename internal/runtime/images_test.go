package runtime

import (
	"archive/tar"
	"bytes"
	goruntime "runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/prometheus/client_golang/prometheus/testutil"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/image/registry/registrytest"
)

func TestImageFsInfo(t *testing.T) {
	w := newWorld(t)
	look := func() (images, containers *runtimeapi.FilesystemUsage) {
		t.Helper()
		info, err := w.rt.ImageFsInfo(w.ctx, &runtimeapi.ImageFsInfoRequest{})
		if err != nil || len(info.ImageFilesystems) != 1 || len(info.ContainerFilesystems) != 1 {
			t.Fatalf("%v, %v", info, err)
		}
		return info.ImageFilesystems[0], info.ContainerFilesystems[0]
	}
	images, containers := look()
	if images.UsedBytes.Value == 0 || images.InodesUsed.Value == 0 || images.FsId.Mountpoint != w.cfg.Root {
		t.Errorf("images take %v", images)
	}
	if containers.UsedBytes.Value != 0 {
		t.Errorf("no containers take %v", containers)
	}
	w.exited(w.run(w.runPod("fs"), containerConfig("main", "fill", "3000000", "/new")))
	after, containers := look()
	if n := containers.UsedBytes.Value; n < 3_000_000 || n > 4_000_000 || containers.InodesUsed.Value == 0 {
		t.Errorf("an ended container that wrote 3 MB takes %v", containers)
	}
	if after.UsedBytes.Value != images.UsedBytes.Value {
		t.Errorf("images took %v, and now %v", images.UsedBytes, after.UsedBytes)
	}
}

func TestPullMetrics(t *testing.T) {
	w := newWorld(t)
	r := registrytest.New(t)
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	if err := archive.WriteHeader(&tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	r.AddImage(t, "app:v1", v1.ConfigFile{OS: "linux", Architecture: goruntime.GOARCH},
		registrytest.Layer{Type: types.DockerUncompressedLayer, Blob: layer.Bytes(), DiffID: registrytest.Digest(layer.Bytes())})
	for _, tag := range []string{"v1", "v2"} {
		_, err := w.rt.PullImage(w.ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: r.Host() + "/app:" + tag}})
		if (err == nil) != (tag == "v1") {
			t.Errorf("%s: %v", tag, err)
		}
	}
	m := w.rt.cfg.Pulls
	const name = "containerd_cri_sandboxed_image_pulls_total"
	if err := testutil.CollectAndCompare(m.ended, strings.NewReader("# HELP "+name+" Pulls that ended, with success or failure.\n# TYPE "+name+" counter\n"+
		name+"{status=\"failure\"} 1\n"+name+"{status=\"success\"} 1\n")); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(m.underWay); got != 0 {
		t.Errorf("%v pulls under way", got)
	}
	if n := testutil.CollectAndCount(m, "kubelet_image_pull_duration_seconds", "containerd_cri_sandboxed_image_pulling_throughput_mibps"); n != 2 {
		t.Errorf("%d histograms, want 2", n)
	}
}

func TestSizeClass(t *testing.T) {
	for bytes, want := range map[int64]string{0: "N/A", 1: "0-10MB", 10 << 20: "0-10MB", 10<<20 + 1: "10MB-100MB", 1<<30 + 1: "1GB-5GB", 101 << 30: "GT100GB"} {
		if got := sizeClass(bytes); got != want {
			t.Errorf("%d bytes: %s, want %s", bytes, got, want)
		}
	}
}
