package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// maxConfigBytes bounds the values of one config map, as upstream does.
const maxConfigBytes = 1 << 20

// ConfigMap is v1 ConfigMap.
func ConfigMap() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Resource: "configmaps", Singular: "configmap", ShortNames: []string{"cm"}, Namespaced: true,
		MetaAgain: kinds.MetaChangeFirst,
		New:       func() kinds.Object { return &corev1.ConfigMap{} },
		NewList:   func() runtime.Object { return &corev1.ConfigMapList{} },
		Validate:  validateConfigMap, ValidateUpdate: validateConfigMapUpdate,
		Columns: []kinds.Column{kinds.NameColumn(), {
			Name: "Data", Type: "string", Description: corev1.ConfigMap{}.SwaggerDoc()["data"],
			Cell: func(_ kinds.Env, obj kinds.Object) any {
				cm := obj.(*corev1.ConfigMap)
				return int64(len(cm.Data) + len(cm.BinaryData))
			},
		}, kinds.AgeColumn()},
	}
}

func validateConfigMap(obj kinds.Object) (errs field.ErrorList) {
	cm, size := obj.(*corev1.ConfigMap), 0
	key := func(path *field.Path, k string) {
		for _, msg := range utilvalidation.IsConfigMapKey(k) {
			errs = append(errs, field.Invalid(path.Key(k), k, msg))
		}
	}
	for k, v := range cm.Data {
		key(field.NewPath("data"), k)
		if _, both := cm.BinaryData[k]; both {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(k), k, fmt.Sprintf("duplicate of key present in %s", field.NewPath("binaryData"))))
		}
		size += len(v)
	}
	for k, v := range cm.BinaryData {
		key(field.NewPath("binaryData"), k)
		size += len(v)
	}
	if size > maxConfigBytes {
		errs = append(errs, field.TooLong(field.NewPath(""), "", maxConfigBytes))
	}
	return errs
}

func validateConfigMapUpdate(obj, old kinds.Object) (errs field.ErrorList) {
	cm, was := obj.(*corev1.ConfigMap), old.(*corev1.ConfigMap)
	if was.Immutable == nil || !*was.Immutable {
		return nil
	}
	if cm.Immutable == nil || !*cm.Immutable {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
	}
	if changed(cm.Data, was.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
	}
	if changed(cm.BinaryData, was.BinaryData) {
		errs = append(errs, field.Forbidden(field.NewPath("binaryData"), "field is immutable when `immutable` is set"))
	}
	return errs
}
