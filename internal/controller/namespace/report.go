package namespace

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// report is what one look at a namespace has found. The zero report found nothing.
type report struct {
	wanted     []engine.Write // deletions to ask for
	total      int            // objects that are there
	left       map[string]int // of them by resource, as upstream writes it: "pods."
	finalizers map[string]int // by name
	takes      time.Duration  // what all of it is thought to take
	errs       []error        // what went wrong with content
	missing    []string       // group versions whose servers do not answer
}

func (r *report) hold(finalizer string) {
	if r.finalizers == nil {
		r.finalizers = map[string]int{}
	}
	r.finalizers[finalizer]++
}

func (r *report) remain(k *kinds.Kind, n int) {
	if r.left == nil {
		r.left = map[string]int{}
	}
	r.left[k.Resource+"."+k.GVK.Group] += n
	r.total += n
}

// fail notes the errors of deletions in place of what looking found: that content is still there is no wonder then. Of each resource the first is told, as
// upstream does, which gives up on a resource then.
func (r *report) fail(err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	r.errs = nil
	told := map[client.Resource]bool{}
	for _, err := range all {
		var failed *engine.WriteError
		if errors.As(err, &failed) {
			if told[failed.Resource] {
				continue
			}
			told[failed.Resource], err = true, failed.Err
		}
		r.errs = append(r.errs, err)
	}
}

// discovery is what clients are told when not every group can be discovered.
func (r *report) discovery() string {
	var groups []string
	for _, gv := range r.missing {
		groups = append(groups, fmt.Sprintf("%s: stale GroupVersion discovery: %s", gv, gv))
	}
	return "unable to retrieve the complete list of server APIs: " + strings.Join(groups, ", ")
}

// failure is a condition that something is wrong: its reason and message then, and otherwise.
type failure struct {
	kind                corev1.NamespaceConditionType
	message             string // "": all is well
	reason, fine, allOK string
}

// failures are upstream's five conditions, in upstream's order.
func (r *report) failures() []failure {
	list := []failure{
		{kind: corev1.NamespaceDeletionDiscoveryFailure, reason: "DiscoveryFailed", fine: "ResourcesDiscovered", allOK: "All resources successfully discovered"},
		// Group versions are never parsed here, so this cannot fail.
		{kind: corev1.NamespaceDeletionGVParsingFailure, reason: "GroupVersionParsingFailed", fine: "ParsedGroupVersions", allOK: "All legacy kube types successfully parsed"},
		{kind: corev1.NamespaceDeletionContentFailure, reason: "ContentDeletionFailed", fine: "ContentDeleted",
			allOK: "All content successfully deleted, may be waiting on finalization"},
		{kind: corev1.NamespaceContentRemaining, reason: "SomeResourcesRemain", fine: "ContentRemoved", allOK: "All content successfully removed"},
		{kind: corev1.NamespaceFinalizersRemaining, reason: "SomeFinalizersRemain", fine: "ContentHasNoFinalizers", allOK: "All content-preserving finalizers finished"},
	}
	if n := len(r.missing); n > 0 {
		list[0].message = fmt.Sprintf("Discovery failed for some groups, %d failing: %s", n, r.discovery())
	}
	if n := len(r.errs); n > 0 {
		var texts []string
		for _, err := range r.errs {
			texts = append(texts, err.Error())
		}
		slices.Sort(texts)
		list[2].message = fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", n, strings.Join(texts, ", "))
	}
	if len(r.left) > 0 {
		list[3].message = "Some resources are remaining: " + counts("%s has %d resource instances", r.left)
	}
	if len(r.finalizers) > 0 {
		list[4].message = "Some content in the namespace has finalizers remaining: " + counts("%s in %d resource instances", r.finalizers)
	}
	return list
}

// say is the write that makes ns's conditions those of the report; none when they are.
func (r *report) say(ns *corev1.Namespace, now time.Time) []engine.Write {
	said := ns.DeepCopy()
	said.Status.Phase = corev1.NamespaceTerminating
	for _, f := range r.failures() {
		c := corev1.NamespaceCondition{Type: f.kind, Status: corev1.ConditionFalse, Reason: f.fine, Message: f.allOK, LastTransitionTime: metav1.NewTime(now)}
		if f.message != "" {
			c.Status, c.Reason, c.Message = corev1.ConditionTrue, f.reason, f.message
		}
		set(&said.Status, c)
	}
	if reflect.DeepEqual(ns.Status, said.Status) {
		return nil
	}
	return []engine.Write{engine.NewUpdate(namespaces(), said, "status")}
}

// set puts c in place of the condition of its type. Its time is when its status last changed.
func set(status *corev1.NamespaceStatus, c corev1.NamespaceCondition) {
	i := slices.IndexFunc(status.Conditions, func(o corev1.NamespaceCondition) bool { return o.Type == c.Type })
	if i < 0 {
		status.Conditions = append(status.Conditions, c)
		return
	}
	if status.Conditions[i].Status == c.Status {
		c.LastTransitionTime = status.Conditions[i].LastTransitionTime
	}
	status.Conditions[i] = c
}

func counts(format string, of map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf(format, name, of[name]))
	}
	return strings.Join(parts, ", ")
}
