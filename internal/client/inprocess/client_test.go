package inprocess_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/clienttest"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

var configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
}

func harness(t *testing.T) clienttest.Harness {
	cluster := apitest.New(t)
	return clienttest.Harness{
		Client: func(user string, groups ...string) client.Client {
			return inprocess.New(cluster.API, auth.User{Name: user, Groups: append(slices.Clone(groups), auth.Authenticated)})
		},
		Newest: func(t *testing.T, key string) (string, string) { return newest(t, cluster.Log, key) },
		Expire: func(t *testing.T) { expire(t, inprocess.New(cluster.API, apitest.Administrator())) },
	}
}

func TestContract(t *testing.T) { clienttest.Run(t, harness) }

// TestContractAllowsViewsThatLag: the suite, and so every component that keeps to the contract, takes views as old as the laws let them be.
func TestContractAllowsViewsThatLag(t *testing.T) {
	clienttest.Run(t, func(t *testing.T) clienttest.Harness {
		h := harness(t)
		now := h.Client
		h.Client = func(user string, groups ...string) client.Client { return &lagging{Client: now(user, groups...)} }
		return h
	})
}

// lagging is a client whose view moves only when one of its streams delivers a change or has expired.
type lagging struct {
	client.Client
	mu   sync.Mutex
	seen client.View // guarded by mu; nil before the first
}

type laggingStream struct {
	client.Stream
	of *lagging
}

func (l *lagging) View(ctx context.Context) (client.View, error) { return l.viewAt(ctx, 0) }

// viewAt looks again when what it has seen is older than rev.
func (l *lagging) viewAt(ctx context.Context, rev uint64) (client.View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen != nil && l.seen.Revision() >= rev {
		return l.seen, nil
	}
	view, err := l.Client.View(ctx)
	if err == nil {
		l.seen = view
	}
	return view, err
}

func (l *lagging) Watch(ctx context.Context, res client.Resource, after uint64, index, value string) (client.Stream, error) {
	view, err := l.View(ctx)
	if err != nil {
		return nil, err
	}
	if after > view.Revision() {
		return nil, fmt.Errorf("watch after %d, seen %d", after, view.Revision())
	}
	s, err := l.Client.Watch(ctx, res, after, index, value)
	return laggingStream{s, l}, l.forget(err)
}

// forget drops the view that nothing can follow any more.
func (l *lagging) forget(err error) error {
	if client.IsExpired(err) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen = nil
	}
	return err
}

func (s laggingStream) Next(ctx context.Context) (client.Change, error) {
	c, err := s.Stream.Next(ctx)
	if err == nil {
		_, err = s.of.viewAt(ctx, c.Revision)
	}
	return c, s.of.forget(err)
}

// newest reads the log's own record.
func newest(t *testing.T, log store.History, key string) (actor, cause string) {
	t.Helper()
	var last *store.Record
	err := log.Versions(t.Context(), key, func(r store.Record) error {
		if last == nil {
			last = &r
		}
		return nil
	})
	if err != nil || last == nil {
		t.Fatalf("no record of %s: %v", key, err)
	}
	return last.Actor, last.Cause
}

// expire writes until the rings, which hold 64 MiB of events, have dropped what was before it.
func expire(t *testing.T, c client.Client) {
	t.Helper()
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	large := configMap("filler")
	large.BinaryData = map[string][]byte{"k": nil}
	if _, err := c.Create(t.Context(), configMaps, configMap("filler"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	noise := rand.New(rand.NewSource(1))
	for range 200 {
		data := make([]byte, 1<<20-1) // that do not compress: large values are held packed
		_, _ = noise.Read(data)
		large.BinaryData["k"] = data
		if _, err := c.Update(t.Context(), configMaps, large, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Watch(t.Context(), configMaps, view.Revision(), "", ""); client.IsExpired(err) {
			return
		}
	}
	t.Fatalf("200 MiB of events later revision %d is not expired", view.Revision())
}

// TestViewsPanicAtMistakes: a component that reads by an index that no kind declares is wrong, not unlucky.
func TestViewsPanicAtMistakes(t *testing.T) {
	view := administratorView(t)
	if got := panics(func() { view.Lookup(configMaps, "spec.nodeName", "one") }); !strings.Contains(got, "no such index") {
		t.Errorf("an index that is not there: panics with %q", got)
	}
}

// TestViewsOfWhatIsNotServed: a kind that has gone leaves nothing to be found.
func TestViewsOfWhatIsNotServed(t *testing.T) {
	view, things := administratorView(t), client.Resource{Group: "example.com", Version: "v1", Resource: "things"}
	if obj := view.Get(things, "default", "a"); obj != nil {
		t.Errorf("found %v", obj)
	}
	for _, all := range []iter.Seq[kinds.Object]{view.List(things, ""), view.Lookup(things, client.OwnerIndex, "u")} {
		for obj := range all {
			t.Errorf("found %v", obj)
		}
	}
}

func administratorView(t *testing.T) client.View {
	t.Helper()
	view, err := inprocess.New(apitest.New(t).API, apitest.Administrator()).View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func panics(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// TestReadingTheTableNeedsNoRights: a controller follows what upstream's reads from shared informers, whatever its own role says.
func TestReadingTheTableNeedsNoRights(t *testing.T) {
	nobody := inprocess.New(apitest.New(t).API, auth.User{Name: "nobody"})
	view, err := nobody.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.Watch(t.Context(), configMaps, view.Revision(), "", ""); err != nil {
		t.Errorf("a stream is refused: %v", err)
	}
}

// TestViewsShowEveryAcknowledgedWrite: in process there is nothing to wait for.
func TestViewsShowEveryAcknowledgedWrite(t *testing.T) {
	server := apitest.New(t).API
	writer, reader := inprocess.New(server, apitest.Administrator()), inprocess.New(server, apitest.Administrator())
	shown := func() bool {
		view, err := reader.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return view.Get(configMaps, "default", "a") != nil
	}
	for range 50 {
		if _, err := writer.Create(t.Context(), configMaps, configMap("a"), metav1.CreateOptions{}); err != nil || !shown() {
			t.Fatalf("created and not shown (%v)", err)
		}
		if _, err := writer.Delete(t.Context(), configMaps, "default", "a", metav1.DeleteOptions{}); err != nil || shown() {
			t.Fatalf("deleted and still shown (%v)", err)
		}
	}
}

// TestAWriteWhoseContextHasEndedSaysSo: it may have been done all the same.
func TestAWriteWhoseContextHasEndedSaysSo(t *testing.T) {
	c := inprocess.New(apitest.New(t).API, apitest.Administrator())
	ctx, end := context.WithCancel(t.Context())
	end()
	if _, err := c.Create(ctx, configMaps, configMap("a"), metav1.CreateOptions{}); err == nil {
		t.Error("a write whose context had ended was acknowledged")
	}
}

// TestComponentsOwnWhatTheyWrite by the name of upstream's program.
func TestComponentsOwnWhatTheyWrite(t *testing.T) {
	server := apitest.New(t).API
	for i, c := range []struct{ user, manager string }{
		{"system:kube-scheduler", "kube-scheduler"}, {"system:serviceaccount:kube-system:deployment-controller", "kube-controller-manager"},
		{"system:node:one", "kubelet"}, {"system:apiserver", "floe"}, {"admin", "floe"},
	} {
		user := auth.User{Name: c.user, Groups: []string{auth.Masters, auth.Authenticated}}
		obj, err := inprocess.New(server, user).Create(t.Context(), configMaps, configMapOf(fmt.Sprint("c", i)), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := obj.GetManagedFields(); len(got) != 1 || got[0].Manager != c.manager {
			t.Errorf("%s: managed fields %v, want them by %s", c.user, got, c.manager)
		}
	}
}

// configMapOf has a field that somebody may own.
func configMapOf(name string) *corev1.ConfigMap {
	obj := configMap(name)
	obj.Data = map[string]string{"k": "v"}
	return obj
}
