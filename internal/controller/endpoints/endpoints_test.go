//lint:file-ignore SA1019 upstream has deprecated Endpoints, and keeps them all the same

package endpoints

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
)

var (
	podsOf   = corev1.SchemeGroupVersion.WithResource("pods")
	services = corev1.SchemeGroupVersion.WithResource("services")
	web      = map[string]string{"app": "web"}
)

func putPod(b *bed.Bed, i int, ready bool) {
	b.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprint("p", i), Labels: web}}
	p.Spec = corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}}}
	b.Put(podsOf, p)
	bed.Change(b, podsOf, "default", p.Name, "status", func(p *corev1.Pod) {
		p.Status.Phase, p.Status.PodIPs = corev1.PodRunning, []corev1.PodIP{{IP: fmt.Sprintf("10.1.%d.%d", i/200, i%200+1)}}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
		if ready {
			p.Status.Conditions[0].Status = corev1.ConditionTrue
		}
	})
}

func putService(b *bed.Bed, change func(*corev1.Service)) {
	b.Helper()
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{"tier": "a"}}}
	s.Spec = corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: web, Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("web"), Protocol: corev1.ProtocolTCP}}}
	change(s)
	b.Put(services, s)
}

// show is subsets in one line: ports, ready addresses, and the others after an exclamation mark.
func show(subsets []corev1.EndpointSubset) string {
	var out []string
	for _, s := range subsets {
		var text []string
		for _, p := range s.Ports {
			text = append(text, fmt.Sprint(p.Name, "=", p.Port))
		}
		slices.Sort(text)
		for _, a := range s.Addresses {
			text = append(text, a.IP)
		}
		for _, a := range s.NotReadyAddresses {
			text = append(text, "!"+a.IP)
		}
		out = append(out, strings.Join(text, " "))
	}
	slices.Sort(out)
	return strings.Join(out, " | ")
}

func TestEndpoints(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Service)
		want   string
	}{
		"plain":        {func(*corev1.Service) {}, "http=8080 10.1.0.1 !10.1.0.2"},
		"not ready":    {func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true }, "http=8080 10.1.0.1 10.1.0.2"},
		"no ports":     {func(s *corev1.Service) { s.Spec.Ports = nil }, "10.1.0.1 !10.1.0.2"},
		"no such port": {func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("x") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := bed.New(t, 1)
			b.Sim.Add(New())
			putPod(b, 0, true)
			putPod(b, 1, false)
			putService(b, c.change)
			b.Settle()
			e := bed.Get[*corev1.Endpoints](b, Resource(), "default", "web")
			if got := show(e.Subsets); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if want := map[string]string{"tier": "a", corev1.IsHeadlessService: "", managedBy: component}; fmt.Sprint(e.Labels) != fmt.Sprint(want) {
				t.Errorf("labels %v", e.Labels)
			}
			b.Remove(services, "default", "web")
			b.Settle()
			if e := bed.Get[*corev1.Endpoints](b, Resource(), "default", "web"); e != nil {
				t.Errorf("without their service: %+v", e)
			}
		})
	}
}

// TestOthersAreLeftAlone: Endpoints of services without a selector stay, a leader's lock too; the former go with their service.
func TestOthersAreLeftAlone(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(New())
	putService(b, func(s *corev1.Service) { s.Spec.Selector = nil })
	meta := metav1.ObjectMeta{Namespace: "default", Name: "web"}
	b.Put(Resource(), &corev1.Endpoints{ObjectMeta: meta, Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.9.9.9"}}, Ports: []corev1.EndpointPort{{Port: 1}}}}})
	meta.Name, meta.Annotations = "lock", map[string]string{lock: "{}"}
	b.Put(Resource(), &corev1.Endpoints{ObjectMeta: meta})
	b.Settle()
	if e := bed.Get[*corev1.Endpoints](b, Resource(), "default", "web"); show(e.Subsets) != "=1 10.9.9.9" {
		t.Errorf("got %s", show(e.Subsets))
	}
	b.Remove(services, "default", "web")
	b.Settle()
	for name, want := range map[string]bool{"web": false, "lock": true} {
		if e := bed.Get[*corev1.Endpoints](b, Resource(), "default", name); (e != nil) != want {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func addresses(prefix string, n int) (list []corev1.EndpointAddress) {
	for i := range n {
		list = append(list, corev1.EndpointAddress{IP: fmt.Sprintf("%s.%d.%d", prefix, i/200, i%200+1), TargetRef: &corev1.ObjectReference{UID: types.UID(fmt.Sprint(prefix, i))}})
	}
	return list
}

func TestTruncate(t *testing.T) {
	for name, c := range map[string]struct {
		ready, others []int // of each subset
		want          string
		over          bool
	}{
		"enough room":    {[]int{500}, []int{500}, "500+500", false},
		"too many":       {[]int{1001}, []int{5}, "1000+0", true},
		"too many wait":  {[]int{600}, []int{600}, "600+400", true},
		"of both a part": {[]int{900, 600}, []int{0, 9}, "600+0 400+0", true},
		"waiting parts":  {[]int{100, 100}, []int{600, 900}, "100+320 100+480", true},
	} {
		var list []corev1.EndpointSubset
		for i := range c.ready {
			list = append(list, corev1.EndpointSubset{Addresses: addresses(fmt.Sprint("10.", i), c.ready[i]), NotReadyAddresses: addresses(fmt.Sprint("11.", i), c.others[i])})
		}
		over := truncate(list)
		var got []string
		for _, s := range list {
			got = append(got, fmt.Sprint(len(s.Addresses), "+", len(s.NotReadyAddresses)))
		}
		if text := strings.ReplaceAll(strings.Join(got, " "), " +", "+"); strings.ReplaceAll(text, "+ ", "+") != c.want || over != c.over {
			t.Errorf("%s: got %s, %v, want %s, %v", name, text, over, c.want, c.over)
		}
	}
}

func TestRepack(t *testing.T) {
	one := func(port int32, ready, others string) corev1.EndpointSubset {
		s := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: fmt.Sprint("p", port), Port: port}}}
		for _, ip := range strings.Fields(ready) {
			s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip})
		}
		for _, ip := range strings.Fields(others) {
			s.NotReadyAddresses = append(s.NotReadyAddresses, corev1.EndpointAddress{IP: ip})
		}
		return s
	}
	for name, c := range map[string]struct {
		in   []corev1.EndpointSubset
		want string
	}{
		"same hosts":      {[]corev1.EndpointSubset{one(1, "b a", ""), one(2, "a b", "")}, "p1=1 p2=2 a b"},
		"other hosts":     {[]corev1.EndpointSubset{one(1, "a b", ""), one(2, "a", "")}, "p1=1 a b | p2=2 a"},
		"other readiness": {[]corev1.EndpointSubset{one(1, "a", ""), one(2, "", "a")}, "p1=1 a | p2=2 !a"},
		"never ready":     {[]corev1.EndpointSubset{one(1, "a", ""), one(1, "", "a")}, "p1=1 !a"},
		"nothing":         {nil, ""},
	} {
		if got := show(Repack(c.in)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
