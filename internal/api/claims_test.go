//lint:file-ignore SA1019 upstream has deprecated Endpoints, and serves them all the same

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/store"
)

var services = corev1.SchemeGroupVersion.WithResource("services")

// network is an API with a range of addresses, and who may do everything there.
func network(t *testing.T, cidr string) (*apitest.Cluster, client.Client) {
	t.Helper()
	c := apitest.New(t)
	admin := inprocess.New(c.API, apitest.Administrator())
	cidrs := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}}}
	if _, err := admin.Create(t.Context(), allocation.Ranges, cidrs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return c, admin
}

// service reads a service's specification with ' for ".
func service(t *testing.T, name, spec string) *corev1.Service {
	t.Helper()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(spec, "'", `"`)), &svc.Spec); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return svc
}

// taken are the names of the addresses that are taken, and the ports.
func taken(t *testing.T, c *apitest.Cluster, admin client.Client) (addresses, ports []string) {
	t.Helper()
	view, err := admin.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for obj := range view.List(allocation.Addresses, "") {
		addresses = append(addresses, obj.GetName())
	}
	if item := c.API.Store.Snapshot().Get("/registry/ranges/servicenodeports"); item != nil {
		obj, err := item.Object()
		if err != nil {
			t.Fatal(err)
		}
		list, ok := allocation.ReadPorts(allocation.DefaultPorts, obj.(*corev1.RangeAllocation))
		if !ok {
			t.Fatalf("range %s", obj.(*corev1.RangeAllocation).Range)
		}
		for port := range list.All() {
			ports = append(ports, fmt.Sprint(port))
		}
	}
	return addresses, ports
}

func TestServicesCreatedAtOnceShareNothing(t *testing.T) {
	c, admin := network(t, "10.0.0.0/24")
	const clients, each = 32, 4
	var all sync.WaitGroup
	errs := make(chan error, clients*each)
	for i := range clients {
		all.Go(func() {
			for j := range each {
				svc := service(t, fmt.Sprintf("s%d-%d", i, j), `{'type':'NodePort','ports':[{'name':'a','port':80},{'name':'b','port':81}]}`)
				_, err := admin.Create(context.Background(), services, svc, metav1.CreateOptions{})
				errs <- err
			}
		})
	}
	all.Wait()
	for range clients * each {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	addresses, ports := taken(t, c, admin)
	if len(addresses) != clients*each || len(ports) != 2*clients*each {
		t.Fatalf("%d addresses and %d ports are taken by %d services", len(addresses), len(ports), clients*each)
	}
	view, _ := admin.View(t.Context())
	owners := map[string]string{}
	for obj := range view.List(services, "default") {
		svc := obj.(*corev1.Service)
		for _, what := range []string{svc.Spec.ClusterIP, fmt.Sprint(svc.Spec.Ports[0].NodePort), fmt.Sprint(svc.Spec.Ports[1].NodePort)} {
			if other := owners[what]; other != "" || !slices.Contains(addresses, what) && !slices.Contains(ports, what) {
				t.Errorf("%s has %s, and so has %q", svc.Name, what, other)
			}
			owners[what] = svc.Name
		}
		ip := view.Get(allocation.Addresses, "", svc.Spec.ClusterIP).(*networkingv1.IPAddress)
		if !allocation.IsOf(ip, "default", svc.Name) || ip.UID == "" || ip.CreationTimestamp.IsZero() {
			t.Errorf("%+v", ip)
		}
	}
}

// claimed are the steps of one service: what is asked for, and what comes of it.
func TestServiceTakesAndReleases(t *testing.T) {
	c, admin := network(t, "10.0.0.0/27")
	ctx := t.Context()
	want := func(step string, addresses, ports []string) {
		t.Helper()
		if a, p := taken(t, c, admin); !slices.Equal(a, addresses) || !slices.Equal(p, ports) {
			t.Errorf("%s: taken %v %v, want %v %v", step, a, p, addresses, ports)
		}
	}
	create := func(svc *corev1.Service, opts metav1.CreateOptions) (*corev1.Service, error) {
		obj, err := admin.Create(ctx, services, svc, opts)
		if err != nil {
			return nil, err
		}
		return obj.(*corev1.Service), nil
	}
	put := func(change func(*corev1.Service)) (*corev1.Service, error) {
		old, err := admin.Get(ctx, services, "default", "a")
		if err != nil {
			t.Fatal(err)
		}
		next := old.DeepCopyObject().(*corev1.Service)
		change(next)
		obj, err := admin.Update(ctx, services, next, "")
		if err != nil {
			return nil, err
		}
		return obj.(*corev1.Service), nil
	}
	svc, err := create(service(t, "dry", `{'type':'NodePort','ports':[{'port':80}]}`), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil || svc.Spec.ClusterIP != "10.0.0.0" || svc.Spec.Ports[0].NodePort != 32769 {
		t.Fatalf("%v %+v", err, svc)
	}
	want("dry run", nil, nil)
	if svc, err = create(service(t, "a", `{'clusterIP':'10.0.0.9','type':'NodePort','ports':[{'name':'u','port':53,'protocol':'UDP'},{'name':'t','port':53,'nodePort':30053}]}`), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := svc.Spec; s.Ports[0].NodePort != 30053 || *s.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack || !slices.Equal(s.IPFamilies, []corev1.IPFamily{"IPv4"}) || s.ClusterIPs[0] != "10.0.0.9" {
		t.Errorf("%+v", s)
	}
	want("by name", []string{"10.0.0.9"}, []string{"30053"})
	if svc, err = put(func(s *corev1.Service) {
		s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "", nil, nil, nil
		s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort = 0, 30054
	}); err != nil || svc.Spec.ClusterIP != "10.0.0.9" {
		t.Errorf("%v %+v", err, svc)
	}
	want("a put of the file, with one port changed", []string{"10.0.0.9"}, []string{"30053", "30054"})
	if _, err = put(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }); err != nil {
		t.Error(err)
	}
	want("no ports of nodes", []string{"10.0.0.9"}, nil)
	if svc, err = put(func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, 30099
		s.Spec.AllocateLoadBalancerNodePorts = new(bool)
	}); err != nil || svc.Spec.Ports[0].NodePort != 0 {
		t.Errorf("%v %+v", err, svc)
	}
	want("a balancer that wants no ports", []string{"10.0.0.9"}, []string{"30099"})
	if svc, err = put(func(s *corev1.Service) { s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "a.b" }); err != nil || svc.Spec.ClusterIP != "" {
		t.Errorf("%v %+v", err, svc)
	}
	want("only a name", nil, nil)
	if svc, err = put(func(s *corev1.Service) { s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeNodePort, "" }); err != nil || svc.Spec.ClusterIP == "" || svc.Spec.Ports[0].NodePort == 0 {
		t.Fatalf("%v %+v", err, svc)
	}
	want("by chance", []string{svc.Spec.ClusterIP}, slices.Sorted(slices.Values([]string{fmt.Sprint(svc.Spec.Ports[0].NodePort), fmt.Sprint(svc.Spec.Ports[1].NodePort)})))
	endpoints := corev1.SchemeGroupVersion.WithResource("endpoints")
	if _, err := admin.Create(ctx, endpoints, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}, metav1.CreateOptions{}); err != nil { //nolint:staticcheck // upstream keeps them
		t.Fatal(err)
	}
	if _, err := admin.Delete(ctx, services, "default", "a", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	want("deleted", nil, nil)
	if _, err := admin.Get(ctx, endpoints, "default", "a"); !apierrors.IsNotFound(err) {
		t.Errorf("its endpoints: %v", err)
	}
}

func TestWhatServicesCannotHave(t *testing.T) {
	_, admin := network(t, "10.0.0.0/27")
	create := func(name, spec string) (kinds.Object, error) {
		return admin.Create(t.Context(), services, service(t, name, spec), metav1.CreateOptions{})
	}
	if _, err := create("first", `{'type':'NodePort','clusterIP':'10.0.0.9','ports':[{'port':80,'nodePort':30080}]}`); err != nil {
		t.Fatal(err)
	}
	const web = `'ports':[{'port':80}]`
	for _, c := range []struct{ spec, want string }{
		{`{'clusterIP':'10.0.0.9',` + web + `}`, `spec.clusterIPs: Invalid value: ["10.0.0.9"]: failed to allocate IP 10.0.0.9: provided IP is already allocated`},
		{`{'clusterIP':'10.1.0.9',` + web + `}`, `spec.clusterIPs: Invalid value: ["10.1.0.9"]: failed to allocate IP 10.1.0.9: the provided network does not match the current range`},
		{`{'clusterIP':'10.0.0.0',` + web + `}`, `spec.clusterIPs: Invalid value: ["10.0.0.0"]: failed to allocate IP 10.0.0.0: the provided network does not match the current range`},
		{`{'clusterIP':'fd00::1',` + web + `}`, `spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster`},
		{`{'ipFamilyPolicy':'RequireDualStack',` + web + `}`, `spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`},
		{`{'ipFamilies':['IPv6'],` + web + `}`, `spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`},
		{`{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}`, `spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`},
		{`{'type':'NodePort','ports':[{'port':80,'nodePort':80}]}`, `spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767`},
		{`{'type':'LoadBalancer','externalTrafficPolicy':'Local','healthCheckNodePort':30080,` + web + `}`, `failed to allocate requested HealthCheck NodePort 30080: provided port is already allocated`},
	} {
		if _, err := create("second", c.spec); err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.spec, err, c.want)
		}
	}
	for i := range 29 {
		if _, err := create(fmt.Sprintf("s%d", i), `{`+web+`}`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := create("one-too-many", `{`+web+`}`); err == nil || !strings.HasSuffix(err.Error(), `failed to allocate a serviceIP for Service "one-too-many": range is full`) {
		t.Error(err)
	}
	obj, err := create("headless", `{'clusterIP':'None'}`)
	if err != nil || *obj.(*corev1.Service).Spec.IPFamilyPolicy != corev1.IPFamilyPolicyRequireDualStack || len(obj.(*corev1.Service).Spec.IPFamilies) != 2 {
		t.Errorf("%v %+v", err, obj)
	}
}

// TestOwnersOfWhatKindsWrite: the fields of what a kind writes beside its own objects belong to the API server's own manager, as upstream's, which is a client
// of itself there.
func TestOwnersOfWhatKindsWrite(t *testing.T) {
	_, admin := network(t, "10.0.0.0/27")
	ctx := t.Context()
	svc, err := admin.Create(ctx, services, service(t, "a", `{'ports':[{'port':80}]}`), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	address, err := admin.Get(ctx, allocation.Addresses, "", svc.(*corev1.Service).Spec.ClusterIP)
	if err != nil {
		t.Fatal(err)
	}
	const fields = `{"f:metadata":{"f:labels":{".":{},"f:ipaddress.kubernetes.io/ip-family":{},"f:ipaddress.kubernetes.io/managed-by":{}}},` +
		`"f:spec":{"f:parentRef":{".":{},"f:name":{},"f:namespace":{},"f:resource":{}}}}`
	list := address.GetManagedFields()
	if len(list) != 1 || list[0].Manager != "kube-apiserver" || list[0].APIVersion != "networking.k8s.io/v1" || list[0].FieldsV1.GetRawString() != fields {
		t.Errorf("an address that was taken belongs to %+v", list)
	}
}

// TestFirstUpdateOfAClaim: a claim's first update is a change though it says nothing new, as upstream's is, which stores no phase of a new claim; the next is none.
func TestFirstUpdateOfAClaim(t *testing.T) {
	admin := inprocess.New(apitest.New(t).API, apitest.Administrator())
	claims := corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	obj, err := admin.Create(t.Context(), claims, claim, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for range 3 {
		if phase := obj.(*corev1.PersistentVolumeClaim).Status.Phase; phase != corev1.ClaimPending {
			t.Errorf("phase %q", phase)
		}
		versions = append(versions, obj.GetResourceVersion())
		if obj, err = admin.Update(t.Context(), claims, obj, ""); err != nil {
			t.Fatal(err)
		}
	}
	if versions[0] == versions[1] || versions[1] != versions[2] {
		t.Errorf("versions %v, want the second to differ from the first, and the third to be the second", versions)
	}
}

// TestCanonicalClaim: a claim that upstream has stored without a phase is read with it, and its next update is a change.
func TestCanonicalClaim(t *testing.T) {
	stored := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}}
	value, err := api.Envelope(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), stored.Size(), func(b []byte) error {
		_, err := stored.MarshalToSizedBuffer(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := api.Collections([]*kinds.Kind{core.PersistentVolumeClaim()})[0]
	once := c.Canonical(value)
	obj, _, err := c.Decode(store.NewItem("", once, 0))
	if err != nil || obj.(*corev1.PersistentVolumeClaim).Status.Phase != corev1.ClaimPending {
		t.Fatalf("read as %+v, %v", obj, err)
	}
	if again := c.Canonical(once); !bytes.Equal(again, once) {
		t.Error("what floe reads is not what it would read again")
	}
}
