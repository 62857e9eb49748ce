package deployment_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/deployment"
	"github.com/floe-k8s/floe/internal/controller/engine"
	corepods "github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
)

// chaos is a deployment that is changed by chance, with the controllers of its sets and pods.
type chaos struct {
	*bed.Bed
	surge, unavailable int
	reached            bool // as many as are wanted have been available
	law                bool // the size stays: pods are neither too many nor too few
}

func newChaos(t *testing.T, seed int64) *chaos {
	c := &chaos{Bed: bed.New(t, seed)}
	c.surge, c.unavailable = c.Rand.Intn(3), c.Rand.Intn(3)
	if c.surge+c.unavailable == 0 {
		c.surge = 1
	}
	l := map[string]string{"app": "web"}
	c.Put(deployments, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](4), Selector: &metav1.LabelSelector{MatchLabels: l}, RevisionHistoryLimit: ptr.To[int32](2),
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge: ptr.To(intstr.FromInt(c.surge)), MaxUnavailable: ptr.To(intstr.FromInt(c.unavailable))}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i0"}}}}}})
	c.Sim.Add(deployment.New())
	c.Sim.Add(replicaset.New())
	c.Sim.Writing = func(string, engine.Write) { c.look() }
	return c
}

func (c *chaos) deployment() *appsv1.Deployment {
	return bed.Get[*appsv1.Deployment](c.Bed, deployments, "default", "web")
}

// look holds the law of a rollout.
func (c *chaos) look() {
	if !c.law {
		return
	}
	view, err := c.Client.View(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	wanted, asked, available := int(*c.deployment().Spec.Replicas), 0, 0
	for obj := range view.List(sets, "default") {
		asked += int(*obj.(*appsv1.ReplicaSet).Spec.Replicas)
	}
	for _, p := range c.Pods("default") {
		if corepods.Active(p) && corepods.Ready(p) {
			available++
		}
	}
	c.reached = c.reached || available >= wanted
	if asked > wanted+c.surge {
		c.Errorf("sets ask for %d pods, %d are wanted and %d more allowed", asked, wanted, c.surge)
	}
	if c.reached && available < wanted-c.unavailable {
		c.Errorf("%d pods are available, of %d only %d may be missing", available, wanted, c.unavailable)
	}
}

// meddle changes the template, or lets a pod go on; without the law also the size, and whether the rollout is paused.
func (c *chaos) meddle() {
	change := func(f func(s *appsv1.DeploymentSpec)) {
		bed.Change(c.Bed, deployments, "default", "web", "", func(d *appsv1.Deployment) { f(&d.Spec) })
	}
	list := c.Pods("default")
	switch n := c.Rand.Intn(24); {
	case n == 0:
		change(func(s *appsv1.DeploymentSpec) { s.Template.Spec.Containers[0].Image = fmt.Sprint("i", c.Rand.Intn(4)) })
	case n == 1 && !c.law:
		change(func(s *appsv1.DeploymentSpec) { s.Replicas = ptr.To(int32(c.Rand.Intn(9))) })
	case n == 2 && !c.law:
		change(func(s *appsv1.DeploymentSpec) { s.Paused = !s.Paused })
	case n == 3 && !c.law && len(list) > 0:
		c.Remove(pods, "default", list[c.Rand.Intn(len(list))].Name)
	case len(list) > 0:
		c.Run(list[c.Rand.Intn(len(list))])
	}
}

// settled holds what is so in the end.
func (c *chaos) settled() {
	c.Helper()
	bed.Change(c.Bed, deployments, "default", "web", "", func(d *appsv1.Deployment) { d.Spec.Paused = false })
	c.Rest("default")
	d, n := c.deployment(), *c.deployment().Spec.Replicas
	st := d.Status
	if st.Replicas != n || st.UpdatedReplicas != n || st.AvailableReplicas != n || st.UnavailableReplicas != 0 || st.ObservedGeneration != d.Generation {
		c.Errorf("%d wanted: %+v", n, st)
	}
	for _, p := range c.Pods("default") {
		if p.Spec.Containers[0].Image != d.Spec.Template.Spec.Containers[0].Image {
			c.Errorf("pod %s has image %s", p.Name, p.Spec.Containers[0].Image)
		}
	}
	reasons := map[appsv1.DeploymentConditionType]string{}
	for _, cond := range st.Conditions {
		reasons[cond.Type] = cond.Reason
	}
	if reasons[appsv1.DeploymentAvailable] != "MinimumReplicasAvailable" || reasons[appsv1.DeploymentProgressing] != "NewReplicaSetAvailable" {
		c.Errorf("conditions %v", reasons)
	}
	view, err := c.Client.View(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	old := 0
	for obj := range view.List(sets, "default") {
		if *obj.(*appsv1.ReplicaSet).Spec.Replicas == 0 {
			old++
		}
	}
	if old > 2+1 { // of a deployment without pods the new one is empty too
		c.Errorf("%d empty sets are kept", old)
	}
}

func seeds(t *testing.T, law bool) {
	n := int64(12)
	if testing.Short() {
		n = 3
	}
	for seed := range n {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := newChaos(t, seed)
			c.law = law
			c.Chance(300, c.meddle)
			c.settled()
		})
	}
}

// TestLaw: whatever fails, and wherever a controller stops, the sets of a rollout never ask for more pods than it may have, nor are
// fewer available than it must have.
func TestLaw(t *testing.T) { seeds(t, true) }

// TestSettles: whatever happens to the deployment and its pods, in the end all is as it should be.
func TestSettles(t *testing.T) { seeds(t, false) }
