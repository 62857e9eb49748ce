package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
)

// Config is what an Agent is made from; all fields are needed.
type Config struct {
	Name              string // of the Node
	Client            client.Client
	Runtime           Runtime
	Subscribe         func() Subscription
	Clock             clock.WithTicker
	Rand              *rand.Rand // used by Run alone
	Log               *slog.Logger
	RootDir           string       // the pods' files
	LogDir            string       // the containers' logs
	Addresses         []netip.Addr // the node's own, the first one first
	PodCIDR           string
	Port              int    // of the agent's own API
	KubernetesVersion string // "v1.36.3"
}

const (
	retryFirst = 50 * time.Millisecond
	retryMost  = 10 * time.Second
	eventQueue = 1024 // events that wait to be written; more are dropped with a line in the log
)

// Agent runs this machine's pods. Its exported methods are safe for concurrent use.
type Agent struct {
	Config
	recorder *record.Recorder
	events   chan record.Event
	ranges   *idRanges
	appArmor bool // this machine enforces it

	mu      sync.Mutex // guards workers
	workers map[types.UID]*worker
}

// New returns an agent that has not begun.
func New(cfg Config) (*Agent, error) {
	if len(cfg.Addresses) == 0 {
		return nil, errors.New("node agent: this machine has no address to be reached at")
	}
	return &Agent{
		Config: cfg, recorder: record.New(cfg.Client, cfg.Clock, cfg.Log, "kubelet"), events: make(chan record.Event, eventQueue), workers: map[types.UID]*worker{},
		ranges: &idRanges{dir: filepath.Join(cfg.RootDir, "pods")}, appArmor: hostHasAppArmor(),
	}, nil
}

func pods() client.Resource { return corev1.SchemeGroupVersion.WithResource("pods") }

// Run registers the node, runs its pods and reports until ctx ends. Containers run on.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.retry(ctx, "registering the node", a.register); err != nil {
		return ignoreEnd(ctx, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.writeEvents(ctx) })
	g.Go(func() error { return a.heartbeat(ctx) })
	g.Go(func() error { return a.renewLease(ctx) })
	g.Go(func() error { return a.rotateLogs(ctx) })
	g.Go(func() error { return a.followRuntime(ctx) })
	g.Go(func() error { return a.followPods(ctx) })
	return ignoreEnd(ctx, g.Wait())
}

// ignoreEnd makes the end of ctx no error.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// retry tries f until it succeeds or ctx ends, and says what is being waited for.
func (a *Agent) retry(ctx context.Context, what string, f func(context.Context) error) error {
	for delay := retryFirst; ; delay = min(2*delay, retryMost) {
		err := f(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		a.Log.Warn("waiting", "for", what, "again", delay, "err", err)
		if err := a.sleep(ctx, delay); err != nil {
			return err
		}
	}
}

func (a *Agent) sleep(ctx context.Context, d time.Duration) error {
	timer := a.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C():
		return nil
	}
}

// followPods keeps a worker for every pod that is bound to this node, or still has something here, until ctx ends.
func (a *Agent) followPods(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		err := a.followOnce(ctx, &all)
		if ctx.Err() == nil && !client.IsExpired(err) {
			a.Log.Warn("the list of pods is read anew", "err", err)
			_ = a.sleep(ctx, retryFirst)
		}
	}
	return ctx.Err()
}

// followOnce lists the pods, clears up after those that are gone, and follows changes until that fails.
func (a *Agent) followOnce(ctx context.Context, all *sync.WaitGroup) error {
	view, err := a.Client.View(ctx)
	if err != nil {
		return err
	}
	stream, err := a.Client.Watch(ctx, pods(), view.Revision(), "spec.nodeName", a.Name)
	if err != nil {
		return err
	}
	here := map[types.UID]bool{}
	for obj := range view.Lookup(pods(), "spec.nodeName", a.Name) {
		pod := obj.(*corev1.Pod)
		here[pod.UID] = true
		a.hand(ctx, all, pod, false)
	}
	if err := a.retry(ctx, "clearing up after pods that are gone", func(ctx context.Context) error { return a.clearUp(ctx, all, here) }); err != nil {
		return err
	}
	for {
		change, err := stream.Next(ctx)
		if err != nil {
			return err
		}
		pod, _ := change.New.(*corev1.Pod)
		if pod != nil && pod.Spec.NodeName == a.Name {
			a.hand(ctx, all, pod, false)
		} else if old, ok := change.Old.(*corev1.Pod); ok {
			a.hand(ctx, all, old, true)
		}
	}
}

// hand gives the newest state of a pod to its worker, and begins one when there is none. gone says that the API has the pod no longer, by whatever
// way: all that is here of it goes, too.
func (a *Agent) hand(ctx context.Context, all *sync.WaitGroup, pod *corev1.Pod, gone bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.workers[pod.UID]; w != nil {
		w.set(pod, gone)
		return
	}
	w := newWorker(a, pod)
	w.set(pod, gone) // before it begins: a pod that is gone must not be made again
	a.workers[pod.UID] = w
	all.Go(func() {
		w.run(ctx)
		a.forget(pod.UID, w)
	})
}

func (a *Agent) forget(uid types.UID, w *worker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.workers[uid] == w {
		delete(a.workers, uid)
	}
}

// clearUp ends what is in the runtime of pods that the API does not have here, and removes their directories.
func (a *Agent) clearUp(ctx context.Context, all *sync.WaitGroup, here map[types.UID]bool) error {
	list, err := a.Runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("listing sandboxes: %w", err)
	}
	a.giveUp(here)
	for _, s := range list.Items {
		if uid := types.UID(s.Metadata.GetUid()); !here[uid] {
			here[uid] = true
			gone := &corev1.Pod{}
			gone.Name, gone.Namespace, gone.UID = s.Metadata.GetName(), s.Metadata.GetNamespace(), uid
			a.hand(ctx, all, gone, true)
		}
	}
	entries, err := os.ReadDir(filepath.Join(a.RootDir, "pods"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !here[types.UID(e.Name())] {
			if err := os.RemoveAll(filepath.Join(a.RootDir, "pods", e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// giveUp tells workers of pods that went while nobody watched. They may have nothing in the runtime by which they would be found.
func (a *Agent) giveUp(here map[types.UID]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for uid, w := range a.workers {
		if !here[uid] {
			here[uid] = true
			pod, _ := w.wanted()
			w.set(pod, true)
		}
	}
}

// followRuntime wakes workers when something of theirs changed in the runtime.
func (a *Agent) followRuntime(ctx context.Context) error {
	for ctx.Err() == nil {
		s := a.Subscribe()
		a.wakeAll()
		for {
			e, err := s.Next(ctx)
			if err != nil {
				break
			}
			a.wake(types.UID(e.GetPodSandboxStatus().GetMetadata().GetUid()))
		}
		s.Close()
	}
	return ctx.Err()
}

func (a *Agent) wake(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.workers[uid]; w != nil {
		w.poke()
	}
}

func (a *Agent) wakeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.workers {
		w.poke()
	}
}

// writeEvents writes what workers have to tell, one after another, beside their work.
func (a *Agent) writeEvents(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-a.events:
			a.recorder.Record(ctx, e)
		}
	}
}

// tell queues an event about a pod, or about one of its containers.
func (a *Agent) tell(pod *corev1.Pod, containerPath, kind, reason, message string) {
	about := corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, FieldPath: containerPath,
	}
	select {
	case a.events <- record.Event{About: about, Type: kind, Reason: reason, Message: message}:
	default:
		a.Log.Warn("an event was dropped: too many wait to be written", "pod", pod.Namespace+"/"+pod.Name, "reason", reason)
	}
}
