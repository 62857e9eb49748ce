package resourcequota_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	charge "github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/resourcequota"
)

var configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")

// limits are what a namespace of the simulation may use.
var limits = corev1.ResourceList{"pods": resource.MustParse("4"), "requests.cpu": resource.MustParse("6"), "count/configmaps": resource.MustParse("5")}

// crowd is users of one namespace who make, end and remove more than its quota lets them, and the controller, which stops between any two of its writes.
type crowd struct {
	*bed.Bed
	refused int
}

// TestQuotaHoldsThroughCrashes lets users press against a quota while the controller that counts stops and begins anew at any point, on views that lag, and while its writes and
// their answers get lost: what is there never passes the limit, and in the end, at the latest when it is counted again without a cause, the quota says what is there.
func TestQuotaHoldsThroughCrashes(t *testing.T) {
	refused := 0
	for seed := range int64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			c := &crowd{Bed: bed.New(t, seed)}
			c.Admit(charge.New(nil))
			c.Sim.Catalog = catalog
			c.Sim.Add(resourcequota.New(catalog))
			c.Put(quotas, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: limits}})
			c.Settle() // before that the quota is not in force
			for range 4 {
				c.Chance(150, c.act)
				c.Clock.Step(5 * time.Minute) // what came and went between two views shows in no change: it is found by counting again
				c.Settle()
				c.agree()
			}
			refused += c.refused
		})
	}
	if refused == 0 {
		t.Error("nobody was ever refused: the limits were not tried")
	}
}

// act is one thing that a user does.
func (c *crowd) act() {
	name := fmt.Sprint("o", c.Rand.Intn(12))
	switch c.Rand.Intn(8) {
	case 0, 1, 2:
		c.try(func() error {
			_, err := c.Client.Create(c.Context(), pods, loaded(name, c.Rand.Intn(3)+1), metav1.CreateOptions{})
			return err
		})
	case 3:
		c.Remove(pods, "default", name)
	case 4: // it ends, and frees what it used
		bed.Change(c.Bed, pods, "default", name, "status", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	case 5, 6:
		c.try(func() error {
			obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
			_, err := c.Client.Create(c.Context(), configMaps, obj, metav1.CreateOptions{})
			return err
		})
	case 7:
		c.Remove(configMaps, "default", name)
	}
	c.within()
}

func loaded(name string, cpu int) *corev1.Pod {
	p := pod(name, fmt.Sprint(cpu), "")
	p.Namespace, p.Spec.Containers[0].Image = "default", "i"
	return p
}

// try lets a user try what the quota may refuse.
func (c *crowd) try(create func() error) {
	c.Helper()
	switch err := create(); {
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: q"):
		c.refused++
	case err != nil && !apierrors.IsAlreadyExists(err):
		c.Fatal(err)
	}
}

// there is what is used in truth.
func (c *crowd) there() map[corev1.ResourceName]int64 {
	c.Helper()
	view, err := c.Client.View(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	used := map[corev1.ResourceName]int64{"pods": 0, "requests.cpu": 0, "count/configmaps": 0}
	for obj := range view.List(pods, "default") {
		if p := obj.(*corev1.Pod); p.Status.Phase != corev1.PodSucceeded {
			used["pods"]++
			used["requests.cpu"] += p.Spec.Containers[0].Resources.Requests.Cpu().Value()
		}
	}
	for range view.List(configMaps, "default") {
		used["count/configmaps"]++
	}
	return used
}

// within: no limit is passed.
func (c *crowd) within() {
	c.Helper()
	for name, n := range c.there() {
		if most := limits[name]; n > most.Value() {
			c.Fatalf("%d of %s are used, the limit is %d", n, name, most.Value())
		}
	}
}

// agree: the quota says what is there.
func (c *crowd) agree() {
	c.Helper()
	q := bed.Get[*corev1.ResourceQuota](c.Bed, quotas, "default", "q")
	truth := c.there()
	for _, name := range slices.Sorted(maps.Keys(truth)) {
		if said := q.Status.Used[name]; said.Value() != truth[name] {
			c.Errorf("the quota says that %s of %s are used, and %d are", said.String(), name, truth[name])
		}
	}
}
