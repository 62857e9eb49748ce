package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/client"
)

// stepRetry is how long a worker waits after a step that failed for no reason of the pod's.
const stepRetry = time.Second

// worker carries one pod's decisions out. Its goroutine alone uses what is below mu's fields.
type worker struct {
	agent *Agent
	token chan struct{} // holds one when there is something to look at

	mu   sync.Mutex  // guards the next two
	pod  *corev1.Pod // newest seen; shared, read only
	gone bool        // no longer in the API

	tries        map[string]try
	sandboxError try
	stops        map[string]*stopping // by container id, while it is being stopped
	stopped      sync.WaitGroup
	told         map[string]time.Time // the end of a container for which a back-off event was told
	mine         *corev1.Pod          // as the last write left it; nil before the first
}

// stopping is a stop under way; a shorter grace begins a second one beside it.
type stopping struct {
	grace int64
}

func newWorker(a *Agent, pod *corev1.Pod) *worker {
	return &worker{
		agent: a, pod: pod, token: make(chan struct{}, 1), tries: map[string]try{}, stops: map[string]*stopping{}, told: map[string]time.Time{},
	}
}

// set takes the pod's newest state.
func (w *worker) set(pod *corev1.Pod, gone bool) {
	w.mu.Lock()
	w.pod, w.gone = pod, w.gone || gone
	w.mu.Unlock()
	w.poke()
}

func (w *worker) poke() {
	select {
	case w.token <- struct{}{}:
	default:
	}
}

func (w *worker) wanted() (*corev1.Pod, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod, w.gone
}

// run works until ctx ends or nothing of the pod is left.
func (w *worker) run(ctx context.Context) {
	defer w.stopped.Wait()
	for {
		again, done, err := w.pass(ctx)
		if done || ctx.Err() != nil {
			return
		}
		if err != nil {
			pod, _ := w.wanted()
			w.agent.Log.Warn("a step of a pod failed and is tried again", "pod", pod.Namespace+"/"+pod.Name, "again", stepRetry, "err", err)
			again = w.agent.Clock.Now().Add(stepRetry)
		}
		if !w.wait(ctx, again) {
			return
		}
	}
}

// wait returns when there is something to look at: a token, or the time again; the zero time waits for a token alone.
func (w *worker) wait(ctx context.Context, again time.Time) bool {
	var due <-chan time.Time
	if !again.IsZero() {
		timer := w.agent.Clock.NewTimer(again.Sub(w.agent.Clock.Now()))
		defer timer.Stop()
		due = timer.C()
	}
	select {
	case <-ctx.Done():
		return false
	case <-w.token:
	case <-due:
	}
	return true
}

// newer returns the later state of one pod: that of the last write is often not seen yet.
func newer(seen, mine *corev1.Pod) *corev1.Pod {
	if mine == nil {
		return seen
	}
	a, errA := strconv.ParseUint(seen.ResourceVersion, 10, 64)
	b, errB := strconv.ParseUint(mine.ResourceVersion, 10, 64)
	if errA != nil || errB != nil || a >= b {
		return seen
	}
	return mine
}

// pass decides once and carries that out. done says that nothing of the pod is left.
func (w *worker) pass(ctx context.Context) (again time.Time, done bool, err error) {
	pod, gone := w.wanted()
	obs, err := w.agent.observe(ctx, pod.UID)
	if err != nil {
		return again, false, err
	}
	if !gone {
		pod = newer(pod, w.mine)
	}
	if gone {
		if pod = pod.DeepCopy(); pod.DeletionTimestamp == nil {
			now := metav1.NewTime(w.agent.Clock.Now())
			pod.DeletionTimestamp = &now
		}
	}
	in := input{pod: pod, obs: obs, tries: w.tries, sandboxError: w.sandboxError, now: w.agent.Clock.Now(), hostIPs: w.agent.hostIPs(), appArmor: w.agent.appArmor}
	p := decide(in)
	for name, t := range p.tries {
		w.tries[name] = t
	}
	var writing sync.WaitGroup
	var writeErr error
	if !gone {
		writing.Go(func() { writeErr = w.write(ctx, pod, &p.status) })
	}
	w.tellBackOff(in, p.backOff)
	progress, deleted, err := w.carryOut(ctx, in, p.actions)
	writing.Wait()
	switch {
	case deleted:
		return again, true, nil
	case progress && err == nil:
		w.poke()
	}
	return p.again, false, errors.Join(err, writeErr)
}

// carryOut runs the actions. progress says that the pod should be looked at again at once.
func (w *worker) carryOut(ctx context.Context, in input, actions []action) (progress, deleted bool, err error) {
	var errs []error
	for _, act := range actions {
		switch act.do {
		case stop:
			w.stop(ctx, in, act)
			continue
		case deletePod:
			err := w.finish(ctx, in.pod)
			return false, err == nil, err
		case makeSandbox:
			err = w.makeSandbox(ctx, in, act)
		case stopSandbox:
			_, err = w.agent.Runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: act.id})
		case removeSandbox:
			_, err = w.agent.Runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: act.id})
		case remove:
			err = w.remove(ctx, in, act)
		case begin:
			err = w.begin(ctx, in, act)
		case resume:
			err = w.start(ctx, in, act)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", act.do, act.name, err))
		}
		progress = true
	}
	return progress, false, errors.Join(errs...)
}

// stop begins to stop a container and goes on; the runtime's event tells of its end. A stop that is under way is hurried when the grace became shorter.
func (w *worker) stop(ctx context.Context, in input, act action) {
	if s := w.stops[act.id]; s != nil {
		if act.grace >= s.grace {
			return
		}
		s.grace = act.grace
	} else {
		w.stops[act.id] = &stopping{grace: act.grace}
		w.agent.tell(in.pod, containerPath(in.pod, act.name), corev1.EventTypeNormal, "Killing", act.why)
	}
	w.stopped.Go(func() {
		_, err := w.agent.Runtime.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: act.id, Timeout: act.grace})
		if err != nil && ctx.Err() == nil {
			w.agent.Log.Warn("a container could not be stopped", "container", act.id, "err", err)
		}
		w.poke()
	})
}

// remove removes an attempt at a container, and its log and message with it.
func (w *worker) remove(ctx context.Context, in input, act action) error {
	if _, err := w.agent.Runtime.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: act.id}); err != nil {
		return err
	}
	attempt := strconv.FormatUint(uint64(act.attempt), 10)
	log := filepath.Join(w.agent.logDir(in.pod), act.name, attempt+".log")
	files, err := filepath.Glob(log + ".*") // rotated ones
	for _, file := range append(files, log, filepath.Join(w.agent.podDir(in.pod), "containers", act.name, attempt)) {
		if e := os.Remove(file); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// finish removes the last traces, then the pod itself from the API.
func (w *worker) finish(ctx context.Context, pod *corev1.Pod) error {
	for _, dir := range []string{w.agent.podDir(pod), w.agent.logDir(pod)} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if _, gone := w.wanted(); gone {
		return nil
	}
	none, uid := int64(0), pod.UID
	_, err := w.agent.Client.Delete(client.WithCause(ctx, "node "+w.agent.Name+": pod has ended"), pods(), pod.Namespace, pod.Name,
		metav1.DeleteOptions{GracePeriodSeconds: &none, Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (w *worker) makeSandbox(ctx context.Context, in input, act action) error {
	config, err := w.agent.sandboxConfig(ctx, in.pod, act.attempt)
	handler := ""
	if err == nil {
		handler, err = w.agent.handlerOf(ctx, in.pod)
	}
	if err == nil {
		_, err = w.agent.Runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: handler})
	}
	if err == nil {
		w.sandboxError = try{}
		return nil
	}
	w.sandboxError = w.sandboxError.failed(w.agent.Clock.Now(), "FailedCreatePodSandBox", err.Error())
	w.agent.tell(in.pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+err.Error())
	return err
}

// begin finds the image, creates the container and starts it. What fails is remembered, and shown by the container's status.
func (w *worker) begin(ctx context.Context, in input, act action) error {
	spec := containerNamed(in.pod, act.name)
	path := containerPath(in.pod, act.name)
	fail := func(reason, message, event string) error {
		now := w.agent.Clock.Now()
		w.tries[act.name] = w.tries[act.name].failed(now, reason, message)
		w.agent.tell(in.pod, path, corev1.EventTypeWarning, "Failed", event)
		return nil
	}
	if t := w.tries[act.name]; t.reason != "" { // it is tried again now
		t.reason, t.message, t.until = "", "", time.Time{}
		w.tries[act.name] = t
	}
	image, refused := w.agent.image(ctx, spec)
	if refused != nil {
		reason := refused.reason
		if reason == reasonPull && w.tries[act.name].delay > 0 {
			reason = reasonPullBackOff
		}
		w.agent.tell(in.pod, path, corev1.EventTypeWarning, refused.toldReason, refused.toldOf)
		return fail(reason, refused.message, "Error: "+reason)
	}
	w.agent.tell(in.pod, path, corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", spec.Image))
	config, err := w.agent.containerConfig(ctx, in, spec, act.attempt, image)
	if err != nil {
		return fail("CreateContainerConfigError", err.Error(), "Error: "+err.Error())
	}
	box, err := w.agent.sandboxConfig(ctx, in.pod, in.obs.sandboxes[0].attempt)
	if err != nil {
		return fail("CreateContainerConfigError", err.Error(), "Error: "+err.Error())
	}
	made, err := w.agent.Runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: act.id, Config: config, SandboxConfig: box})
	if err != nil {
		return fail("CreateContainerError", said(err), "Error: "+said(err))
	}
	w.agent.tell(in.pod, path, corev1.EventTypeNormal, "Created", "Container created")
	return w.start(ctx, in, action{do: resume, id: made.ContainerId, name: act.name, attempt: act.attempt})
}

// said is what the runtime said, without the code that gRPC puts before it.
func said(err error) string { return status.Convert(err).Message() }

func (w *worker) start(ctx context.Context, in input, act action) error {
	path := containerPath(in.pod, act.name)
	if _, err := w.agent.Runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: act.id}); err != nil {
		if ctx.Err() != nil {
			return err
		}
		w.tries[act.name] = w.tries[act.name].failed(w.agent.Clock.Now(), "RunContainerError", said(err))
		w.agent.tell(in.pod, path, corev1.EventTypeWarning, "Failed", "Error: "+said(err))
		return nil
	}
	w.agent.tell(in.pod, path, corev1.EventTypeNormal, "Started", "Container started")
	return nil
}

// tellBackOff tells once for each end of a container that its restart is being delayed.
func (w *worker) tellBackOff(in input, names []string) {
	for _, name := range names {
		last, _ := in.obs.newest(name)
		if w.told[name].Equal(last.finished) {
			continue
		}
		w.told[name] = last.finished
		w.agent.tell(in.pod, containerPath(in.pod, name), corev1.EventTypeWarning, "BackOff",
			fmt.Sprintf("Back-off restarting failed container %s in pod %s", name, fullName(in.pod)))
	}
}

// write writes the status when it says something new. It rests on the state that was decided on: when the pod has changed since, nothing of that
// is overwritten, and it is decided on again when the change arrives.
func (w *worker) write(ctx context.Context, pod *corev1.Pod, status *corev1.PodStatus) error {
	if reflect.DeepEqual(&pod.Status, status) {
		return nil
	}
	next := pod.DeepCopy()
	next.Status = *status
	stored, err := w.agent.Client.Update(client.WithCause(ctx, "node "+w.agent.Name), pods(), next, "status")
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err), ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("writing the status: %w", err)
	}
	w.mine, _ = stored.(*corev1.Pod)
	if status.Reason != pod.Status.Reason {
		switch status.Reason {
		case reasonUnsupported:
			w.agent.tell(pod, "", corev1.EventTypeWarning, status.Reason, status.Message)
		case reasonAppArmor:
			w.agent.tell(pod, "", corev1.EventTypeWarning, status.Reason, strings.TrimPrefix(status.Message, rejected))
		}
	}
	return nil
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for _, c := range containersOf(pod) {
		if c.Name == name {
			return c
		}
	}
	panic(fmt.Sprintf("pod %s/%s has no container %s, of which the decision speaks", pod.Namespace, pod.Name, name))
}

// containerPath is how events name the container that they are about.
func containerPath(pod *corev1.Pod, name string) string {
	if isInit(pod, name) {
		return "spec.initContainers{" + name + "}"
	}
	return "spec.containers{" + name + "}"
}

// podDir holds a pod's volumes and messages.
func (a *Agent) podDir(pod *corev1.Pod) string {
	return filepath.Join(a.RootDir, "pods", string(pod.UID))
}

// logDir holds the logs of a pod's containers, under the name that log collectors expect.
func (a *Agent) logDir(pod *corev1.Pod) string {
	return filepath.Join(a.LogDir, strings.Join([]string{pod.Namespace, pod.Name, string(pod.UID)}, "_"))
}

func (a *Agent) hostIPs() []string {
	var out []string
	for _, ip := range a.Addresses {
		if !ip.IsLoopback() || len(a.Addresses) == 1 {
			out = append(out, ip.String())
		}
	}
	if len(out) == 0 {
		return []string{a.Addresses[0].String()}
	}
	return out[:1]
}
