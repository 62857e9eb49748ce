package core_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

// TestTwoFamilies goes through what services say of families, in a cluster that has both. Chance always picks the first of a band.
func TestTwoFamilies(t *testing.T) {
	k := core.Service(core.ServiceNetwork{Families: []corev1.IPFamily{"IPv6", "IPv4"}})
	there := func(addresses ...string) kindtest.Objects {
		o := kindtest.Objects{allocation.Addresses: {}, allocation.Ranges: {}}
		for name, cidr := range map[string]string{"kubernetes": "10.0.0.0/27", "six": "fd00::/112"} {
			o[allocation.Ranges]["/"+name] = &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{cidr}}}
		}
		for _, text := range addresses {
			addr, _ := allocation.Parse(text)
			o[allocation.Addresses]["/"+text] = allocation.NewAddress(addr, &corev1.Service{})
		}
		return o
	}
	first := env()
	first.Pick = func(int) int { return 0 }
	const web, single, both = `'ports':[{'port':80}]`, `'ipFamilyPolicy':'SingleStack',`, `'ipFamilyPolicy':'RequireDualStack',`
	one := `{'spec':{` + single + `'clusterIP':'fd00::5','clusterIPs':['fd00::5'],'ipFamilies':['IPv6'],` + web + `}}`
	two := `{'spec':{` + both + `'clusterIP':'fd00::5','clusterIPs':['fd00::5','10.0.0.5'],'ipFamilies':['IPv6','IPv4'],` + web + `}}`
	for _, c := range []struct{ name, obj, old, want string }{
		{"the default", `{'spec':{` + web + `}}`, "", "IPv6 SingleStack fd00::101 +fd00::101"},
		{"the other", `{'spec':{'ipFamilies':['IPv4'],` + web + `}}`, "", "IPv4 SingleStack 10.0.0.17 +10.0.0.17"},
		{"both", `{'spec':{'ipFamilyPolicy':'PreferDualStack',` + web + `}}`, "", "IPv6,IPv4 PreferDualStack fd00::101,10.0.0.17 +fd00::101 +10.0.0.17"},
		{"by its address", `{'spec':{'clusterIP':'10.0.0.3',` + web + `}}`, "", "IPv4 SingleStack 10.0.0.3 +10.0.0.3"},
		{"two of one policy", `{'spec':{` + single + `'ipFamilies':['IPv4','IPv6'],` + web + `}}`, "", "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"},
		{"a second comes", `{'spec':{` + both + `'ipFamilies':['IPv6'],` + web + `}}`, one, "IPv6,IPv4 RequireDualStack fd00::5,10.0.0.17 +10.0.0.17"},
		{"the second goes", `{'spec':{` + single + `'clusterIP':'fd00::5','clusterIPs':['fd00::5','10.0.0.5'],'ipFamilies':['IPv6','IPv4'],` + web + `}}`, two, "IPv6 SingleStack fd00::5 -10.0.0.5"},
		{"the second may not go so", `{'spec':{` + both + `'clusterIP':'fd00::5','clusterIPs':['fd00::5'],'ipFamilies':['IPv6','IPv4'],` + web + `}}`, two, "must be 'SingleStack' to release the secondary cluster IP"},
		{"only a name", `{'spec':{'type':'ExternalName','externalName':'a'}}`, two, "   -fd00::5 -10.0.0.5"},
		{"from a name", `{'spec':{` + web + `}}`, `{'spec':{'type':'ExternalName','externalName':'a'}}`, "IPv6 SingleStack fd00::101 +fd00::101"},
		{"gone", "", two, "-fd00::5 -10.0.0.5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := there("fd00::5", "10.0.0.5")
			var obj, old kinds.Object
			if c.obj != "" {
				obj = parse(t, k, c.obj)
			}
			if c.old != "" {
				old = parse(t, k, c.old)
			}
			for name, a := range o[allocation.Addresses] { // they are this service's
				a.(*networkingv1.IPAddress).Spec.ParentRef = &networkingv1.ParentReference{Resource: "services"}
				o[allocation.Addresses][name] = a
			}
			writes, err := k.Claim(first, obj, old, o)
			if err != nil {
				if !strings.HasSuffix(err.Error(), c.want) {
					t.Errorf("%v, want %s", err, c.want)
				}
				return
			}
			var got []string
			if svc, ok := obj.(*corev1.Service); ok {
				var families []string
				for _, f := range svc.Spec.IPFamilies {
					families = append(families, string(f))
				}
				policy := ""
				if svc.Spec.IPFamilyPolicy != nil {
					policy = string(*svc.Spec.IPFamilyPolicy)
				}
				got = append(got, strings.Join(families, ","), policy, strings.Join(svc.Spec.ClusterIPs, ","))
			}
			for _, w := range writes {
				switch {
				case w.Resource != allocation.Addresses:
				case w.Object == nil:
					got = append(got, "-"+w.Name)
				default:
					got = append(got, "+"+w.Name)
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		})
	}
}

// TestChanceKeepsToTheUpperBand takes ports until there are none: the last are those of the lower band.
func TestChanceKeepsToTheUpperBand(t *testing.T) {
	r := allocation.DefaultPorts
	r.Size = 40
	ports := allocation.NewPorts(r)
	var order []int
	for {
		port, err := ports.Next(func(n int) int { return n - 1 })
		if err != nil {
			break
		}
		order = append(order, port)
	}
	if len(order) != 40 || slices.Min(order[:24]) != 30016 || slices.Max(order[24:]) != 30015 || ports.Free() != 0 {
		t.Errorf("%v", order)
	}
	stored := &corev1.RangeAllocation{}
	ports.Release(30003)
	ports.Stored(stored)
	again, ok := allocation.ReadPorts(r, stored)
	if !ok || again.Has(30003) || !again.Has(30004) || again.Used() != 39 || stored.Range != "30000-30039" {
		t.Errorf("%+v", stored)
	}
}
