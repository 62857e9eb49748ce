package cases

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// taints are taints and tolerations of every operator and effect, and nodes that take no pods.
var taints = trait{
	node: func(w *world, n *corev1.Node) {
		for _, key := range some(w, w.between(0, 2), []string{"dedicated", "example.com/wear", "flag"}) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{
				Key: key, Value: one(w, "", "a", "b", "7"),
				Effect: one(w, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute),
			})
		}
		if w.once(8) {
			n.Spec.Unschedulable = true
			if w.once(2) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
			}
		}
	},
	pod: func(w *world, p *corev1.Pod) {
		for range w.between(0, 3) {
			p.Spec.Tolerations = append(p.Spec.Tolerations, w.toleration())
		}
	},
}

func (w *world) toleration() corev1.Toleration {
	t := corev1.Toleration{
		Key:    one(w, "dedicated", "example.com/wear", "flag", corev1.TaintNodeUnschedulable),
		Effect: one(w, "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute),
	}
	switch w.r.IntN(5) {
	case 0:
		t.Operator = corev1.TolerationOpExists
		if w.once(4) {
			t.Key = ""
		}
	case 1:
		t.Operator, t.Value = "", one(w, "", "a", "b") // an empty operator is Equal
	default:
		t.Operator, t.Value = corev1.TolerationOpEqual, one(w, "", "a", "b", "7")
	}
	if t.Effect == corev1.TaintEffectNoExecute && w.once(2) {
		t.TolerationSeconds = new(int64(300))
	}
	return t
}

// nodeAffinity are node selectors, and terms of every operator, that a pod requires or prefers.
var nodeAffinity = trait{pod: func(w *world, p *corev1.Pod) {
	if w.once(4) {
		p.Spec.NodeSelector = map[string]string{"disk": one(w, "ssd", "hdd", "none")}
	}
	if w.once(3) {
		return
	}
	a := &corev1.NodeAffinity{}
	if w.once(2) {
		a.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: w.nodeTerms(w.between(1, 3))}
	}
	for _, t := range w.nodeTerms(w.between(0, 3)) {
		a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution,
			corev1.PreferredSchedulingTerm{Weight: int32(one(w, 1, 2, 10, 50, 100)), Preference: t})
	}
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: a}
}}

func (w *world) nodeTerms(n int) []corev1.NodeSelectorTerm {
	var terms []corev1.NodeSelectorTerm
	for range n {
		t := corev1.NodeSelectorTerm{}
		for range w.between(0, 2) {
			t.MatchExpressions = append(t.MatchExpressions, w.nodeRequirement())
		}
		if w.once(5) {
			t.MatchFields = []corev1.NodeSelectorRequirement{{
				Key: metav1.ObjectNameField, Operator: one(w, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn),
				Values: []string{fmt.Sprintf("n%02d", w.r.IntN(12))}, // an API server takes one name only
			}}
		}
		terms = append(terms, t)
	}
	return terms
}

func (w *world) nodeRequirement() corev1.NodeSelectorRequirement {
	r := corev1.NodeSelectorRequirement{Key: one(w, "disk", "rack", "size", corev1.LabelTopologyZone, "absent")}
	switch w.r.IntN(6) {
	case 0:
		r.Operator = corev1.NodeSelectorOpExists
	case 1:
		r.Operator = corev1.NodeSelectorOpDoesNotExist
	case 2:
		r.Operator, r.Key, r.Values = one(w, corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt), one(w, "size", "size",
			"disk"), []string{strconv.Itoa(w.between(0, 5))}
	case 3:
		r.Operator, r.Values = corev1.NodeSelectorOpNotIn, some(w, w.between(1, 2), valuesOf(r.Key))
	default:
		r.Operator, r.Values = corev1.NodeSelectorOpIn, some(w, w.between(1, 3), valuesOf(r.Key))
	}
	return r
}

// valuesOf are values that the label has on some nodes, and one that it never has.
func valuesOf(key string) []string {
	switch key {
	case "disk":
		return []string{"ssd", "hdd", "nvme", "tape"}
	case "rack":
		return []string{"a", "b", "c", "d", "z"}
	case "size":
		return []string{"1", "2", "3", "4", "5", "9"}
	}
	return append([]string{"z9"}, zones...)
}

// ports are host ports on all addresses and on some, for several protocols, and pods in the host's network.
var ports = trait{pod: func(w *world, p *corev1.Pod) {
	for range w.between(0, 2) {
		port := corev1.ContainerPort{
			ContainerPort: int32(one(w, 80, 443)), HostPort: int32(one(w, 8080, 8443, 9000)), HostIP: one(w, "", "", "0.0.0.0", "10.0.0.1", "127.0.0.1",
				"::1"),
			Protocol: one(w, corev1.ProtocolTCP, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP),
		}
		if w.once(5) {
			p.Spec.HostNetwork = true
			port.ContainerPort = port.HostPort
		}
		c := &p.Spec.Containers[0]
		if w.once(5) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{
				Name: fmt.Sprintf("side-%d", len(p.Spec.InitContainers)), Image: "registry.example/side:1",
				RestartPolicy: one(w, nil, new(corev1.ContainerRestartPolicyAlways)),
			})
			c = &p.Spec.InitContainers[len(p.Spec.InitContainers)-1]
		}
		c.Ports = append(c.Ports, port)
	}
}}

// known are images of many sizes.
var known = []string{"registry.example/app:1", "registry.example/app", "docker.io/library/db:14", "registry.example/big@sha256:1111",
	"side:latest", "tiny:1"}

// images are images that some nodes have, by the names that runtimes report and pods use.
var images = trait{
	node: func(w *world, n *corev1.Node) {
		for _, i := range some(w, w.between(0, 4), []int{0, 1, 2, 3, 4, 5}) {
			size := []int64{300 * mebi, 50 * mebi, 900 * mebi, 4 * gibi, 24 * mebi, mebi}[i]
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{known[i], fmt.Sprintf("mirror.example/%d:latest", i)},
				SizeBytes: size})
		}
	},
	pod: func(w *world, p *corev1.Pod) {
		p.Spec.Containers[0].Image = one(w, append([]string{"side", "mirror.example/3", "mirror.example/2:latest"}, known...)...)
		for i := range w.between(0, 2) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprintf("more-%d", i), Image: one(w, known...)})
		}
		if w.once(4) {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: "fetch", Image: one(w, known...)})
		}
	},
}

// declaredFeatures are features that nodes declare and pods need.
var declaredFeatures = trait{
	node: func(w *world, n *corev1.Node) {
		for _, f := range []string{"InPlacePodLevelResourcesVerticalScaling", "RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"} {
			if w.once(2) {
				n.Status.DeclaredFeatures = append(n.Status.DeclaredFeatures, f)
			}
		}
	},
	asked: func(w *world, p *corev1.Pod) {
		if w.once(2) {
			c := &p.Spec.Containers[0]
			c.RestartPolicy = new(corev1.ContainerRestartPolicyNever)
			c.RestartPolicyRules = []corev1.ContainerRestartRule{{
				Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
				ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
			}}
		}
		if w.once(2) {
			p.Spec.HostNetwork, p.Spec.HostUsers = true, new(false)
		}
	},
}

// gates are pods that must not be decided yet.
var gates = trait{asked: func(w *world, p *corev1.Pod) {
	for _, g := range some(w, w.between(0, 2), []string{"example.com/quota", "example.com/review", "wait"}) {
		p.Spec.SchedulingGates = append(p.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: g})
	}
}}
