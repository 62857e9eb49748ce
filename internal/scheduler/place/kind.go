package place

import (
	"encoding/binary"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
)

// kind is what a class thinks of a node that does not change with the pods on it. Rows share kinds.
type kind struct {
	verdict            uint16 // of the first filter that refuses every node like it; 0: none
	taints, preferred  int64  // raw scores
	images             []string
	affinity, tolerant bool // the pod's node affinity matches; no taint keeps it away
	hardKeys, softKeys bool // the node has the labels that spreading asks for
}

// kindOf asks the filters and scores that go by the node alone.
func (c *class) kindOf(row int32) int32 {
	n, tm := c.t.nodes[row], c.tm
	if n == nil {
		return -1
	}
	k := kind{affinity: true}
	untolerated := false
	if len(n.Spec.Taints) > 0 {
		_, untolerated = schedulinghelpers.FindMatchingUntoleratedTaint(klog.Logger{}, n.Spec.Taints, tm.tolerations, keepsAway, false)
	}
	k.tolerant = !untolerated
	k.affinity, _ = tm.required.Match(n) // a term that cannot be parsed matches nothing
	if c.spreads {
		k.hardKeys, k.softKeys = hasKeys(n.Labels, tm.hard), hasKeys(n.Labels, tm.soft)
	}
	failed := len(tm.policy.Filters)
	fail := func(plugin string, bad bool, reason string) {
		if !bad {
			return
		}
		if i, ok := tm.policy.order[plugin]; ok && i < failed {
			failed, k.verdict = i, c.static(plugin, reason, i)
		}
	}
	fail(NodeUnschedulable, n.Spec.Unschedulable && !toleratesCordon(tm.tolerations), reasonUnschedulable)
	fail(NodeName, tm.nodeName != "" && tm.nodeName != n.Name, reasonNodeName)
	fail(TaintToleration, untolerated, reasonTaint)
	if tm.policy.added != nil && !tm.policy.added.Match(n) {
		fail(NodeAffinity, true, reasonEnforced)
	}
	fail(NodeAffinity, !k.affinity, reasonAffinity)
	if !tm.features.IsEmpty() {
		subset, err := tm.features.IsSubset(c.t.features[row])
		fail(NodeDeclaredFeatures, err != nil || !subset, reasonFeatures)
	}
	k.taints = softTaints(n.Spec.Taints, tm.tolerations)
	if tm.policy.preferred != nil {
		k.preferred = tm.policy.preferred.Score(n)
	}
	if tm.preferred != nil {
		k.preferred += tm.preferred.Score(n)
	}
	for _, name := range tm.images {
		if c.t.images.has(row, name) != nil {
			k.images = append(k.images, name)
		}
	}
	return c.intern(k)
}

// static numbers a refusal of nodes; the same refusal has one number.
func (c *class) static(plugin, reason string, order int) uint16 {
	for i := 1; i < len(c.verdicts); i++ {
		if s := c.verdicts[i].status; s.Plugin == plugin && s.Code == Unresolvable && len(s.Reasons) == 1 && s.Reasons[0] == reason {
			return uint16(i)
		}
	}
	return c.code(refuse(Unresolvable, plugin, reason), order)
}

func (c *class) intern(k kind) int32 {
	b := binary.AppendVarint(binary.AppendVarint(c.buf[:0], k.taints), k.preferred)
	b = append(binary.AppendUvarint(b, uint64(k.verdict)), b2i(k.affinity)|b2i(k.tolerant)<<1|b2i(k.hardKeys)<<2|b2i(k.softKeys)<<3)
	for _, name := range k.images {
		b = append(strconv.AppendInt(b, int64(len(name)), 10), name...)
	}
	c.buf = b
	id, ok := c.kindIDs[string(b)]
	if !ok {
		id = int32(len(c.kinds))
		c.kinds = append(c.kinds, k)
		c.kindIDs[string(b)] = id
	}
	return id
}

func keepsAway(t *corev1.Taint) bool {
	return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
}

func toleratesCordon(tolerations []corev1.Toleration) bool {
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	return schedulinghelpers.TolerationsTolerateTaint(klog.Logger{}, tolerations, &taint, false)
}

// softTaints counts the taints that would rather not have the pod.
func softTaints(taints []corev1.Taint, tolerations []corev1.Toleration) (n int64) {
	for i := range taints {
		if taints[i].Effect == corev1.TaintEffectPreferNoSchedule &&
			!schedulinghelpers.TolerationsTolerateTaint(klog.Logger{}, tolerations, &taints[i], false) {
			n++
		}
	}
	return n
}

func hasKeys(set map[string]string, of []constraint) bool {
	for i := range of {
		if _, ok := set[of[i].topology]; !ok {
			return false
		}
	}
	return true
}
