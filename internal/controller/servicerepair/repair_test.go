package servicerepair_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/servicerepair"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/observe"
)

var events = corev1.SchemeGroupVersion.WithResource("events")

// bed is a cluster in virtual time.
type bed struct {
	*testing.T
	*controllertest.Cluster
}

func (b bed) make(res client.Resource, obj kinds.Object) {
	b.Helper()
	if _, err := b.Create(b.Context(), res, obj, metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
}

func service(name, spec string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(spec, "'", `"`)), &svc.Spec); err != nil {
		panic(fmt.Sprintf("%s: %v", spec, err))
	}
	return svc
}

func cidr(name, text string) *networkingv1.ServiceCIDR {
	return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{text}}}
}

// state is every address with its owner, and every event's reason and object, sorted.
func (b bed) state() (list []string) {
	view, err := b.View(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	for obj := range view.List(allocation.Addresses, "") {
		list = append(list, obj.GetName()+" "+obj.(*networkingv1.IPAddress).Spec.ParentRef.Name)
	}
	for obj := range view.List(events, "") {
		e := obj.(*corev1.Event)
		list = append(list, e.Reason+" "+e.InvolvedObject.Name)
	}
	slices.Sort(list)
	return list
}

// run runs controllers, with f beside them, in virtual time.
func run(t *testing.T, list []engine.Controller, f func(b bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bed{t, controllertest.New(clock.RealClock{})}
		e := engine.New(engine.Config{Clock: clock.RealClock{}, Log: observe.Discard(), Rand: rand.New(rand.NewSource(1)), Clients: func(string) client.Client { return b.Cluster }})
		for _, c := range list {
			if err := e.Register(c); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		f(b)
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestAddressesBelongToTheirServices(t *testing.T) {
	run(t, []engine.Controller{servicerepair.Addresses()}, func(b bed) {
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		want := func(step string, list ...string) {
			b.Helper()
			if got := b.state(); !slices.Equal(got, list) {
				b.Errorf("%s: %q, want %q", step, got, list)
			}
		}
		b.make(allocation.Ranges, cidr("kubernetes", "10.0.0.0/24"))
		a, other := service("a", `{'type':'ClusterIP','clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1']}`), service("b", `{'type':'ClusterIP','clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1']}`)
		addr, _ := allocation.Parse("10.0.0.1")
		b.make(allocation.Addresses, allocation.NewAddress(addr, a))
		b.make(servicerepair.Services, a)
		pass(time.Second)
		want("as it should be", "10.0.0.1 a")
		b.make(servicerepair.Services, other)
		pass(time.Second)
		want("of two services", "10.0.0.1 a", "ClusterIPAlreadyAllocated b")
		if _, err := b.Delete(b.Context(), allocation.Addresses, "", "10.0.0.1", metav1.DeleteOptions{}); err != nil {
			b.Fatal(err)
		}
		b.make(servicerepair.Services, service("far", `{'type':'ClusterIP','clusterIP':'10.9.0.1','clusterIPs':['10.9.0.1']}`))
		pass(time.Second)
		if got := b.state(); !slices.Contains(got, "ClusterIPNotAllocated a") || !slices.Contains(got, "10.0.0.1 a") || !slices.Contains(got, "ClusterIPOutOfRange far") {
			b.Errorf("repaired: %q", got)
		}
		addr, _ = allocation.Parse("10.0.0.7")
		b.make(allocation.Addresses, allocation.NewAddress(addr, service("nobody", `{}`)))
		pass(50 * time.Second)
		if got := b.state(); !slices.Contains(got, "10.0.0.7 nobody") {
			b.Errorf("before a minute is over: %q", got)
		}
		pass(20 * time.Second)
		if got := b.state(); slices.Contains(got, "10.0.0.7 nobody") || !slices.Contains(got, "IPAddressNotAllocated 10.0.0.7") {
			b.Errorf("after it: %q", got)
		}
	})
}

func TestPortsAreThoseOfServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bed{t, controllertest.New(clock.RealClock{})}
		for name, spec := range map[string]string{
			"a": `{'ports':[{'nodePort':30001,'protocol':'TCP'},{'nodePort':30001,'protocol':'UDP'}]}`, "b": `{'ports':[{'nodePort':30001}]}`, "c": `{'ports':[{'nodePort':30002}]}`, "d": `{'ports':[{'nodePort':80}]}`,
		} {
			b.make(servicerepair.Services, service(name, spec))
		}
		ports, stored := allocation.NewPorts(allocation.DefaultPorts), &corev1.RangeAllocation{}
		for _, port := range []int{30001, 30009} { // the last has leaked
			if err := ports.Take(port); err != nil {
				t.Fatal(err)
			}
		}
		ports.Stored(stored)
		p := servicerepair.Ports{
			Client: b.Cluster, Clock: clock.RealClock{}, Log: observe.Discard(), Range: allocation.DefaultPorts,
			Keep: func(_ context.Context, next func(*corev1.RangeAllocation) (*corev1.RangeAllocation, error)) (err error) {
				stored, err = next(stored)
				return err
			},
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		taken := func() []int {
			synctest.Wait()
			now, ok := allocation.ReadPorts(allocation.DefaultPorts, stored)
			if !ok {
				t.Fatal(stored.Range)
			}
			return slices.Collect(now.All())
		}
		if got := taken(); !slices.Equal(got, []int{30001, 30002, 30009}) {
			t.Errorf("at first: %v", got)
		}
		if got, want := b.state(), []string{"PortAlreadyAllocated b", "PortNotAllocated c", "PortOutOfRange d"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		<-time.After(7 * time.Minute)
		if got := taken(); !slices.Equal(got, []int{30001, 30002, 30009}) {
			t.Errorf("after three looks: %v", got)
		}
		<-time.After(3 * time.Minute)
		if got := taken(); !slices.Equal(got, []int{30001, 30002}) {
			t.Errorf("after the fourth: %v", got)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
