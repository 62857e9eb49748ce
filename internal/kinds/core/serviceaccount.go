package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
)

// ServiceAccount is v1 ServiceAccount. Secrets are named by it; more than a name is not kept.
func ServiceAccount() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("ServiceAccount"), Resource: "serviceaccounts", Singular: "serviceaccount", ShortNames: []string{"sa"}, Namespaced: true,
		MetaAgain:     kinds.MetaChangeFirst,
		New:           func() kinds.Object { return &corev1.ServiceAccount{} },
		NewList:       func() runtime.Object { return &corev1.ServiceAccountList{} },
		ReturnDeleted: true,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { nameSecrets(obj.(*corev1.ServiceAccount)) },
		PrepareUpdate: func(_ kinds.Env, obj, _ kinds.Object) { nameSecrets(obj.(*corev1.ServiceAccount)) },
		Warnings:      accountWarnings,
		Subresources:  []kinds.Subresource{tokenPart()},
		Columns:       []kinds.Column{kinds.NameColumn(), kinds.AgeColumn()},
	}
}

func nameSecrets(sa *corev1.ServiceAccount) {
	for i, s := range sa.Secrets {
		sa.Secrets[i] = corev1.ObjectReference{Name: s.Name}
	}
}
