package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/client"
)

const (
	statusEvery = 10 * time.Second // the node is looked at; what changed is written at once
	reportEvery = 5 * time.Minute  // it is written although nothing changed
	leaseFor    = 40 * time.Second
	leaseEvery  = 10 * time.Second
	maxPods     = 110
)

func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// register makes the Node, or brings the labels and the range of one that is there up to date, and writes its status.
func (a *Agent) register(ctx context.Context) error {
	obj, err := a.Client.Get(ctx, nodes(), "", a.Name)
	if apierrors.IsNotFound(err) {
		node := &corev1.Node{}
		node.Name, node.Labels = a.Name, a.nodeLabels()
		node.Spec.PodCIDR, node.Spec.PodCIDRs = a.PodCIDR, []string{a.PodCIDR}
		if node.Status, err = a.nodeStatus(ctx, nil); err != nil {
			return err
		}
		_, err = a.Client.Create(ctx, nodes(), node, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	node := obj.(*corev1.Node).DeepCopy()
	changed := node.Spec.PodCIDR == ""
	if changed {
		node.Spec.PodCIDR, node.Spec.PodCIDRs = a.PodCIDR, []string{a.PodCIDR}
	}
	for k, v := range a.nodeLabels() {
		if node.Labels[k] != v {
			if node.Labels == nil {
				node.Labels = map[string]string{}
			}
			node.Labels[k], changed = v, true
		}
	}
	if changed {
		if _, err = a.Client.Update(ctx, nodes(), node, ""); err != nil {
			return err
		}
	}
	_, err = a.report(ctx, time.Time{})
	return err
}

func (a *Agent) nodeLabels() map[string]string {
	return map[string]string{
		corev1.LabelHostname: a.Name, corev1.LabelOSStable: goruntime.GOOS, corev1.LabelArchStable: goruntime.GOARCH,
		"beta.kubernetes.io/os": goruntime.GOOS, "beta.kubernetes.io/arch": goruntime.GOARCH,
	}
}

// heartbeat keeps the node's status true.
func (a *Agent) heartbeat(ctx context.Context) error {
	written := a.Clock.Now()
	for {
		if err := a.sleep(ctx, statusEvery); err != nil {
			return err
		}
		at, err := a.report(ctx, written)
		if err != nil {
			a.Log.Warn("the node's status could not be written and is tried again", "again", statusEvery, "err", err)
			continue
		}
		written = at
	}
}

// report writes the status when it changed, or was written too long ago, and returns when it was last written.
func (a *Agent) report(ctx context.Context, written time.Time) (time.Time, error) {
	obj, err := a.Client.Get(ctx, nodes(), "", a.Name)
	if apierrors.IsNotFound(err) {
		return written, a.register(ctx)
	}
	if err != nil {
		return written, err
	}
	old := obj.(*corev1.Node)
	next := old.DeepCopy()
	if next.Status, err = a.nodeStatus(ctx, old); err != nil {
		return written, err
	}
	now := a.Clock.Now()
	if sameStatus(&old.Status, &next.Status) && now.Sub(written) < reportEvery {
		return written, nil
	}
	next.ResourceVersion = ""
	_, err = a.Client.Update(ctx, nodes(), next, "status")
	return now, err
}

// sameStatus compares all but heartbeats.
func sameStatus(a, b *corev1.NodeStatus) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, s := range []*corev1.NodeStatus{a, b} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return equality.Semantic.DeepEqual(a, b)
}

// nodeStatus is the node's state now; old, when there is one, keeps the times of conditions that did not change.
func (a *Agent) nodeStatus(ctx context.Context, old *corev1.Node) (corev1.NodeStatus, error) {
	version, err := a.Runtime.Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return corev1.NodeStatus{}, fmt.Errorf("asking the runtime for its version: %w", err)
	}
	abilities, err := a.Runtime.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return corev1.NodeStatus{}, fmt.Errorf("asking the runtime for its features: %w", err)
	}
	var s corev1.NodeStatus
	if old != nil {
		s = *old.Status.DeepCopy()
	}
	for _, ip := range a.hostIPs() {
		s.Addresses = append(s.Addresses[:0], corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip})
	}
	s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: a.Name})
	s.Capacity = capacity()
	s.Allocatable = s.Capacity.DeepCopy()
	s.DaemonEndpoints.KubeletEndpoint.Port = int32(a.Port)
	s.NodeInfo = systemInfo()
	s.NodeInfo.KubeletVersion = a.KubernetesVersion
	s.NodeInfo.ContainerRuntimeVersion = version.RuntimeName + "://" + version.RuntimeVersion
	s.RuntimeHandlers = handlerFeatures(abilities)
	s.Conditions = a.nodeConditions(s.Conditions)
	return s, nil
}

func (a *Agent) nodeConditions(old []corev1.NodeCondition) []corev1.NodeCondition {
	now := metav1.NewTime(a.Clock.Now()).Rfc3339Copy()
	list := []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
	}
	for i := range list {
		list[i].LastHeartbeatTime, list[i].LastTransitionTime = now, now
		for _, o := range old {
			if o.Type == list[i].Type && o.Status == list[i].Status {
				list[i].LastTransitionTime = o.LastTransitionTime
			}
		}
	}
	for _, o := range old { // conditions of others
		switch o.Type {
		case corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady:
		default:
			list = append(list, o)
		}
	}
	return list
}

// capacity is what this machine has.
func capacity() corev1.ResourceList {
	out := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(goruntime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memoryTotal(), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
	var fs unix.Statfs_t
	if unix.Statfs("/var/lib", &fs) == nil {
		out[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(int64(fs.Blocks)*fs.Bsize, resource.BinarySI)
	}
	return out
}

// memoryTotal is the machine's memory in bytes; 0 when it is not known.
func memoryTotal() int64 {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib * 1024
		}
	}
	return 0
}

func systemInfo() corev1.NodeSystemInfo {
	info := corev1.NodeSystemInfo{
		OperatingSystem: goruntime.GOOS, Architecture: goruntime.GOARCH, MachineID: line("/etc/machine-id"),
		SystemUUID: line("/sys/class/dmi/id/product_uuid"), BootID: line("/proc/sys/kernel/random/boot_id"), KernelVersion: line("/proc/sys/kernel/osrelease"),
	}
	data, _ := os.ReadFile("/etc/os-release")
	for _, l := range strings.Split(string(data), "\n") {
		if name, ok := strings.CutPrefix(l, "PRETTY_NAME="); ok {
			info.OSImage = strings.Trim(name, `"`)
		}
	}
	if info.SystemUUID == "" {
		info.SystemUUID = info.MachineID
	}
	return info
}

func line(file string) string {
	data, _ := os.ReadFile(filepath.Clean(file))
	return strings.TrimSpace(string(data))
}

// renewLease says every few seconds that this node lives.
func (a *Agent) renewLease(ctx context.Context) error {
	for {
		if err := a.renewOnce(ctx); err != nil && ctx.Err() == nil {
			a.Log.Warn("the node's lease could not be renewed and is tried again", "again", leaseEvery, "err", err)
		}
		if err := a.sleep(ctx, leaseEvery); err != nil {
			return err
		}
	}
}

func (a *Agent) renewOnce(ctx context.Context) error {
	leases := coordinationv1.SchemeGroupVersion.WithResource("leases")
	now := metav1.NewMicroTime(a.Clock.Now())
	obj, err := a.Client.Get(ctx, leases, corev1.NamespaceNodeLease, a.Name)
	if apierrors.IsNotFound(err) {
		seconds := int32(leaseFor / time.Second)
		lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &a.Name, LeaseDurationSeconds: &seconds, RenewTime: &now}}
		lease.Name, lease.Namespace = a.Name, corev1.NamespaceNodeLease
		if node, err := a.Client.Get(ctx, nodes(), "", a.Name); err == nil {
			lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: a.Name, UID: node.GetUID()}}
		}
		_, err = a.Client.Create(ctx, leases, lease, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease := obj.(*coordinationv1.Lease).DeepCopy()
	lease.Spec.RenewTime, lease.Spec.HolderIdentity = &now, &a.Name
	_, err = a.Client.Update(ctx, leases, lease, "")
	return err
}
