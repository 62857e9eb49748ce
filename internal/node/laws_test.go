package node

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// plainAgent is an agent that has not begun, on a fake runtime and an API in memory.
func plainAgent(t *testing.T) (*Agent, *fakeRuntime, *controllertest.Cluster) {
	t.Helper()
	b := newBed(t)
	return b.agent(b.cluster), b.runtime, b.cluster
}

func plainPod() *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", UID: "u", Generation: 1},
		Spec:       corev1.PodSpec{NodeName: "one", Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	core.Pod().Default(pod)
	return pod
}

// TestAPodCannotTakeAnothersName gives a pod labels by which the agent finds what is another pod's.
func TestAPodCannotTakeAnothersName(t *testing.T) {
	a, _, _ := plainAgent(t)
	pod := plainPod()
	pod.Labels = map[string]string{labelPodUID: "victim", labelPodName: "victim", labelPodNamespace: "kube-system", "app": "web"}
	config, err := a.sandboxConfig(context.Background(), pod, 0)
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]string{labelPodUID: "u", labelPodName: "web", labelPodNamespace: "default", "app": "web"} {
		if got := config.Labels[label]; got != want {
			t.Errorf("the sandbox's label %s is %q, want %q", label, got, want)
		}
	}
}

// TestPreviousOfACrashLoop: while a container waits to be started again, its last attempt is the previous one.
func TestPreviousOfACrashLoop(t *testing.T) {
	a, r, _ := plainAgent(t)
	pod := plainPod()
	for id, attempt := range map[string]uint32{"a": 0, "b": 1} {
		r.owner[id] = "s"
		r.containers[id] = &runtimeapi.ContainerStatus{
			Id: id, Metadata: &runtimeapi.ContainerMetadata{Name: "c", Attempt: attempt}, Labels: a.labels(pod), State: runtimeapi.ContainerState_CONTAINER_EXITED, ExitCode: 1,
		}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reasonCrashLoop}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: runtimeScheme + "b"}},
	}}
	got, err := a.logOf(httptest.NewRequest("GET", "/", nil), pod, "c", true)
	if err != nil || got.id != "b" {
		t.Errorf("the previous attempt is %+v, %v; want the last one, b", got, err)
	}
}

// TestADeletedPodEnds: after its containers have ended, a deleted pod has a final phase, for whoever waits with a finalizer.
func TestADeletedPodEnds(t *testing.T) {
	for code, want := range map[int32]corev1.PodPhase{0: corev1.PodSucceeded, 143: corev1.PodFailed} {
		pod := plainPod()
		pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(100, 0)}
		pod.Status.Phase = corev1.PodRunning
		in := input{pod: pod, tries: map[string]try{}, now: time.Unix(200, 0), obs: observation{
			sandboxes:  []sandbox{{id: "s"}},
			containers: []container{{id: "a", name: "c", sandbox: "s", state: exited, exitCode: code, finished: time.Unix(150, 0)}},
		}}
		p := decide(in)
		if p.status.Phase != want {
			t.Errorf("exit code %d: phase %s, want %s", code, p.status.Phase, want)
		}
		in.pod = pod.DeepCopy()
		in.pod.Status = p.status
		in.obs = observation{} // the sandbox has been removed
		if p = decide(in); p.status.Phase != want || p.status.ContainerStatuses[0].State.Terminated == nil {
			t.Errorf("exit code %d: when nothing is left, phase %s and %+v", code, p.status.Phase, p.status.ContainerStatuses[0].State)
		}
	}
}

// TestANewSandboxIsInitialized: what init containers did is lost with the sandbox, so they run again.
func TestANewSandboxIsInitialized(t *testing.T) {
	pod := plainPod()
	pod.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "i"}}
	core.Pod().Default(pod)
	in := input{pod: pod, tries: map[string]try{}, now: time.Unix(200, 0), obs: observation{
		sandboxes: []sandbox{{id: "new", attempt: 1, ready: true}, {id: "old"}},
		containers: []container{
			{id: "a", name: "c", sandbox: "old", state: exited, exitCode: 255, finished: time.Unix(150, 0), hash: hashOf(&pod.Spec.Containers[0])},
			{id: "b", name: "i", sandbox: "old", state: exited, finished: time.Unix(100, 0), hash: hashOf(&pod.Spec.InitContainers[0])},
		},
	}}
	p := decide(in)
	if len(p.actions) != 1 || p.actions[0].do != begin || p.actions[0].name != "i" || p.actions[0].attempt != 1 {
		t.Errorf("the plan is %+v, want the init container's second attempt", p.actions)
	}
	// Once the containers have begun in the new sandbox, the init container is done, even if the runtime forgets it.
	in.obs.containers = []container{{id: "d", name: "c", sandbox: "new", attempt: 1, state: running, hash: hashOf(&pod.Spec.Containers[0])}}
	if p = decide(in); len(p.actions) != 0 {
		t.Errorf("the plan is %+v, want none", p.actions)
	}
}

// TestWhatOthersSayStays: a condition that somebody else set is not lost to a status that was decided on before it was seen.
func TestWhatOthersSayStays(t *testing.T) {
	a, _, cluster := plainAgent(t)
	made, err := cluster.Create(t.Context(), pods(), plainPod(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := made.(*corev1.Pod)
	theirs := seen.DeepCopy()
	theirs.Status.Conditions = append(theirs.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue})
	if _, err := cluster.Update(t.Context(), pods(), theirs, "status"); err != nil {
		t.Fatal(err)
	}
	w := newWorker(a, seen)
	if err := w.write(t.Context(), seen, &corev1.PodStatus{Phase: corev1.PodRunning}); err != nil {
		t.Fatal(err)
	}
	now, err := cluster.Get(t.Context(), pods(), "default", "web")
	if err != nil {
		t.Fatal(err)
	}
	if find(now.(*corev1.Pod).Status.Conditions, corev1.DisruptionTarget) == nil {
		t.Error("the condition DisruptionTarget was overwritten")
	}
}

// TestAStatusIsRepaired: when somebody overwrites what the agent said, the agent says it again.
func TestAStatusIsRepaired(t *testing.T) {
	b := newBed(t)
	b.createPod()
	b.start()
	b.until("the pod runs", isRunning)
	obj, err := b.cluster.Get(t.Context(), pods(), "default", "web")
	if err != nil {
		t.Fatal(err)
	}
	broken := obj.(*corev1.Pod).DeepCopy()
	broken.ResourceVersion, broken.Status.Phase, broken.Status.ContainerStatuses = "", corev1.PodPending, nil
	if _, err := b.cluster.Update(t.Context(), pods(), broken, "status"); err != nil {
		t.Fatal(err)
	}
	b.until("the status is written again", isRepaired)
}

func isRepaired(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodRunning && len(pod.Status.ContainerStatuses) == 1
}

// TestRemovedAttemptsLeaveNoFiles: the log and the message of an attempt go with its container.
func TestRemovedAttemptsLeaveNoFiles(t *testing.T) {
	a, r, _ := plainAgent(t)
	pod := plainPod()
	log, kept := filepath.Join(a.logDir(pod), "c", "1.log"), filepath.Join(a.logDir(pod), "c", "10.log")
	message := filepath.Join(a.podDir(pod), "containers", "c", "1")
	for _, file := range []string{log, log + ".20260102-150405", message, kept} {
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := input{pod: pod, tries: map[string]try{}, now: time.Unix(200, 0), obs: observation{sandboxes: []sandbox{{id: "s", ready: true}}}}
	for attempt := uint32(3); attempt > 0; attempt-- {
		id := string(rune('a' + attempt))
		r.owner[id] = "s"
		in.obs.containers = append(in.obs.containers, container{id: id, name: "c", sandbox: "s", attempt: attempt, state: exited})
	}
	in.obs.containers[0].state, in.obs.containers[0].hash = running, hashOf(&pod.Spec.Containers[0])
	if _, _, err := newWorker(a, pod).carryOut(t.Context(), in, decide(in).actions); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{log, log + ".20260102-150405", message} {
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s is still there", file)
		}
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("another attempt's log: %v", err)
	}
}

// gapped is an API whose first watch of pods breaks off when gap is closed, without what happened since. again is closed when a second one
// has come so far as to wait for changes.
type gapped struct {
	client.Client
	gap, again chan struct{}
	streams    atomic.Int32
}

type gappedStream struct {
	client.Stream
	of    *gapped
	first bool
}

func (g *gapped) Watch(ctx context.Context, res client.Resource, after uint64, index, value string) (client.Stream, error) {
	s, err := g.Client.Watch(ctx, res, after, index, value)
	return &gappedStream{s, g, g.streams.Add(1) == 1}, err
}

func (s *gappedStream) Next(ctx context.Context) (client.Change, error) {
	if !s.first {
		close(s.of.again)
		<-ctx.Done()
		return client.Change{}, ctx.Err()
	}
	<-s.of.gap
	return client.Change{}, apierrors.NewResourceExpired("too old")
}

// TestWhatWentInAGapIsGone: a pod that was deleted while nobody watched is given up, also when it has no sandbox.
func TestWhatWentInAGapIsGone(t *testing.T) {
	b := newBed(t)
	pod := plainPod()
	pod.Spec.HostPID = true // refused: nothing of it is in the runtime
	if _, err := b.cluster.Create(t.Context(), pods(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g := &gapped{Client: b.cluster, gap: make(chan struct{}), again: make(chan struct{})}
	a := b.agent(g)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	b.until("the pod is refused", func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodFailed })
	a.mu.Lock()
	w := a.workers["u"]
	a.mu.Unlock()
	if _, err := b.cluster.Delete(t.Context(), pods(), "default", "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	close(g.gap)
	<-g.again
	if _, gone := w.wanted(); !gone {
		t.Error("the worker of a pod that is gone still wants it to run")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
