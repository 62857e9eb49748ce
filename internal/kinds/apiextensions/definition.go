package apiextensions

import (
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
)

// CustomResourceDefinition is apiextensions.k8s.io/v1 CustomResourceDefinition.
func CustomResourceDefinition() *kinds.Kind {
	gvk := apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition")
	return &kinds.Kind{
		GVK: gvk, Resource: "customresourcedefinitions", Singular: "customresourcedefinition", StoredIn: "v1beta1", ShortNames: []string{"crd", "crds"},
		PlainFinalizers: true,
		Categories:      []string{"api-extensions"}, RequireVersion: true,
		Storage: "apiextensions.k8s.io/customresourcedefinitions", // definitions are served by what was a program of its own once, and its keys still show it
		New:     func() kinds.Object { return &apiextensionsv1.CustomResourceDefinition{} },
		NewList: func() runtime.Object { return &apiextensionsv1.CustomResourceDefinitionList{} },
		Default: func(obj kinds.Object) {
			apiextensionsv1.SetObjectDefaults_CustomResourceDefinition(obj.(*apiextensionsv1.CustomResourceDefinition))
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			crd := obj.(*apiextensionsv1.CustomResourceDefinition)
			crd.Status, crd.Generation = apiextensionsv1.CustomResourceDefinitionStatus{}, 1
			keepStored(crd)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			crd, was := obj.(*apiextensionsv1.CustomResourceDefinition), old.(*apiextensionsv1.CustomResourceDefinition)
			crd.Status = *was.Status.DeepCopy()
			if changed(crd, was) {
				crd.Generation = was.Generation + 1
			}
			keepStored(crd)
		},
		NameOf:         validName,
		ValidateCreate: validateNew,
		ValidateUpdate: validateUpdate,
		Warnings:       warnings,
		Canonical:      canonical,
		Delete:         markForCleanup,
		OlderJSON:      readOlder,
		Resets:         []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: updateStatus},
		},
	}
}

// keepStored adds the storage version to those in which objects may be kept.
func keepStored(crd *apiextensionsv1.CustomResourceDefinition) {
	for _, v := range crd.Spec.Versions {
		if v.Storage {
			if !slices.Contains(crd.Status.StoredVersions, v.Name) {
				crd.Status.StoredVersions = append(crd.Status.StoredVersions, v.Name)
			}
			return
		}
	}
}

// markForCleanup lets the first wish to delete a definition do no more than begin: its objects go first. That wish says nothing of dependents, as upstream.
func markForCleanup(env kinds.Env, obj kinds.Object, opts *metav1.DeleteOptions) kinds.Deletion {
	if obj.GetDeletionTimestamp() != nil {
		return kinds.Deletion{}
	}
	crd := obj.(*apiextensionsv1.CustomResourceDefinition)
	at := metav1.NewTime(env.Now).Rfc3339Copy()
	crd.DeletionTimestamp = &at // no grace period and no new generation, which other kinds get
	crd.Finalizers = slices.DeleteFunc(crd.Finalizers, func(f string) bool { return f == asked(opts) })
	if !slices.Contains(crd.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer) {
		crd.Finalizers = append(crd.Finalizers, apiextensionsv1.CustomResourceCleanupFinalizer)
	}
	SetCondition(&crd.Status, apiextensionsv1.CustomResourceDefinitionCondition{
		Type: apiextensionsv1.Terminating, Status: apiextensionsv1.ConditionTrue, LastTransitionTime: at,
		Reason: "InstanceDeletionPending", Message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
	})
	return kinds.Deletion{}
}

// asked is the finalizer by which a deletion's options would have dependents treated, or "".
func asked(opts *metav1.DeleteOptions) string {
	//lint:ignore SA1019 clients still send it
	if orphan := opts.OrphanDependents; orphan != nil && *orphan {
		return metav1.FinalizerOrphanDependents
	}
	switch p := opts.PropagationPolicy; {
	case p != nil && *p == metav1.DeletePropagationOrphan:
		return metav1.FinalizerOrphanDependents
	case p != nil && *p == metav1.DeletePropagationForeground:
		return metav1.FinalizerDeleteDependents
	}
	return ""
}

// SetCondition adds c, or takes it over into the one of its type. The time stays while the status does.
func SetCondition(s *apiextensionsv1.CustomResourceDefinitionStatus, c apiextensionsv1.CustomResourceDefinitionCondition) {
	i := slices.IndexFunc(s.Conditions, func(old apiextensionsv1.CustomResourceDefinitionCondition) bool { return old.Type == c.Type })
	if i < 0 {
		s.Conditions = append(s.Conditions, c)
		return
	}
	old := &s.Conditions[i]
	if old.Status != c.Status || old.LastTransitionTime.IsZero() {
		old.LastTransitionTime = c.LastTransitionTime
	}
	old.Status, old.Reason, old.Message = c.Status, c.Reason, c.Message
}
