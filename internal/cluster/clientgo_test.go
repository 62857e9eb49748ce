package cluster

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
)

// This file is upstream's own client library, unmodified, against a whole server.

// patience bounds every wait for what a server on this machine does.
const patience = time.Minute

// served is a server and how its administrator reaches it.
type servedCluster struct {
	env    Environment
	stop   func()
	config *rest.Config
}

func serveCluster(t *testing.T) *servedCluster { return serveClusterAs(t, func(*Config) {}) }

// serveClusterAs is serveCluster with another configuration.
func serveClusterAs(t *testing.T, change func(*Config)) *servedCluster {
	t.Helper()
	c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
	change(&c.env.Config)
	c.start(t)
	t.Cleanup(func() { c.stop() })
	return c
}

// start runs the server, from the second time on at the port that it had.
func (c *servedCluster) start(t *testing.T) {
	t.Helper()
	c.stop = runAlone(t, c.env)
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(c.env.Config.DataDir, adminKubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if c.config != nil && c.config.Host != config.Host {
		t.Fatalf("the server was at %s, and is at %s", c.config.Host, config.Host)
	}
	c.config = config
}

// listed counts the requests that a client makes to fill its cache.
type listed struct {
	http.RoundTripper
	lists, streams *atomic.Int32
}

func (l listed) RoundTrip(r *http.Request) (*http.Response, error) {
	switch q := r.URL.Query(); {
	case q.Get("watch") == "":
		l.lists.Add(1)
	case q.Get("sendInitialEvents") == "true":
		l.streams.Add(1)
	}
	return l.RoundTripper.RoundTrip(r)
}

// listing is a source of objects that lists, and then watches, as clients did before watch-list.
type listing struct{ cache.ListerWatcher }

func (listing) IsWatchListSemanticsUnSupported() bool { return true }

// heard is what an informer tells, as verb and name.
func heard(ctx context.Context, t *testing.T, source cache.ListerWatcher) <-chan string {
	t.Helper()
	told := make(chan string, 64) // more than a test makes
	name := func(obj any) string {
		key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
		if err != nil {
			t.Error(err)
		}
		return key
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source, ObjectType: &corev1.ConfigMap{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { told <- "add " + name(obj) },
			UpdateFunc: func(_, obj any) { told <- "update " + name(obj) + " " + obj.(*corev1.ConfigMap).Data["a"] },
			DeleteFunc: func(obj any) { told <- "delete " + name(obj) },
		},
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(ctx)
	}()
	t.Cleanup(func() { <-ended })
	return told
}

// next waits for one thing that an informer tells.
func next(ctx context.Context, t *testing.T, told <-chan string, want string) {
	t.Helper()
	select {
	case got := <-told:
		if got != want {
			t.Fatalf("the informer says %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Fatalf("the informer says nothing, want %q", want)
	}
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"a": "1"}}
}

// must returns what a request answers.
func must[T any](answer T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// TestInformers fills a cache in both ways that clients have, and follows it through a restart of the server.
func TestInformers(t *testing.T) {
	for name, wrap := range map[string]func(cache.ListerWatcher) cache.ListerWatcher{
		"watch-list":     func(lw cache.ListerWatcher) cache.ListerWatcher { return lw },
		"list and watch": func(lw cache.ListerWatcher) cache.ListerWatcher { return listing{lw} },
	} {
		t.Run(name, func(t *testing.T) {
			c := serveCluster(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			var lists, streams atomic.Int32
			counted := rest.CopyConfig(c.config)
			counted.Wrap(func(rt http.RoundTripper) http.RoundTripper { return listed{rt, &lists, &streams} })
			follower := kubernetes.NewForConfigOrDie(counted)
			maps := kubernetes.NewForConfigOrDie(c.config).CoreV1().ConfigMaps("default")
			must(maps.Create(ctx, configMap("first"), metav1.CreateOptions{}))(t)
			// Not the one that a controller keeps in every namespace.
			own := fields.OneTermNotEqualSelector("metadata.name", "kube-root-ca.crt")
			source := cache.NewListWatchFromClient(follower.CoreV1().RESTClient(), "configmaps", "default", own)
			told := heard(ctx, t, wrap(source))
			next(ctx, t, told, "add default/first")
			if stream := name == "watch-list"; stream != (streams.Load() > 0) || stream != (lists.Load() == 0) {
				t.Errorf("%d lists and %d streams of what is there", lists.Load(), streams.Load())
			}
			must(maps.Patch(ctx, "first", types.MergePatchType, []byte(`{"data":{"a":"2"}}`), metav1.PatchOptions{}))(t)
			next(ctx, t, told, "update default/first 2")
			c.restart(t)
			must(createAgain(ctx, kubernetes.NewForConfigOrDie(c.config), "second"))(t)
			next(ctx, t, told, "add default/second")
			if err := maps.Delete(ctx, "first", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			next(ctx, t, told, "delete default/first")
			cancel()
		})
	}
}

// restart stops the server and runs it again at the same port.
func (c *servedCluster) restart(t *testing.T) {
	t.Helper()
	c.stop()
	c.env.Config.SecurePort = port(t, c.config.Host)
	c.start(t)
}

func port(t *testing.T, host string) (n int) {
	t.Helper()
	_, text, ok := strings.Cut(strings.TrimPrefix(host, "https://"), ":")
	if !ok {
		t.Fatalf("no port in %s", host)
	}
	for _, r := range text {
		n = n*10 + int(r-'0')
	}
	return n
}

// createAgain retries as clients do.
func createAgain(ctx context.Context, c kubernetes.Interface, name string) (made *corev1.ConfigMap, err error) {
	err = retry.OnError(wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Steps: 10}, func(error) bool { return ctx.Err() == nil }, func() error {
		made, err = c.CoreV1().ConfigMaps("default").Create(ctx, configMap(name), metav1.CreateOptions{})
		return err
	})
	return made, err
}

// TestRetryThroughARestart updates an object, as a client does that reads it again after a conflict, while the server is stopped and started.
func TestRetryThroughARestart(t *testing.T) {
	c := serveCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	maps := kubernetes.NewForConfigOrDie(c.config).CoreV1().ConfigMaps("default")
	must(maps.Create(ctx, configMap("counter"), metav1.CreateOptions{}))(t)
	const updates = 200
	half, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := range updates {
			if i == updates/2 {
				close(half)
			}
			err := retry.OnError(wait.Backoff{Duration: 5 * time.Millisecond, Factor: 1.5, Steps: 20}, func(err error) bool { return ctx.Err() == nil }, func() error {
				found, err := maps.Get(ctx, "counter", metav1.GetOptions{})
				if err != nil {
					return err
				}
				found.Data["a"] += "x"
				if len(found.Data["a"]) > i+2 {
					return nil // the answer to the last try was lost, its effect was not
				}
				_, err = maps.Update(ctx, found, metav1.UpdateOptions{})
				return err
			})
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-half
	c.restart(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := must(maps.Get(ctx, "counter", metav1.GetOptions{}))(t).Data["a"]; len(got) != updates+1 {
		t.Errorf("%d updates are there, want %d", len(got)-1, updates)
	}
}

// TestLeaderElection: of two candidates one leads, and the other when the first has let go.
func TestLeaderElection(t *testing.T) {
	c := serveCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client := kubernetes.NewForConfigOrDie(c.config)
	leads := make(chan string, 2) // each candidate leads once
	candidate := func(ctx context.Context, name string) (ended chan struct{}) {
		ended = make(chan struct{})
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock: &resourcelock.LeaseLock{
				LeaseMeta: metav1.ObjectMeta{Name: "lock", Namespace: "default"}, Client: client.CoordinationV1(),
				LockConfig: resourcelock.ResourceLockConfig{Identity: name},
			},
			LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 50 * time.Millisecond, ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- name }, OnStoppedLeading: func() {}},
		})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(ended)
			elector.Run(ctx)
		}()
		return ended
	}
	first, stopFirst := context.WithCancel(ctx)
	firstEnded := candidate(first, "first")
	if got := <-leads; got != "first" {
		t.Fatalf("%s leads", got)
	}
	secondEnded := candidate(ctx, "second")
	stopFirst()
	<-firstEnded
	if got := <-leads; got != "second" {
		t.Errorf("%s leads, want second", got)
	}
	cancel()
	<-secondEnded
}

// TestDynamicClient knows no types.
func TestDynamicClient(t *testing.T) {
	c := serveCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	maps := dynamic.NewForConfigOrDie(c.config).Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("default")
	object := func(value string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "d", "labels": map[string]any{"app": "d"}}, "data": map[string]any{"a": value},
		}}
	}
	made := must(maps.Create(ctx, object("1"), metav1.CreateOptions{}))(t)
	events := must(maps.Watch(ctx, metav1.ListOptions{LabelSelector: "app=d", ResourceVersion: made.GetResourceVersion()}))(t)
	defer events.Stop()
	must(maps.Apply(ctx, "d", object("2"), metav1.ApplyOptions{FieldManager: "test", Force: true}))(t)
	e := <-events.ResultChan()
	if got, _, _ := unstructured.NestedString(e.Object.(*unstructured.Unstructured).Object, "data", "a"); e.Type != watch.Modified || got != "2" {
		t.Errorf("watched %s of a %q", e.Type, got)
	}
	if list := must(maps.List(ctx, metav1.ListOptions{LabelSelector: "app=d"}))(t); len(list.Items) != 1 || list.GetKind() != "ConfigMapList" {
		t.Errorf("listed %d of %s", len(list.Items), list.GetKind())
	}
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=d"}); err != nil {
		t.Error(err)
	}
	if _, err := maps.Get(ctx, "d", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after deletion: %v", err)
	}
}

// TestMetadataClient asks for metadata alone.
func TestMetadataClient(t *testing.T) {
	c := serveCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	must(kubernetes.NewForConfigOrDie(c.config).CoreV1().ConfigMaps("default").Create(ctx, configMap("m"), metav1.CreateOptions{}))(t)
	maps := metadata.NewForConfigOrDie(c.config).Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("default")
	events := must(maps.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=m"}))(t)
	defer events.Stop()
	if e := <-events.ResultChan(); e.Type != watch.Added || e.Object.(*metav1.PartialObjectMetadata).Name != "m" {
		t.Errorf("watched %s %T", e.Type, e.Object)
	}
	patched := must(maps.Patch(ctx, "m", types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"m"}}}`), metav1.PatchOptions{}))(t)
	list := must(maps.List(ctx, metav1.ListOptions{LabelSelector: "app=m"}))(t)
	if len(list.Items) != 1 || list.Items[0].UID != patched.UID {
		t.Errorf("patched %+v, listed %+v", patched.ObjectMeta, list.Items)
	}
	if err := maps.Delete(ctx, "m", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &patched.UID}}); err != nil {
		t.Error(err)
	}
}
