package bootstrap_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/bootstrap"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/observe"
)

// leases are kept in a map; a renewal counts.
type leases map[string]int

func (l leases) Renew(_ context.Context, address string) error { l[address]++; return nil }

func (l leases) List(context.Context) (list []bootstrap.Lease, _ error) {
	for a, n := range l {
		list = append(list, bootstrap.Lease{Address: a, Sign: strings.Repeat("x", n)})
	}
	return list, nil
}

func (l leases) Remove(_ context.Context, address, sign string) error {
	if sign == "" || sign == strings.Repeat("x", l[address]) {
		delete(l, address)
	}
	return nil
}

// bed is an API with a bootstrap that has not begun.
type bed struct {
	*apitest.Cluster
	client.Client
	*bootstrap.Bootstrap
	leases leases
	start  func() *bootstrap.Bootstrap // another server with the same configuration
}

func newBed(t *testing.T, ranges ...string) *bed {
	t.Helper()
	c := apitest.New(t)
	b := &bed{Cluster: c, Client: inprocess.New(c.API, apitest.Administrator()), leases: leases{}}
	cfg := bootstrap.Config{
		Client: b.Client, Clock: c.Clock, Log: observe.Discard(), Address: netip.MustParseAddr("192.0.2.1"), Port: 16443, Leases: b.leases, Host: "one", Instance: "i",
	}
	for _, text := range ranges {
		r, ok := allocation.NewRange(netip.MustParsePrefix(text))
		if !ok {
			t.Fatal(text)
		}
		cfg.Ranges = append(cfg.Ranges, r)
	}
	for _, k := range all.Kinds() {
		cfg.Served = append(cfg.Served, k.GVK.GroupVersion()) // more than once: what is there twice is one
	}
	b.start = func() *bootstrap.Bootstrap { return bootstrap.New(cfg) }
	b.Bootstrap = b.start()
	return b
}

// run runs it until the test has looked at what it does.
func (b *bed) run(t *testing.T, look func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	look()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// eventually waits until an object is as it should be; the clock goes on meanwhile.
func eventually[T kinds.Object](t *testing.T, b *bed, res client.Resource, name string, good func(T) bool) T {
	t.Helper()
	var last T
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); b.Clock.Step(5 * time.Second) {
		view, err := b.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if obj, ok := view.Get(res, "default", name).(T); ok {
			if last = obj; good(obj) {
				return obj
			}
		}
	}
	t.Fatalf("%s %s: %+v", res.Resource, name, last)
	return last
}

func TestInitialObjectsAreUpstreams(t *testing.T) {
	b := newBed(t, "10.0.0.0/16")
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/upstream.json")
	if err != nil {
		t.Fatal(err)
	}
	var want []unstructured.Unstructured
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	resources := map[string]*kinds.Kind{}
	for _, k := range all.Kinds() {
		resources[k.GVK.String()] = k
	}
	for _, w := range want {
		if w.GetName() == "extension-apiserver-authentication" {
			continue // told by the parts that serve extensions
		}
		k := resources[w.GroupVersionKind().String()]
		got, err := b.Get(t.Context(), k.GVR(), w.GetNamespace(), w.GetName())
		if err != nil {
			t.Error(err)
			continue
		}
		plain, err := runtime.DefaultUnstructuredConverter.ToUnstructured(got)
		if err != nil {
			t.Fatal(err)
		}
		meta := map[string]any{}
		for _, field := range []string{"name", "namespace", "labels", "annotations"} {
			if v, ok := plain["metadata"].(map[string]any)[field]; ok {
				meta[field] = v
			}
		}
		plain["metadata"], plain["kind"], plain["apiVersion"] = meta, k.GVK.Kind, k.GVK.GroupVersion().String()
		delete(plain, "status")
		if k.GVK.Kind == "ConfigMap" && plain["data"].(map[string]any)["since"] == "2026-01-02" {
			plain["data"] = w.Object["data"] // which has no date there
		}
		if !reflect.DeepEqual(normal(t, plain), normal(t, w.Object)) {
			t.Errorf("got  %v\nwant %v", plain, w.Object)
		}
	}
	before := b.API.Store.Snapshot().Revision()
	if err := b.Ensure(t.Context()); err != nil || b.API.Store.Snapshot().Revision() != before {
		t.Errorf("again: %v, and something was written", err)
	}
}

// normal makes numbers one type.
func normal(t *testing.T, v any) (out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEndpointsNameTheServersThatLive(t *testing.T) {
	b := newBed(t, "10.0.0.0/16")
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.leases["192.0.2.9"] = 1 // it died
	slices0 := discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
	endpoints := corev1.SchemeGroupVersion.WithResource("endpoints")
	names := func(want ...string) func(*discoveryv1.EndpointSlice) bool {
		return func(s *discoveryv1.EndpointSlice) bool {
			var got []string
			for _, e := range s.Endpoints {
				got = append(got, e.Addresses...)
			}
			return slices.Equal(got, want)
		}
	}
	b.run(t, func() {
		s := eventually(t, b, slices0, "kubernetes", names("192.0.2.1"))
		if *s.Ports[0].Port != 16443 || *s.Ports[0].Name != "https" || s.AddressType != discoveryv1.AddressTypeIPv4 {
			t.Errorf("%+v", s)
		}
		bad := s.DeepCopy()
		bad.Endpoints[0].Addresses = []string{"192.0.2.77"}
		if _, err := b.Update(t.Context(), slices0, bad, ""); err != nil {
			t.Fatal(err)
		}
		eventually(t, b, slices0, "kubernetes", names("192.0.2.1"))
		for _, res := range []client.Resource{endpoints, slices0, corev1.SchemeGroupVersion.WithResource("services")} {
			if _, err := b.Delete(t.Context(), res, "default", "kubernetes", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, b, res, "kubernetes", func(kinds.Object) bool { return true })
		}
	})
	view, _ := b.View(t.Context())
	if s := view.Get(slices0, "default", "kubernetes").(*discoveryv1.EndpointSlice); !names()(s) {
		t.Errorf("after its end the server is still named: %+v", s.Endpoints)
	}
}

func TestSuggestedFlowIsTheAdministratorsOnceHeSaysSo(t *testing.T) {
	b := newBed(t, "10.0.0.0/16")
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	res := flowcontrolv1.SchemeGroupVersion.WithResource("prioritylevelconfigurations")
	shares := func(name string, note map[string]string) int32 {
		t.Helper()
		obj, err := b.Get(t.Context(), res, "", name)
		if err != nil {
			t.Fatal(err)
		}
		next := obj.(*flowcontrolv1.PriorityLevelConfiguration).DeepCopy()
		next.Spec.Limited.NominalConcurrencyShares, next.Annotations = new(int32), note
		if _, err := b.Update(t.Context(), res, next, ""); err != nil {
			t.Fatal(err)
		}
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if obj, err = b.Get(t.Context(), res, "", name); err != nil {
			t.Fatal(err)
		}
		return *obj.(*flowcontrolv1.PriorityLevelConfiguration).Spec.Limited.NominalConcurrencyShares
	}
	const key = flowcontrolv1.AutoUpdateAnnotationKey
	for _, c := range []struct {
		name string
		note map[string]string
		want int32
	}{
		{"workload-low", map[string]string{key: "true"}, 100},
		{"workload-low", map[string]string{key: "false"}, 0},
		{"workload-high", nil, 0},
	} {
		if got := shares(c.name, c.note); got != c.want {
			t.Errorf("%s with %v: %d shares, want %d", c.name, c.note, got, c.want)
		}
	}
	old := &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "old", Annotations: map[string]string{key: "true"}},
		Spec:       flowcontrolv1.PriorityLevelConfigurationSpec{Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject}}},
	}
	if _, err := b.Create(t.Context(), res, old, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if view, _ := b.View(t.Context()); view.Get(res, "", "old") != nil {
		t.Error("a level that no release wants is still there")
	}
}
