package volumes

import (
	"fmt"
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// big is 5,000 nodes in ten zones, each of which attaches 39 volumes of the driver, and 10,000 volumes.
func big(b *testing.B, volume func(i int) *corev1.PersistentVolume) (*Index, *place.Table, *place.Policy) {
	table := place.NewTable()
	x := New(table.Touch)
	for i := range 5000 {
		name := fmt.Sprintf("node-%06d", i)
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name,
			corev1.LabelTopologyZone: fmt.Sprint("zone-", i%10)}}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: gib(32), corev1.ResourcePods: resource.MustParse("110")}
		tell(x, table, n, false)
		c := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: name}}
		c.Spec.Drivers = []storagev1.CSINodeDriver{{Name: driver, Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(39))}}}
		tell(x, table, c, false)
	}
	wait := new(storagev1.VolumeBindingWaitForFirstConsumer)
	tell(x, table, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "wait"}, Provisioner: driver, VolumeBindingMode: wait}, false)
	tell(x, table, &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "local"}, Provisioner: noProvisioner, VolumeBindingMode: wait}, false)
	for i := range 10000 {
		v := volume(i)
		v.ResourceVersion = "1"
		tell(x, table, v, false)
	}
	return x, table, newPolicy(b, x)
}

// withoutRules measures what pods without claims cost where nobody asks about volumes.
const withoutRules = "no claims and no rules"

// BenchmarkDecide decides, assumes and places pods with two claims each, at 5,000 nodes and 10,000 volumes.
func BenchmarkDecide(b *testing.B) {
	local := func(i int) *corev1.PersistentVolume {
		return newVolume(fmt.Sprintf("pv-%06d", i), "local", 2, on(corev1.LabelHostname, fmt.Sprintf("node-%06d", i%5000)), func(v *corev1.PersistentVolume) {
			v.Spec.CSI, v.Spec.Local = nil, &corev1.LocalVolumeSource{Path: "/disk"}
		})
	}
	zonal := func(i int) *corev1.PersistentVolume {
		return newVolume(fmt.Sprintf("pv-%06d", i), "wait", 2, on(corev1.LabelTopologyZone, fmt.Sprint("zone-", i/2%10)))
	}
	for name, c := range map[string]struct {
		volume func(i int) *corev1.PersistentVolume
		claim  func(i, n int) *corev1.PersistentVolumeClaim
	}{
		"no claims":  {zonal, nil},
		withoutRules: {zonal, nil},
		"bound in zones": {zonal, func(i, n int) *corev1.PersistentVolumeClaim {
			return newClaim("", "wait", boundTo(fmt.Sprintf("pv-%06d", i*2+n)))
		}},
		"bound locally": {local, func(i, n int) *corev1.PersistentVolumeClaim {
			return newClaim("", "local", boundTo(fmt.Sprintf("pv-%06d", i+n*5000)))
		}},
		"local disks":   {local, func(i, n int) *corev1.PersistentVolumeClaim { return newClaim("", "local") }},
		"free in zones": {zonal, func(i, n int) *corev1.PersistentVolumeClaim { return newClaim("", "wait") }},
		"to be made":    {local, func(i, n int) *corev1.PersistentVolumeClaim { return newClaim("", "wait") }},
	} {
		b.Run(name, func(b *testing.B) {
			x, table, policy := big(b, c.volume)
			if name == withoutRules {
				policy, _ = place.DefaultProfile().Compile() // which has no part that could fail
			}
			rng := rand.New(rand.NewSource(1))
			step := func(i int) {
				p := newPod(fmt.Sprint("p", i), corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}})
				p.Spec.Containers = []corev1.Container{{Name: "c", Image: "pause"}}
				for n := 0; n < 2 && c.claim != nil; n++ {
					p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: fmt.Sprint("v", n), VolumeSource: use(fmt.Sprint("c", i, "-", n))})
					o := c.claim(i%4000, n)
					o.Name = fmt.Sprint("c", i, "-", n)
					o.UID, o.ResourceVersion = types.UID(o.Name), "1"
					x.SetClaim(o)
				}
				b.StartTimer()
				plan, err := table.Decide(p, policy, rng, nil)
				if err != nil || plan.Node == "" {
					b.Fatalf("pod %d: %v %v", i, plan.Failure, err)
				}
				if _, err := x.Assume(p, plan.Node); err != nil {
					b.Fatal(err)
				}
				table.SetPod(p, plan.Node)
				x.SetPod(p, plan.Node)
				b.StopTimer()
			}
			b.StopTimer()
			b.ResetTimer()
			b.ReportAllocs()
			for i := range b.N {
				step(i)
			}
		})
	}
}
