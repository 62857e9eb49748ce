package workloads

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// driver is who provides volumes and devices: nobody is behind it.
const driver = "driver.floe.dev"

// stored are the workloads whose pods name other objects: secrets, claims for volumes, claims for devices. Each claim is made before its pod, and one for a
// volume is bound already, since only a scheduler is measured here.
func stored() []kind {
	return []kind{
		{name: "secrets", coming: withSecret, server: server{objects: func(int, int) []runtime.Object { return []runtime.Object{secret()} }}},
		{name: "volumes", placed: plain, coming: withVolume, server: server{objects: volumes}},
		{name: "devices", placed: plain, coming: withDevice, server: server{objects: devices}},
	}
}

func priorityClass() *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{
		TypeMeta: metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"}, ObjectMeta: meta("preempting"), Value: 10,
	}
}

func secret() *corev1.Secret {
	s := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta("secret")}
	s.Namespace, s.Data = metav1.NamespaceDefault, map[string][]byte{"key": []byte("value")}
	return s
}

func withSecret(p *corev1.Pod, _ int) {
	p.Spec.Volumes = []corev1.Volume{{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "secret"}}}}
}

func claimName(i int) string { return fmt.Sprintf("claim-%05d", i) }

// volumes makes a volume of a CSI driver for each pod to come, the claim that is bound to it, and what says how many of them a node takes.
func volumes(nodes, pods int) []runtime.Object {
	var all []runtime.Object
	for i := range nodes {
		all = append(all, &storagev1.CSINode{
			TypeMeta: metav1.TypeMeta{APIVersion: "storage.k8s.io/v1", Kind: "CSINode"}, ObjectMeta: meta(nodeName(i)),
			Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{{
				Name: driver, NodeID: nodeName(i), Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(39))},
			}}},
		})
	}
	size, modes := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	for i := range pods {
		v := &corev1.PersistentVolume{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolume"}, ObjectMeta: meta("volume-" + claimName(i))}
		v.Spec = corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: metav1.NamespaceDefault, Name: claimName(i)},
		}
		v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeHandle: claimName(i)}
		all = append(all, v)
	}
	for i := range pods {
		c := &corev1.PersistentVolumeClaim{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: meta(claimName(i))}
		c.Namespace, c.Annotations = metav1.NamespaceDefault, map[string]string{"pv.kubernetes.io/bind-completed": "true"}
		c.Spec = corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, Resources: corev1.VolumeResourceRequirements{Requests: size}, StorageClassName: new(""), VolumeName: "volume-" + c.Name,
		}
		all = append(all, c)
	}
	return all
}

func withVolume(p *corev1.Pod, i int) {
	p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claimName(i), ReadOnly: true},
	}}}
}

// devicesPerNode is as in scheduler_perf.
const devicesPerNode = 10

// devices makes a class of devices, some of them on each node, and a claim for one by each pod to come.
func devices(nodes, pods int) []runtime.Object {
	version := resourcev1.SchemeGroupVersion.String()
	all := []runtime.Object{&resourcev1.DeviceClass{
		TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "DeviceClass"}, ObjectMeta: meta("devices"),
		Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{
			CEL: &resourcev1.CELDeviceSelector{Expression: fmt.Sprintf("device.driver == %q", driver)},
		}}},
	}}
	for i := range nodes {
		s := &resourcev1.ResourceSlice{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "ResourceSlice"}, ObjectMeta: meta("slice-" + nodeName(i))}
		s.Spec = resourcev1.ResourceSliceSpec{
			Driver: driver, NodeName: new(nodeName(i)), Pool: resourcev1.ResourcePool{Name: nodeName(i), ResourceSliceCount: 1},
		}
		for d := range devicesPerNode {
			s.Spec.Devices = append(s.Spec.Devices, resourcev1.Device{Name: fmt.Sprintf("device-%d", d)})
		}
		all = append(all, s)
	}
	for i := range pods {
		c := &resourcev1.ResourceClaim{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "ResourceClaim"}, ObjectMeta: meta(claimName(i))}
		c.Namespace = metav1.NamespaceDefault
		c.Spec.Devices.Requests = []resourcev1.DeviceRequest{{Name: "one", Exactly: &resourcev1.ExactDeviceRequest{
			DeviceClassName: "devices", AllocationMode: resourcev1.DeviceAllocationModeExactCount, Count: 1,
		}}}
		all = append(all, c)
	}
	return all
}

func withDevice(p *corev1.Pod, i int) {
	p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "device", ResourceClaimName: new(claimName(i))}}
	p.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: "device"}}
}
