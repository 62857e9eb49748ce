package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/record"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

// Upstream's periods.
const (
	every        = 10 * time.Second // between two looks at the service, its endpoints, the range and the identity
	everyFlow    = time.Minute      // and at flow schemas and priority levels
	kubernetes   = "kubernetes"
	portName     = "https"
	servicePort  = 443
	shutdownTime = 5 * time.Second // for a server to take itself out of the endpoints
)

// Config is what a cluster begins with. All fields but Added and Leases are needed.
type Config struct {
	Client client.Client // of a user who may do everything
	Clock  clock.WithTicker
	Log    *slog.Logger
	// Policy is the roles and bindings that a cluster begins with.
	Policy []kinds.Object
	// Ranges are where services' addresses come from, one or two, that of the default family first.
	Ranges []allocation.Range
	// Served are the groups and versions that this server answers for itself.
	Served []schema.GroupVersion
	// Added are those that definitions of custom resources have added, and a channel that is closed when they may be others; nil: there are none.
	Added func() ([]schema.GroupVersion, <-chan struct{})
	// Address is where others reach this server's API, and Port there.
	Address netip.Addr
	Port    int32
	// NodePort is the port of nodes at which default/kubernetes is made to answer; 0: none.
	NodePort int32
	// Leases are those of all servers that share the cluster's state. nil: nobody keeps the endpoints of default/kubernetes.
	Leases Leases
	// Host is this machine's name, and Instance tells this run from others on it.
	Host, Instance string
}

// Bootstrap makes the initial objects of one cluster. Ensure first, then Run, once.
type Bootstrap struct {
	Config
	events *record.Recorder
	seen   map[string]*lifeSign // of leases; used by Run alone
	tracks time.Time            // when this server last said since when the use of tokens is noticed; used by Ensure and Run
	told   bool                 // that the range is not the configured one; used by Ensure and Run
	// registered: the API services have once been as they are to be as a server starts; used by Ensure and Run
	registered bool
}

// New returns one that has done nothing.
func New(cfg Config) *Bootstrap {
	return &Bootstrap{
		Config: cfg, seen: map[string]*lifeSign{},
		events: record.New(cfg.Client, cfg.Clock, cfg.Log, "kubernetes-service-cidr-controller"),
	}
}

// Ensure makes all initial objects that are missing. It fails when one without which nothing works cannot be made; the others
// are told of and made by Run later.
func (b *Bootstrap) Ensure(ctx context.Context) error {
	view, err := b.Client.View(ctx)
	if err != nil {
		return fmt.Errorf("reading what is there: %w", err)
	}
	steps := []func() error{func() error { return b.ensureRange(ctx) }, func() error { return b.ensureFlow(ctx, view) }}
	for _, ns := range namespaces() {
		steps = append(steps, func() error { return b.ensure(ctx, view, corev1.SchemeGroupVersion.WithResource("namespaces"), ns) })
	}
	for _, pc := range priorityClasses() {
		steps = append(steps, func() error {
			return b.ensure(ctx, view, schedulingv1.SchemeGroupVersion.WithResource("priorityclasses"), pc)
		})
	}
	if err := together(steps...); err != nil {
		return err
	}
	if err := together(b.policySteps(ctx, view)...); err != nil { // some stand in the namespaces
		return err
	}
	// They need what is there by now. Somebody may have the service's address, for example, which does not stop a server.
	b.warn("what comes after the first objects", together(
		func() error { return b.ensureService(ctx) }, func() error { return b.trackTokens(ctx) },
		func() error { return b.registerServed(ctx) }, func() error { return b.sayDangling(ctx) },
	))
	return nil
}

// Run keeps true what Ensure made and what this server says of itself, until ctx ends, and takes the server back out of the endpoints.
func (b *Bootstrap) Run(ctx context.Context) error {
	tick := b.Clock.NewTicker(every)
	defer tick.Stop()
	_, added := b.added() // before the look: what comes meanwhile is looked at again
	b.look(ctx)
	flow := b.Clock.Now()
	for {
		select {
		case <-added:
			_, added = b.added()
			b.warn("API services", b.registerServed(ctx))
			continue
		case <-ctx.Done():
			if err := b.leave(ctx); err != nil {
				return err
			}
			return ctx.Err()
		case <-tick.C():
		}
		b.look(ctx)
		if now := b.Clock.Now(); now.Sub(flow) >= everyFlow {
			flow = now
			view, err := b.Client.View(ctx)
			if err == nil {
				err = b.ensureFlow(ctx, view)
			}
			b.warn("flow schemas and priority levels", err)
		}
	}
}

// look does once what Run does each time.
func (b *Bootstrap) look(ctx context.Context) {
	b.warn("service CIDR "+kubernetes, b.ensureRange(ctx))
	b.warn("service default/"+kubernetes, b.ensureService(ctx))
	b.warn("endpoints of default/"+kubernetes, b.reconcileEndpoints(ctx))
	b.warn("identity lease", b.renewIdentity(ctx))
	b.warn("API services", b.registerServed(ctx))
	b.warn("conditions of flow schemas", b.sayDangling(ctx))
	b.warn("since when tokens are tracked", b.trackTokens(ctx))
}

// warn tells of what failed and is tried again. The end of the server is no failure.
func (b *Bootstrap) warn(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		b.Log.Warn("not as it should be, and tried again", "what", what, "err", err)
	}
}

// ensure makes an object unless the view has it or somebody was quicker.
func (b *Bootstrap) ensure(ctx context.Context, view client.View, res client.Resource, obj kinds.Object) error {
	if view.Get(res, obj.GetNamespace(), obj.GetName()) != nil {
		return nil
	}
	return b.create(ctx, res, obj)
}

// create makes an object unless it is there.
func (b *Bootstrap) create(ctx context.Context, res client.Resource, obj kinds.Object) error {
	if _, err := b.Client.Create(ctx, res, obj, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("%s %s: %w", res.Resource, obj.GetName(), err)
	}
	return nil
}

// get returns an object, or its zero value and false when there is none.
func get[T kinds.Object](ctx context.Context, b *Bootstrap, res client.Resource, namespace, name string) (T, bool, error) {
	var none T
	obj, err := b.Client.Get(ctx, res, namespace, name)
	if apierrors.IsNotFound(err) {
		return none, false, nil
	}
	if err != nil {
		return none, false, fmt.Errorf("%s %s: %w", res.Resource, name, err)
	}
	return obj.(T), true, nil
}

// together runs steps at once, waits for all of them and joins their errors.
func together(steps ...func() error) error {
	errs := make([]error, len(steps))
	var all sync.WaitGroup
	for i, step := range steps {
		all.Go(func() { errs[i] = step() })
	}
	all.Wait()
	return errors.Join(errs...)
}

func namespaces() (list []*corev1.Namespace) {
	for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		list = append(list, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return list
}

func priorityClasses() []*schedulingv1.PriorityClass {
	const critical = 2_000_000_000
	return []*schedulingv1.PriorityClass{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "system-node-critical"}, Value: critical + 1000,
			Description: "Used for system critical pods that must not be moved from their current node.",
		}, {
			ObjectMeta: metav1.ObjectMeta{Name: "system-cluster-critical"}, Value: critical,
			Description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
		},
	}
}

// cidrs are the configured ranges as an object names them.
func (b *Bootstrap) cidrs() (list []string) {
	for _, r := range b.Ranges {
		list = append(list, r.Prefix.String())
	}
	return list
}

// ensureRange makes the configured range of services' addresses, lets a second family join it, and says that it is ready unless
// somebody has said otherwise. One that is not as configured is told of once and left.
func (b *Bootstrap) ensureRange(ctx context.Context) error {
	want := b.cidrs()
	c, ok, err := get[*networkingv1.ServiceCIDR](ctx, b, allocation.Ranges, "", kubernetes)
	if err != nil {
		return err
	}
	if !ok {
		made := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: kubernetes}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: want}}
		obj, err := b.Client.Create(ctx, allocation.Ranges, made, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("service CIDR %s: %w", kubernetes, err)
		}
		c = obj.(*networkingv1.ServiceCIDR)
	}
	now := c.Spec.CIDRs
	switch same := len(now) == len(want) && now[0] == want[0] && now[len(now)-1] == want[len(want)-1]; {
	case !same && len(want) == 2 && len(now) == 1 && now[0] == want[0]:
		next := c.DeepCopy()
		next.Spec.CIDRs = want
		_, err := b.Client.Update(ctx, allocation.Ranges, next, "")
		return err
	case !same:
		b.tell(ctx, c, "KubernetesDefaultServiceCIDRInconsistent", fmt.Sprintf("The default ServiceCIDR %v does not match the controller flag configurations %s", now, want))
		return nil
	case c.DeletionTimestamp != nil:
		return nil
	}
	return b.sayReady(ctx, c)
}

// sayReady sets the range's first condition.
func (b *Bootstrap) sayReady(ctx context.Context, c *networkingv1.ServiceCIDR) error {
	switch cond := meta.FindStatusCondition(c.Status.Conditions, networkingv1.ServiceCIDRConditionReady); {
	case cond == nil || cond.Status == metav1.ConditionUnknown:
	case cond.Status == metav1.ConditionFalse:
		b.tell(ctx, c, cond.Reason, "Configuration matches, but "+cond.Message)
		return nil
	default:
		return nil
	}
	next := c.DeepCopy()
	meta.SetStatusCondition(&next.Status.Conditions, metav1.Condition{
		Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue, Message: "Kubernetes default Service CIDR is ready",
		LastTransitionTime: metav1.NewTime(b.Clock.Now()),
	})
	_, err := b.Client.Update(ctx, allocation.Ranges, next, "status")
	return err
}

// tell records once what is odd about the range.
func (b *Bootstrap) tell(ctx context.Context, c *networkingv1.ServiceCIDR, reason, message string) {
	if b.told {
		return
	}
	b.told = true
	b.Log.Warn(message, "serviceCIDR", c.Name)
	b.events.Record(ctx, record.Event{
		About: corev1.ObjectReference{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "ServiceCIDR", Name: c.Name, UID: c.UID},
		Type:  corev1.EventTypeWarning, Reason: reason, Message: message,
	})
}

// ensureService makes default/kubernetes, which is this API for pods, at the first address of the first range.
func (b *Bootstrap) ensureService(ctx context.Context) error {
	res := corev1.SchemeGroupVersion.WithResource("services")
	if _, ok, err := get[*corev1.Service](ctx, b, res, metav1.NamespaceDefault, kubernetes); ok || err != nil {
		return err
	}
	single, kind := corev1.IPFamilyPolicySingleStack, corev1.ServiceTypeClusterIP
	if b.NodePort != 0 {
		kind = corev1.ServiceTypeNodePort
	}
	return b.create(ctx, res, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: kubernetes, Namespace: metav1.NamespaceDefault, Labels: map[string]string{"provider": kubernetes, "component": "apiserver"},
		},
		Spec: corev1.ServiceSpec{
			Ports:     []corev1.ServicePort{{Name: portName, Protocol: corev1.ProtocolTCP, Port: servicePort, TargetPort: intstr.FromInt32(b.Port), NodePort: b.NodePort}},
			ClusterIP: b.Ranges[0].First().String(), IPFamilyPolicy: &single, SessionAffinity: corev1.ServiceAffinityNone, Type: kind,
		},
	})
}
