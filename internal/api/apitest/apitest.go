// Package apitest is the whole API over a log in memory, for tests.
//
// Time stands still until the test moves it, and names and UIDs come from a seeded source, so that every answer is the same each time. What is
// opened ends with the test.
package apitest

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/review"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/node"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/auth/rbac/rbactest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// Cluster is an API of a test's own, with all kinds, upstream's rights, and the namespaces default and kube-system.
type Cluster struct {
	API *api.Server
	// Rules list what users may, for reviews. Reviews ask API.Authorizer whether they may.
	Rules auth.Resolver
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

// components are as of an API server that runs alone with its log.
func components(context.Context) []review.Component {
	silent := func(port int) error {
		//lint:ignore ST1005 the text of net/http's client
		return fmt.Errorf("Get \"https://127.0.0.1:%[1]d/healthz\": dial tcp 127.0.0.1:%[1]d: connect: connection refused", port)
	}
	return []review.Component{{Name: "scheduler", Err: silent(10259)}, {Name: "controller-manager", Err: silent(10257)}, {Name: "etcd-0", Unasked: true}}
}

// New returns a cluster that ends with the test.
func New(t testing.TB) *Cluster {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	log, err := pebble.Open(pebble.Options{Dir: "log", FS: vfs.NewMem(), Clock: clk, Log: observe.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	served := all.Kinds()
	table, err := store.Open(context.Background(), log, store.Config{Collections: api.Collections(slices.Concat(served, all.Kept())), Clock: clk})
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
	may := rbac.New(rbactest.Fixed(policy.Objects()))
	c := &Cluster{Log: log, Clock: clk, Rules: may.Rules}
	answers := review.Answers(review.Config{
		Authenticator: auth.First(noTokens, auth.AnonymousUser), Clock: clk, Components: components,
		Authorizer: func(ctx context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
			return c.API.Authorizer(ctx, user, attrs)
		},
		Rules: func(user auth.User, namespace string) ([]rbacv1.PolicyRule, bool, error) {
			return c.Rules(user, namespace)
		},
	})
	nodes := node.New(api.NewObjects(table, served), policy.Rules("system:node"))
	c.API = api.New(api.Config{Store: table, Kinds: served, Kept: all.Kept(), Authorizer: auth.Chain(auth.AllowMasters, nodes.Authorize, may.Authorize), Rules: may.Rules, Answers: answers, Tokens: tokens(), Clock: clk, Log: observe.Discard(), Random: &chance{rand: rand.New(rand.NewSource(1))}})
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		req := api.Request{User: Administrator(), Kind: c.API.Kind(corev1.SchemeGroupVersion.WithResource("namespaces"))}
		if _, err := c.API.Create(ctx, req, ns, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// tokens are readable, and good for nothing.
func tokens() kinds.Tokens {
	return kinds.Tokens{
		Audiences: []string{"https://kubernetes.default.svc"}, Extend: 365 * 24 * time.Hour,
		Issue: func(_ context.Context, w kinds.TokenWish) (kinds.Token, error) {
			return kinds.Token{Text: "eyJh.eyJh." + w.Account.Name}, nil
		},
	}
}

// noTokens refuses every bearer token, since nothing in this cluster issues one.
func noTokens(r *http.Request) (auth.User, bool, error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) != "" {
		return auth.User{}, false, errors.New("invalid bearer token")
	}
	return auth.User{}, false, nil
}
