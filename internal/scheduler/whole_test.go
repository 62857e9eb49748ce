package scheduler

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
)

// whole runs a test with a scheduler on a whole API in virtual time: defaults, validation, and no more rights than upstream's scheduler has.
func whole(t *testing.T, wrap func(client.Client) client.Client, f func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		api := apitest.New(t).API
		r := start(t, inprocess.New(api, apitest.Administrator()), func(c *Config) {
			c.Client = wrap(inprocess.New(api, auth.User{Name: "system:kube-scheduler", Groups: []string{auth.Authenticated}}))
		})
		defer r.stop()
		f(r)
	})
}

// addNode adds a node as its kubelet and the controllers would: it is ready, and not tainted.
func (r *rig) addNode(n *corev1.Node) {
	r.Helper()
	r.create(n)
	r.changeNode(n.Name, func(n *corev1.Node) { n.Spec.Taints = nil })
	obj, err := r.api.Get(r.Context(), nodeResource(), "", n.Name)
	if err != nil {
		r.Fatal(err)
	}
	next := obj.DeepCopyObject().(*corev1.Node)
	next.Status = n.Status
	if _, err := r.api.Update(r.Context(), nodeResource(), next, "status"); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// valid makes a pod that the API takes.
func valid(p *corev1.Pod) *corev1.Pod {
	p.UID = ""
	for i := range p.Spec.Containers {
		c := &p.Spec.Containers[i]
		c.Image = "img"
		c.Resources.Limits = c.Resources.Requests
	}
	return p
}

func TestDevicesOnAWholeAPI(t *testing.T) {
	whole(t, func(c client.Client) client.Client { return c }, func(r *rig) {
		class := gpus()
		class.Spec.ExtendedResourceName = new("example.com/gpu")
		r.addNode(testNode("n", 1000, 10))
		r.create(class, devicesOf("n", 2, nil), gpuClaim("c"), valid(gpuPod("p", "c")), valid(extendedPod("q")), valid(gpuPod("late", "later")))
		for _, name := range []string{"p", "q"} {
			if p := r.pod(name); p.Spec.NodeName != "n" {
				r.Errorf("%s on %q: %s", name, p.Spec.NodeName, whatWas(p))
			}
		}
		if c := r.device("c"); users(c) != "pods/p" || len(c.Finalizers) != 1 || c.Status.Allocation == nil {
			r.Errorf("claim %+v", c)
		}
		if s := r.pod("q").Status.ExtendedResourceClaimStatus; s == nil || !strings.HasPrefix(s.ResourceClaimName, "q-extended-resources-") {
			r.Errorf("status %+v", s)
		}
		if p := r.pod("late"); p.Spec.NodeName != "" || len(p.Status.Conditions) != 0 {
			r.Errorf("a pod without its claim: %+v", p.Status)
		}
		if list := r.allDevices(); len(list) != 2 {
			r.Errorf("claims %v", list)
		}
	})
}

// refuser refuses bindings.
type refuser struct {
	client.Client
	refuse *atomic.Bool
}

func (r refuser) Bind(ctx context.Context, list []*corev1.Binding) []error {
	if !r.refuse.Load() {
		return r.Client.Bind(ctx, list)
	}
	errs := make([]error, len(list))
	for i := range errs {
		errs[i] = apierrors.NewInternalError(errors.New("disk"))
	}
	return errs
}

// What is undone for pods that are not bound is within the scheduler's rights, and lets them be bound later.
func TestUndoOnAWholeAPI(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	whole(t, func(c client.Client) client.Client { return refuser{c, &refuse} }, func(r *rig) {
		class := gpus()
		class.Spec.ExtendedResourceName = new("example.com/gpu")
		r.addNode(testNode("n", 1000, 10))
		r.create(class, devicesOf("n", 2, nil), gpuClaim("c"), valid(gpuPod("p", "c")), valid(extendedPod("q")))
		if c := r.device("c"); users(c) != "" || c.Status.Allocation == nil {
			r.Errorf("claim %+v", c.Status)
		}
		if list := r.allDevices(); len(list) != 1 {
			r.Errorf("the special claim is left: %v", list)
		}
		refuse.Store(false)
		r.pass(5 * time.Second)
		if p, q := r.pod("p"), r.pod("q"); p.Spec.NodeName != "n" || q.Spec.NodeName != "n" || users(r.device("c")) != "pods/p" {
			r.Errorf("p on %q: %s, q on %q: %s", p.Spec.NodeName, whatWas(p), q.Spec.NodeName, whatWas(q))
		}
	})
}

// A claim whose only device turns out to be broken is given another.
func TestReleaseOnAWholeAPI(t *testing.T) {
	whole(t, func(c client.Client) client.Client { return c }, func(r *rig) {
		r.addNode(testNode("n", 1000, 10))
		waits := func(d *resourcev1.Device) { conditional(d); d.BindsToNode = new(true) }
		r.create(gpus(), devicesOf("n", 1, waits), gpuClaim("c"), valid(gpuPod("p", "c")))
		r.report("c", "broken")
		r.pass(3 * time.Second)
		if c := r.device("c"); users(c) != "pods/p" || len(c.Status.Devices) != 0 {
			r.Errorf("claim %+v", c.Status)
		}
		r.report("c", "attached")
		if p := r.pod("p"); p.Spec.NodeName != "n" {
			r.Errorf("pod on %q: %s", p.Spec.NodeName, whatWas(p))
		}
	})
}
