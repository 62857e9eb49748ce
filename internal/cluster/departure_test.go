package cluster

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// held is the machine's clock, but for waits of one length, which last until they are let go.
type held struct {
	clock.RealClock
	length time.Duration
	fake   *clocktesting.FakeClock
}

func (h held) NewTimer(d time.Duration) clock.Timer {
	if d == h.length {
		return h.fake.NewTimer(d)
	}
	return h.RealClock.NewTimer(d)
}

// TestDelayOfTheEnd: a server that is told to end is not ready from then on, and no endpoint of default/kubernetes; it serves and works as before until
// its delay is over.
func TestDelayOfTheEnd(t *testing.T) {
	const delay = time.Hour + time.Second
	fake := clocktesting.NewFakeClock(time.Now())
	c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
	c.env.Clock = held{length: delay, fake: fake}
	c.env.Config.API.ShutdownDelayDuration.Duration, c.env.Config.API.ShutdownSendRetryAfter = delay, true
	c.env.Config.Network.EndpointReconcilerType, c.env.Config.Network.AdvertiseAddress = reconcileByLease, "192.0.2.1"
	c.start(t)
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	eventually := func(what string, done func(ctx context.Context) bool) {
		t.Helper()
		if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) { return done(ctx), nil }); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	endpoints := func(ctx context.Context) int {
		slice, err := client.DiscoveryV1().EndpointSlices("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return 0
		}
		return len(slice.Endpoints)
	}
	ready := func(ctx context.Context) bool {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
	}
	eventually("an endpoint", func(ctx context.Context) bool { return endpoints(ctx) == 1 && ready(ctx) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.stop()
	}()
	eventually("not ready", func(ctx context.Context) bool { return !ready(ctx) })
	eventually("no endpoint", func(ctx context.Context) bool { return endpoints(ctx) == 0 })
	eventually("the delay", func(context.Context) bool { return fake.HasWaiters() })
	// Controllers work, too: a namespace is emptied and goes.
	namespaces := client.CoreV1().Namespaces()
	if err := namespaces.Delete(t.Context(), "kube-node-lease", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	eventually("a namespace is gone", func(ctx context.Context) bool {
		_, err := namespaces.Get(ctx, "kube-node-lease", metav1.GetOptions{})
		return err != nil
	})
	select {
	case <-ended:
		t.Error("ended before its delay")
	default:
	}
	fake.Step(delay)
	<-ended
}

// TestAddressFamily: endpoints of default/kubernetes are of the service's family, or the server says what to set.
func TestAddressFamily(t *testing.T) {
	env := alone(filepath.Join(t.TempDir(), "data"))
	env.Config.Network.EndpointReconcilerType, env.Config.Network.AdvertiseAddress = reconcileByLease, "2001:db8::1"
	err := Run(t.Context(), env)
	want := `bootstrap: service IP family "10.96.0.0/12" must match public address family "2001:db8::1": set --advertise-address, or --service-cluster-ip-range in the order that fits`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestServiceOnNodes: default/kubernetes is made to answer at a port of nodes, too.
func TestServiceOnNodes(t *testing.T) {
	c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
	c.env.Config.Network.KubernetesServiceNodePort = 30443
	c.start(t)
	defer c.stop()
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || service.Spec.Type != corev1.ServiceTypeNodePort || service.Spec.Ports[0].NodePort != 30443 {
		t.Errorf("got %+v, %v", service.Spec, err)
	}
}
