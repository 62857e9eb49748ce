package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/image"
)

// How many pods are made one after the other, and how many at once. The first of all count too little to be counted: caches fill.
const (
	warm   = 3
	single = 30
	atOnce = 100
)

// bench is a client of one runtime.
type bench struct {
	runtime runtimeapi.RuntimeServiceClient
	logs    string
}

// measure takes the figures of the runtime at socket.
func measure(ctx context.Context, socket string) (figures, error) {
	conn, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return figures{}, err
	}
	defer conn.Close()
	logs, err := os.MkdirTemp("", "floe-cri-logs-")
	if err != nil {
		return figures{}, err
	}
	defer os.RemoveAll(logs)
	b := &bench{runtime: runtimeapi.NewRuntimeServiceClient(conn), logs: logs}
	version, err := b.runtime.Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return figures{}, err
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return figures{}, err
	}
	f := figures{Runtime: version.RuntimeName + " " + version.RuntimeVersion, Load: strings.Fields(string(load))[0]}
	var made, stopped []float64
	for i := range warm + single {
		took, stop, err := b.one(ctx, fmt.Sprint("one-", i))
		if err != nil {
			return f, err
		}
		if i >= warm {
			made, stopped = append(made, took), append(stopped, stop)
		}
	}
	slices.Sort(made)
	slices.Sort(stopped)
	f.PodP50, f.PodP99, f.StopP50 = made[len(made)/2], made[len(made)*99/100], stopped[len(stopped)/2]
	f.PerSecond, err = b.many(ctx)
	return f, err
}

func since(begin time.Time) float64 { return float64(time.Since(begin).Microseconds()) / 1000 }

// one makes a pod, kills its container and removes it, and returns how long the first two took.
func (b *bench) one(ctx context.Context, name string) (made, stopped float64, err error) {
	begin := time.Now()
	pod, id, err := b.begin(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	made = since(begin)
	begin = time.Now()
	if _, err := b.runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
		return 0, 0, err
	}
	return made, since(begin), b.remove(ctx, pod)
}

// many makes pods at once and returns how many began by the second.
func (b *bench) many(ctx context.Context) (float64, error) {
	pods := make([]string, atOnce)
	begin := time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for i := range pods {
		g.Go(func() (err error) {
			pods[i], _, err = b.begin(gctx, fmt.Sprint("many-", i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	rate := atOnce / time.Since(begin).Seconds()
	for _, pod := range pods {
		if err := b.remove(ctx, pod); err != nil {
			return 0, err
		}
	}
	return rate, nil
}

// begin makes a sandbox and a container in it, and starts that.
func (b *bench) begin(ctx context.Context, name string) (pod, id string, err error) {
	config := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: name, Namespace: "default", Uid: "uid-" + name}, Hostname: name, LogDirectory: filepath.Join(b.logs, name),
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER}}},
	}
	if err := os.MkdirAll(config.LogDirectory, 0o755); err != nil {
		return "", "", err
	}
	box, err := b.runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		return "", "", err
	}
	made, err := b.runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: box.PodSandboxId, SandboxConfig: config, Config: &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "main"}, Image: &runtimeapi.ImageSpec{Image: image.SelfName}, Args: []string{"sleep", "forever"}, LogPath: "0.log",
		Linux: &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_CONTAINER},
			Seccomp:          &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault},
		}},
	}})
	if err != nil {
		return "", "", err
	}
	_, err = b.runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: made.ContainerId})
	return box.PodSandboxId, made.ContainerId, err
}

func (b *bench) remove(ctx context.Context, pod string) error {
	if _, err := b.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod}); err != nil {
		return err
	}
	_, err := b.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod})
	return err
}
