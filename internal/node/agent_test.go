package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/observe"
)

// fakeRuntime keeps what it is told in memory. At its n-th call that changes something it runs crash, before (or, when late is set, after) the call has
// had its effect, and every call from then on fails until it is revived.
type fakeRuntime struct {
	mu         sync.Mutex
	sandboxes  map[string]*runtimeapi.PodSandbox
	containers map[string]*runtimeapi.ContainerStatus
	owner      map[string]string // container → sandbox
	ids        int
	calls      int
	crashAt    int
	late       bool
	dead       bool
	crash      func()
	subs       map[*fakeSubscription]bool
	asked      []*runtimeapi.RunPodSandboxRequest
	emptied    chan struct{} // closed when the last sandbox has been removed
}

type fakeSubscription struct {
	r      *fakeRuntime
	events chan *runtimeapi.ContainerEventResponse
}

var _ Runtime = (*fakeRuntime)(nil)

var errCrashed = errors.New("the runtime's caller has crashed")

func newFakeRuntime() *fakeRuntime {
	return &fakeRuntime{
		sandboxes: map[string]*runtimeapi.PodSandbox{}, containers: map[string]*runtimeapi.ContainerStatus{}, owner: map[string]string{}, subs: map[*fakeSubscription]bool{},
		emptied: make(chan struct{}),
	}
}

// change runs one call that changes something.
func (r *fakeRuntime) change(f func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return errCrashed
	}
	r.calls++
	if r.calls == r.crashAt {
		r.dead = true
		r.crash()
		if !r.late {
			return errCrashed
		}
	}
	err := f()
	if r.dead {
		return errCrashed
	}
	return err
}

func (r *fakeRuntime) id() string {
	r.ids++
	return strconv.Itoa(r.ids)
}

// tellLocked sends an event of a sandbox's pod.
func (r *fakeRuntime) tellLocked(sandbox string) {
	box := r.sandboxes[sandbox]
	if box == nil {
		return
	}
	for s := range r.subs {
		s.events <- &runtimeapi.ContainerEventResponse{PodSandboxStatus: &runtimeapi.PodSandboxStatus{Metadata: box.Metadata}}
	}
}

func (r *fakeRuntime) subscribe() Subscription {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &fakeSubscription{r, make(chan *runtimeapi.ContainerEventResponse, 1000)} // more than any test sends
	r.subs[s] = true
	return s
}

func (s *fakeSubscription) Next(ctx context.Context) (*runtimeapi.ContainerEventResponse, error) {
	select {
	case e := <-s.events:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *fakeSubscription) Close() {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	delete(s.r.subs, s)
}

func (r *fakeRuntime) RunPodSandbox(_ context.Context, req *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	var id string
	err := r.change(func() error {
		r.asked = append(r.asked, req)
		for _, s := range r.sandboxes {
			if s.Metadata.Uid == req.Config.Metadata.Uid && s.Metadata.Attempt == req.Config.Metadata.Attempt {
				return fmt.Errorf("sandbox %v exists", req.Config.Metadata)
			}
		}
		id = r.id()
		r.sandboxes[id] = &runtimeapi.PodSandbox{Id: id, Metadata: req.Config.Metadata, Labels: req.Config.Labels, State: runtimeapi.PodSandboxState_SANDBOX_READY}
		r.tellLocked(id)
		return nil
	})
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, err
}

func (r *fakeRuntime) StopPodSandbox(_ context.Context, req *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	return &runtimeapi.StopPodSandboxResponse{}, r.change(func() error {
		r.sandboxes[req.PodSandboxId].State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		return nil
	})
}

func (r *fakeRuntime) RemovePodSandbox(_ context.Context, req *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	return &runtimeapi.RemovePodSandboxResponse{}, r.change(func() error {
		for id, box := range r.owner {
			if box == req.PodSandboxId {
				delete(r.containers, id)
				delete(r.owner, id)
			}
		}
		delete(r.sandboxes, req.PodSandboxId)
		if len(r.sandboxes) == 0 {
			close(r.emptied)
		}
		return nil
	})
}

func (r *fakeRuntime) CreateContainer(_ context.Context, req *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	var id string
	err := r.change(func() error {
		for other, box := range r.owner {
			if m := r.containers[other].Metadata; box == req.PodSandboxId && m.Name == req.Config.Metadata.Name && m.Attempt == req.Config.Metadata.Attempt {
				return fmt.Errorf("container %v exists", m)
			}
		}
		id = r.id()
		r.owner[id] = req.PodSandboxId
		r.containers[id] = &runtimeapi.ContainerStatus{
			Id: id, Metadata: req.Config.Metadata, Labels: req.Config.Labels, Annotations: req.Config.Annotations, State: runtimeapi.ContainerState_CONTAINER_CREATED,
		}
		return nil
	})
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, err
}

func (r *fakeRuntime) StartContainer(_ context.Context, req *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	return &runtimeapi.StartContainerResponse{}, r.change(func() error {
		c := r.containers[req.ContainerId]
		if c.State != runtimeapi.ContainerState_CONTAINER_CREATED {
			return fmt.Errorf("container %s was started before", c.Id)
		}
		c.State, c.StartedAt = runtimeapi.ContainerState_CONTAINER_RUNNING, 1
		r.tellLocked(r.owner[c.Id])
		return nil
	})
}

func (r *fakeRuntime) StopContainer(_ context.Context, req *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	return &runtimeapi.StopContainerResponse{}, r.change(func() error {
		if c := r.containers[req.ContainerId]; c != nil {
			c.State, c.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, 2
			r.tellLocked(r.owner[c.Id])
		}
		return nil
	})
}

func (r *fakeRuntime) RemoveContainer(_ context.Context, req *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	return &runtimeapi.RemoveContainerResponse{}, r.change(func() error {
		delete(r.containers, req.ContainerId)
		delete(r.owner, req.ContainerId)
		return nil
	})
}

func (r *fakeRuntime) ReopenContainerLog(context.Context, *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	return &runtimeapi.ReopenContainerLogResponse{}, r.change(func() error { return nil })
}

func (r *fakeRuntime) ListPodSandbox(_ context.Context, req *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return nil, errCrashed
	}
	out := &runtimeapi.ListPodSandboxResponse{}
	for _, s := range r.sandboxes {
		if uid := req.GetFilter().GetLabelSelector()[labelPodUID]; uid == "" || uid == s.Labels[labelPodUID] {
			out.Items = append(out.Items, &runtimeapi.PodSandbox{Id: s.Id, Metadata: s.Metadata, Labels: s.Labels, State: s.State})
		}
	}
	return out, nil
}

func (r *fakeRuntime) PodSandboxStatus(_ context.Context, req *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	return &runtimeapi.PodSandboxStatusResponse{Status: &runtimeapi.PodSandboxStatus{Id: req.PodSandboxId, Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.0.0.1"}}}, nil
}

func (r *fakeRuntime) ListContainers(_ context.Context, req *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead {
		return nil, errCrashed
	}
	out := &runtimeapi.ListContainersResponse{}
	for _, c := range r.containers {
		if c.Labels[labelPodUID] == req.GetFilter().GetLabelSelector()[labelPodUID] {
			out.Containers = append(out.Containers, &runtimeapi.Container{Id: c.Id, PodSandboxId: r.owner[c.Id]})
		}
	}
	return out, nil
}

func (r *fakeRuntime) ContainerStatus(_ context.Context, req *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[req.ContainerId]
	if c == nil || r.dead {
		return nil, errCrashed
	}
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{
		Id: c.Id, Metadata: c.Metadata, State: c.State, StartedAt: c.StartedAt, FinishedAt: c.FinishedAt, Annotations: c.Annotations,
	}}, nil
}

func (r *fakeRuntime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "fake", RuntimeVersion: "1"}, nil
}

func (r *fakeRuntime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	features := &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true, UserNamespaces: true}
	return &runtimeapi.StatusResponse{RuntimeHandlers: []*runtimeapi.RuntimeHandler{{Features: features}, {Name: "plain", Features: &runtimeapi.RuntimeHandlerFeatures{}}}}, nil
}

func (r *fakeRuntime) ImageStatus(context.Context, *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{Id: "sha256:x", Uid: &runtimeapi.Int64Value{}}}, nil
}

func (r *fakeRuntime) PullImage(context.Context, *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	return nil, errors.New("nothing is pulled")
}

// revive ends a crash: a new floe begins on what is there.
func (r *fakeRuntime) revive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead, r.crashAt = false, 0
}

// patience bounds waits of these tests; nothing in them takes long.
const patience = 20 * time.Second

// bed is a cluster of one node, whose agent can be started again and again.
type bed struct {
	t       *testing.T
	cluster *controllertest.Cluster
	runtime *fakeRuntime
	root    string
	stop    context.CancelFunc
	ended   chan error
}

func newBed(t *testing.T) *bed {
	b := &bed{t: t, cluster: controllertest.New(clock.RealClock{}), runtime: newFakeRuntime(), root: t.TempDir()}
	t.Cleanup(b.end)
	return b
}

// agent is one that has not begun, on the bed's runtime and an API.
func (b *bed) agent(api client.Client) *Agent {
	b.t.Helper()
	agent, err := New(Config{
		Name: "one", Client: api, Runtime: b.runtime, Subscribe: b.runtime.subscribe, Clock: clock.RealClock{}, Rand: rand.New(rand.NewSource(1)), Log: observe.Discard(),
		RootDir: b.root + "/kubelet", LogDir: b.root + "/logs", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, PodCIDR: "10.0.0.0/24", KubernetesVersion: "v1.36.3",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return agent
}

func (b *bed) start() {
	b.t.Helper()
	agent := b.agent(b.cluster)
	ctx, stop := context.WithCancel(context.Background())
	b.stop, b.ended = stop, make(chan error, 1)
	b.runtime.crash = stop
	go func() { b.ended <- agent.Run(ctx) }()
}

func (b *bed) end() {
	if b.stop == nil {
		return
	}
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Errorf("the agent ended with %v", err)
	}
	b.stop = nil
}

// until follows the pod until check is content with it; nil stands for a pod that is gone.
func (b *bed) until(what string, check func(*corev1.Pod) bool) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	view, err := b.cluster.View(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	stream, err := b.cluster.Watch(ctx, pods(), view.Revision(), "", "")
	if err != nil {
		b.t.Fatal(err)
	}
	pod, _ := view.Get(pods(), "default", "web").(*corev1.Pod)
	for !check(pod) {
		change, err := stream.Next(ctx)
		if err != nil {
			b.t.Fatalf("%s: %v; the pod is %+v", what, err, pod)
		}
		pod, _ = change.New.(*corev1.Pod)
	}
}

func (b *bed) createPod() {
	b.t.Helper()
	b.createPodWith(func(*corev1.PodSpec) {})
}

func (b *bed) createPodWith(change func(*corev1.PodSpec)) {
	b.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", Finalizers: []string{"test/node"}},
		Spec:       corev1.PodSpec{NodeName: "one", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	change(&pod.Spec)
	core.Pod().Default(pod)
	if _, err := b.cluster.Create(context.Background(), pods(), pod, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

func isRunning(pod *corev1.Pod) bool {
	return pod != nil && pod.Status.Phase == corev1.PodRunning && pod.Status.ContainerStatuses[0].Ready
}

// deletePod asks for the pod's end. A finalizer stands for the grace period, which this API in memory does not know.
func (b *bed) deletePod() {
	b.t.Helper()
	_, err := b.cluster.Delete(context.Background(), pods(), "default", "web", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		b.t.Fatal(err)
	}
}

// TestCrashAtEveryStep ends floe before and after each call that changes something, while a pod begins; the next floe goes on from there.
func TestCrashAtEveryStep(t *testing.T) {
	for _, late := range []bool{false, true} {
		for n := 1; n <= 3; n++ {
			t.Run(fmt.Sprintf("call %d, late %v", n, late), func(t *testing.T) {
				b := newBed(t)
				b.runtime.crashAt, b.runtime.late = n, late
				b.createPod()
				b.start()
				select {
				case err := <-b.ended:
					if err != nil {
						t.Fatal(err)
					}
				case <-time.After(patience):
					t.Fatal("the crash did not come")
				}
				b.stop = nil
				b.runtime.revive()
				b.start()
				b.until("the pod runs", isRunning)
				b.runtime.mu.Lock()
				defer b.runtime.mu.Unlock()
				running := 0
				for _, c := range b.runtime.containers {
					if c.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
						running++
					}
				}
				if running != 1 || len(b.runtime.sandboxes) != 1 {
					t.Errorf("%d containers run in %d sandboxes, want one in one", running, len(b.runtime.sandboxes))
				}
			})
		}
	}
}

// TestARestartEndsNothing starts the agent again beside a running container.
func TestARestartEndsNothing(t *testing.T) {
	b := newBed(t)
	b.createPod()
	b.start()
	b.until("the pod runs", isRunning)
	b.end()
	calls := b.runtime.calls
	b.start()
	b.until("the pod runs", isRunning)
	b.deletePod()
	select {
	case <-b.runtime.emptied:
	case <-time.After(patience):
		t.Fatal("the sandbox of a deleted pod is still there")
	}
	b.runtime.mu.Lock()
	defer b.runtime.mu.Unlock()
	if made := b.runtime.calls - calls; made > 4 { // stop, stop sandbox, remove sandbox, and one repeat at the most
		t.Errorf("%d calls changed something after the restart, want those of the deletion only", made)
	}
}

// TestWhatTheAPIForgotIsCleared starts on sandboxes whose pods are gone.
func TestWhatTheAPIForgotIsCleared(t *testing.T) {
	b := newBed(t)
	meta := &runtimeapi.PodSandboxMetadata{Name: "old", Namespace: "default", Uid: "gone"}
	_, err := b.runtime.RunPodSandbox(context.Background(), &runtimeapi.RunPodSandboxRequest{Config: &runtimeapi.PodSandboxConfig{Metadata: meta, Labels: map[string]string{labelPodUID: "gone"}}})
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	select {
	case <-b.runtime.emptied:
	case <-time.After(patience):
		t.Fatal("the sandbox of a pod that is gone is still there")
	}
}

// TestNodeRegisters looks at the Node and its lease.
func TestNodeRegisters(t *testing.T) {
	b := newBed(t)
	b.createPod()
	b.start()
	b.until("the pod runs", isRunning)
	obj, err := b.cluster.Get(context.Background(), nodes(), "", "one")
	if err != nil {
		t.Fatal(err)
	}
	node := obj.(*corev1.Node)
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	if !ready || node.Labels[corev1.LabelHostname] != "one" || node.Spec.PodCIDR != "10.0.0.0/24" || node.Status.Capacity.Cpu().IsZero() {
		t.Errorf("the node is %+v", node)
	}
}
