package statefulset

import (
	"errors"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/engine"
)

// withClaims gives a state a template of claims, a policy ("deleted", "scaled" or both) and the claims of these names, owned as "data-web-0 set pod other old".
func withClaims(in Input, policy string, list ...string) Input {
	in.Set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
	in.Set.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{}
	if strings.Contains(policy, "deleted") {
		in.Set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	if strings.Contains(policy, "scaled") {
		in.Set.Spec.PersistentVolumeClaimRetentionPolicy.WhenScaled = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	claims := map[string]*corev1.PersistentVolumeClaim{}
	for _, text := range list {
		words := strings.Fields(text)
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0]}}
		pod := strings.TrimPrefix(words[0], "data-")
		for _, word := range words[1:] {
			ref := metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: types.UID("pod-" + strings.TrimPrefix(pod, "web-")), Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}
			switch word {
			case "going":
				c.DeletionTimestamp = &metav1.Time{Time: now}
				continue
			case "old":
				ref.UID = "an earlier pod"
			case "set", "uncontrolled":
				ref = *metav1.NewControllerRef(in.Set, kind())
				ref.Controller = ptr.To(word == "set")
			case "other":
				ref = metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x", Controller: ptr.To(true)}
			}
			c.OwnerReferences = append(c.OwnerReferences, ref)
		}
		claims[c.Name] = c
	}
	in.Claim = func(name string) *corev1.PersistentVolumeClaim { return claims[name] }
	for _, p := range in.Pods {
		mount(in.Set, p)
	}
	return in
}

func owners(c *corev1.PersistentVolumeClaim) string {
	var list []string
	for _, ref := range c.OwnerReferences {
		list = append(list, ref.Kind)
	}
	return strings.Join(list, " ")
}

// TestClaims: which claims are made when, and what keeps a pod from being made.
func TestClaims(t *testing.T) {
	for _, c := range []struct {
		name          string
		in            Input
		want, failure string
	}{
		{"before the pod", withClaims(state("one", 2), ""), "create data-web-0, create web-0 (one)", ""},
		{"what is there is used", withClaims(state("one", 2, "0"), "", "data-web-1"), "create web-1 (one)", ""},
		{"of a pending pod again", withClaims(state("one", 1, "0 pending"), ""), "create data-web-0", ""},
		{"not of a running one", withClaims(state("one", 1, "0"), ""), "", ""},
		{"one that goes", withClaims(state("one", 1), "", "data-web-0 going"), "", "Create web-0: pvc data-web-0 is being deleted"},
		{"one that outlived its pod", withClaims(state("one", 1), "scaled", "data-web-0 old"), "", ""},
		{"one that outlives pods", withClaims(state("one", 1), "deleted", "data-web-0 old"), "create web-0 (one)", ""},
		{"owned while pending", withClaims(state("one", 1, "0 pending"), "deleted", "data-web-0"), "update data-web-0", ""},
		{"owned later", withClaims(state("one", 1, "0"), "deleted", "data-web-0"), "update data-web-0, update web-0", ""},
		{"of what goes", withClaims(state("one", 0, "0"), "scaled", "data-web-0"), "update data-web-0, delete web-0", ""},
	} {
		d, err := Decide(c.in, now)
		failure := ""
		if len(d.Failures) > 0 {
			f := d.Failures[0]
			failure = f.Aim + " " + f.Pod + ": " + f.Err.Error()
		}
		if got := text(d); err != nil || got != c.want || failure != c.failure || (d.Failed != nil) != (c.failure != "") {
			t.Errorf("%s: got %q, failure %q (%v), %v\nwant %q, failure %q", c.name, got, failure, d.Failed, err, c.want, c.failure)
		}
	}
}

// TestOwners: with whom a claim goes, by policy.
func TestOwners(t *testing.T) {
	for _, c := range []struct {
		name, policy    string
		replica, scaled string // whose claims are who's: of a replica, and of a pod that is scaled away
		have            string
		conflict        bool
	}{
		{name: "nothing goes", policy: "", replica: "", scaled: ""},
		{name: "no longer", policy: "", have: "set pod", replica: "", scaled: ""},
		{name: "with the set", policy: "deleted", replica: "StatefulSet", scaled: "StatefulSet"},
		{name: "with scaling", policy: "scaled", replica: "", scaled: "Pod"},
		{name: "with both", policy: "deleted scaled", replica: "StatefulSet", scaled: "Pod"},
		{name: "scaled up again", policy: "deleted scaled", have: "pod", replica: "StatefulSet", scaled: "Pod"},
		{name: "controls", policy: "deleted", have: "uncontrolled", replica: "StatefulSet", scaled: "StatefulSet"},
		{name: "an earlier pod's", policy: "deleted", have: "old", replica: "Pod", scaled: "Pod"},
		{name: "another's", policy: "deleted scaled", have: "other", replica: "ConfigMap", scaled: "ConfigMap"},
		{name: "another's too", policy: "deleted", have: "other set", replica: "ConfigMap", scaled: "ConfigMap", conflict: true},
		{name: "another's, of no matter", policy: "", have: "other", replica: "ConfigMap", scaled: "ConfigMap"},
	} {
		for i, want := range []string{c.replica, c.scaled} {
			in := withClaims(state("one", int32(1-i), "0"), c.policy, "data-web-0 "+c.have)
			d, err := Decide(in, now)
			got := in.Claim("data-web-0")
			for _, s := range d.Steps {
				if changed, ok := s.Object.(*corev1.PersistentVolumeClaim); ok {
					got = changed
				}
			}
			if err != nil || owners(got) != want || slices.Contains(d.Conflicts, "data-web-0") != c.conflict {
				t.Errorf("%s: owned by %q, want %q; conflicts %v, %v", c.name, owners(got), want, d.Conflicts, err)
			}
			if ref := metav1.GetControllerOf(got); want != "" && (ref == nil || ref.BlockOwnerDeletion == nil && c.have != "other" && !c.conflict) {
				t.Errorf("%s: controlled by %+v", c.name, ref)
			}
		}
	}
}

// joined is what the engine says when these steps of a batch have failed.
func joined(steps []Step) error {
	var errs []error
	for _, s := range steps {
		errs = append(errs, &engine.WriteError{Verb: "create", Resource: resourceOf(s.Object), Object: s.Object, Err: errors.New("no")})
	}
	return errors.Join(errs...)
}

// TestFailures: of claims that cannot be had the pod's set is told, once for each pod.
func TestFailures(t *testing.T) {
	in := withClaims(state("one", 1), "")
	in.Set.Spec.VolumeClaimTemplates = append(in.Set.Spec.VolumeClaimTemplates, corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "logs"}})
	d, err := Decide(in, now)
	if err != nil || text(d) != "create data-web-0 + create logs-web-0, create web-0 (one)" {
		t.Fatalf("steps %q, %v", text(d), err)
	}
	events := teller{set: "web"}.claimFailures(d.Steps, joined(d.Steps[:2]))
	const want = "Create Pod web-0 in StatefulSet web failed error: [failed to create PVC data-web-0: no, failed to create PVC logs-web-0: no]"
	if len(events) != 1 || events[0].Reason != "FailedCreate" || events[0].Message != want {
		t.Errorf("got  %+v\nwant %s", events, want)
	}
	p := plan(in.Set, nil, d)
	if writes := p.OnFailure(joined(d.Steps[:1])); len(writes) != 1 || writes[0].Subresource != "status" {
		t.Errorf("after a failure: %+v", writes)
	}
	if writes := p.OnFailure(&engine.WriteError{Resource: sets()}); len(writes) != 0 {
		t.Errorf("after a failure of the status itself: %+v", writes)
	}
}
