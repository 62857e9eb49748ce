package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Namespace is v1 Namespace. It is gone when its content is, which its own finalizers say:
//
//	Active ── delete ──► Terminating ── finalize empties spec.finalizers ──► removed
func Namespace() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("Namespace")
	return &kinds.Kind{
		GVK: gvk, Resource: "namespaces", Singular: "namespace", ShortNames: []string{"ns"}, MetaAgain: kinds.MetaAll,
		Verbs:     []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		New:       func() kinds.Object { return &corev1.Namespace{} },
		NewList:   func() runtime.Object { return &corev1.NamespaceList{} },
		ValidName: validation.ValidateNamespaceName,
		Default: func(obj kinds.Object) {
			ns := obj.(*corev1.Namespace)
			nameLabel(ns)
			if ns.Status.Phase == "" {
				ns.Status.Phase = corev1.NamespaceActive
			}
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			ns := obj.(*corev1.Namespace)
			nameLabel(ns) // the name may have been generated after defaulting
			ns.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
			for _, f := range ns.Spec.Finalizers {
				if f == corev1.FinalizerKubernetes {
					return
				}
			}
			ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			ns, was := obj.(*corev1.Namespace), old.(*corev1.Namespace)
			ns.Spec.Finalizers, ns.Status = was.Spec.Finalizers, was.Status
		},
		Validate: func(obj kinds.Object) (errs field.ErrorList) {
			for _, f := range obj.(*corev1.Namespace).Spec.Finalizers {
				errs = append(errs, finalizerName(f, field.NewPath("spec", "finalizers"))...) // upstream names no index here
			}
			return errs
		},
		Protected: func(name string) string {
			switch name {
			case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
				return "this namespace may not be deleted"
			}
			return ""
		},
		Delete: func(_ kinds.Env, obj kinds.Object, _ *metav1.DeleteOptions) kinds.Deletion {
			obj.(*corev1.Namespace).Status.Phase = corev1.NamespaceTerminating
			return kinds.Deletion{}
		},
		Gone: func(obj kinds.Object) bool { return len(obj.(*corev1.Namespace).Spec.Finalizers) == 0 },
		Columns: []kinds.Column{kinds.NameColumn(), {
			Name: "Status", Type: "string", Description: "The status of the namespace",
			Cell: func(_ kinds.Env, obj kinds.Object) any { return string(obj.(*corev1.Namespace).Status.Phase) },
		}, kinds.AgeColumn()},
		Fields: func(obj kinds.Object) fields.Set {
			return fields.Set{"status.phase": string(obj.(*corev1.Namespace).Status.Phase)}
		},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "finalize", GVK: gvk, Verbs: []string{"update"}, Resets: []string{"status"}, Update: finalizeNamespace},
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: namespaceStatus},
		},
	}
}

// nameLabel gives selectors a way to choose a namespace by its name.
func nameLabel(ns *corev1.Namespace) {
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

func finalizeNamespace(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	ns := obj.(*corev1.Namespace)
	ns.Status = old.(*corev1.Namespace).Status
	for i, f := range ns.Spec.Finalizers {
		errs = append(errs, finalizerName(f, field.NewPath("spec", "finalizers").Index(i))...)
	}
	return errs
}

func namespaceStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	ns := obj.(*corev1.Namespace)
	ns.Spec = old.(*corev1.Namespace).Spec
	path, phase := field.NewPath("status", "Phase"), ns.Status.Phase
	if ns.DeletionTimestamp.IsZero() {
		if phase != corev1.NamespaceActive {
			errs = append(errs, field.Invalid(path, phase, "may only be 'Active' if `deletionTimestamp` is empty"))
		}
	} else if phase != corev1.NamespaceTerminating {
		errs = append(errs, field.Invalid(path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
	return errs
}

// finalizerName follows upstream: a qualified name, and one without a domain must be a known one.
func finalizerName(f corev1.FinalizerName, path *field.Path) (errs field.ErrorList) {
	for _, msg := range utilvalidation.IsQualifiedName(string(f)) {
		errs = append(errs, field.Invalid(path, f, msg))
	}
	known := map[string]bool{string(corev1.FinalizerKubernetes): true, metav1.FinalizerOrphanDependents: true, metav1.FinalizerDeleteDependents: true}
	if name := string(f); !known[name] && !hasDomain(name) {
		errs = append(errs, field.Invalid(path, f, "name is neither a standard finalizer name nor is it fully qualified"))
	}
	return errs
}

func hasDomain(name string) bool {
	for _, r := range name {
		if r == '/' {
			return true
		}
	}
	return false
}

// changed says whether two parts of an object mean different things.
func changed(a, b any) bool { return !equality.Semantic.DeepEqual(a, b) }
