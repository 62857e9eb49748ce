// Package apitest is the whole API over a log in memory, for tests.
//
// Time stands still until the test moves it, and names and UIDs come from a seeded source, so that every answer is the same each time. What is
// opened ends with the test.
package apitest

import (
	"context"
	"errors"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/review"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// Cluster is an API of a test's own, with all kinds, upstream's rights, and the namespaces default and kube-system.
type Cluster struct {
	API   *api.Server
	Log   *pebble.Log
	Clock *clocktesting.FakeClock
}

// Administrator is a user who may do everything.
func Administrator() auth.User {
	return auth.User{Name: "admin", Groups: []string{auth.Masters, auth.Authenticated}}
}

// chance is a seeded source that many requests may draw from at once.
type chance struct {
	mu   sync.Mutex
	rand *rand.Rand // guarded by mu
}

func (c *chance) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.Read(p)
}

// components are a scheduler that does not run, and a log that does.
func components(context.Context) []review.Component {
	return []review.Component{{Name: "scheduler", Err: errors.New("it is not running")}, {Name: "etcd-0"}}
}

// New returns a cluster that ends with the test.
func New(t testing.TB) *Cluster {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	log, err := pebble.Open(pebble.Options{Dir: "log", FS: vfs.NewMem(), Clock: clk, Log: observe.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	kinds := all.Kinds()
	table, err := store.Open(context.Background(), log, store.Config{Collections: api.Collections(slices.Concat(kinds, all.Kept())), Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = table.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &Cluster{Log: log, Clock: clk}
	answers := review.Answers(review.Config{
		Authenticator: auth.First(auth.NoTokens, auth.AnonymousUser), Authorizer: auth.Policy(), Rules: auth.PolicyRules(), Clock: clk, Components: components,
	})
	c.API = api.New(api.Config{Store: table, Kinds: kinds, Kept: all.Kept(), Authorizer: auth.Policy(), Answers: answers, Clock: clk, Log: observe.Discard(), Random: &chance{rand: rand.New(rand.NewSource(1))}})
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		req := api.Request{User: Administrator(), Kind: c.API.Kind(corev1.SchemeGroupVersion.WithResource("namespaces"))}
		if _, err := c.API.Create(ctx, req, ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}
