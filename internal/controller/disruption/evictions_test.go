package disruption_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/disruption"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// crowd is pods of one budget, and users who evict them all at once while the controller counts.
type crowd struct {
	*testing.T
	cluster *apitest.Cluster
	client  client.Client
	least   int
	made    int

	evicted, refused atomic.Int32
}

// fill makes pods that are ready until there are n that do not go.
func (c *crowd) fill(n int) {
	c.Helper()
	for have := len(c.healthy()); have < n; have++ {
		c.made++
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("p", c.made), Labels: web}, Spec: *template.Spec.DeepCopy()}
		p.Spec.NodeName = "n"
		stored, err := c.client.Create(c.Context(), pods, p, metav1.CreateOptions{})
		if err != nil {
			c.Fatal(err)
		}
		p = stored.(*corev1.Pod).DeepCopy()
		p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if _, err := c.client.Update(c.Context(), pods, p, "status"); err != nil {
			c.Fatal(err)
		}
	}
}

// healthy are the pods that are ready and do not go.
func (c *crowd) healthy() (list []string) {
	view, err := c.client.View(c.Context())
	if err != nil {
		c.Error(err)
		return nil
	}
	for obj := range view.List(pods, "default") {
		if p := obj.(*corev1.Pod); p.DeletionTimestamp == nil && len(p.Status.Conditions) > 0 {
			list = append(list, p.Name)
		}
	}
	return list
}

// evict asks for one pod to be evicted, and holds the budget against what is there then.
func (c *crowd) evict(name string) {
	req := api.Request{User: apitest.Administrator(), Kind: c.cluster.API.Kind(pods), Namespace: "default", Name: name, Subresource: "eviction"}
	body := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	_, err := c.cluster.API.CreatePart(c.Context(), req, body, metav1.CreateOptions{})
	switch {
	case err == nil:
		c.evicted.Add(1)
	case apierrors.IsTooManyRequests(err) && apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause):
		c.refused.Add(1)
	default:
		c.Errorf("evict %s: %v", name, err)
	}
	if n := len(c.healthy()); n < c.least {
		c.Errorf("%d pods are healthy, at least %d must be", n, c.least)
	}
}

// count lets the controller count once; a conflict with an eviction is no failure.
func (c *crowd) count(ctx context.Context, ctl engine.Controller) {
	key := engine.Key{Resource: budgets, Namespace: "default", Name: "b"}
	if _, _, err := controllertest.Step(ctx, c.client, ctl, key, c.cluster.Clock.Now()); err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
		c.Error(err)
	}
}

// TestNoBudgetIsViolated evicts every pod by several users at once, while the controller counts all the time: never fewer pods are left than the budget wants, and
// it lets as many go as it can.
func TestNoBudgetIsViolated(t *testing.T) {
	const all, users = 30, 4
	cluster := apitest.New(t)
	c := &crowd{T: t, cluster: cluster, client: inprocess.New(cluster.API, apitest.Administrator()), least: 12}
	ctl := disruption.New(catalog)
	c.fill(all)
	if _, err := c.client.Create(t.Context(), budgets, budget(ptr.To(intstr.FromInt(c.least)), nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		c.fill(all)
		c.count(t.Context(), ctl)
		ctx, stop := context.WithCancel(t.Context())
		var counting, evicting sync.WaitGroup
		counting.Go(func() {
			for ctx.Err() == nil {
				c.count(ctx, ctl)
			}
		})
		for _, name := range c.healthy() {
			for range users {
				evicting.Go(func() { c.evict(name) })
			}
		}
		evicting.Wait()
		stop()
		counting.Wait()
		c.count(t.Context(), ctl)
		for _, name := range c.healthy() {
			c.evict(name)
		}
		if n := len(c.healthy()); n != c.least {
			t.Errorf("%d pods are left, want %d", n, c.least)
		}
	}
	if c.refused.Load() == 0 || c.evicted.Load() < 5*(all-int32(c.least)) {
		t.Errorf("%d evictions, %d refused: the budget was not tried", c.evicted.Load(), c.refused.Load())
	}
}
