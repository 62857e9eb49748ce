package core

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Secret is v1 Secret. Its type says which keys it must have. What is written as stringData is kept as data.
func Secret() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("Secret"), Resource: "secrets", Singular: "secret", Namespaced: true, MetaAgain: kinds.MetaChangeFirst,
		New:     func() kinds.Object { return &corev1.Secret{} },
		NewList: func() runtime.Object { return &corev1.SecretList{} },
		Default: func(obj kinds.Object) {
			s := obj.(*corev1.Secret)
			if s.Type == "" {
				s.Type = corev1.SecretTypeOpaque
			}
			if len(s.StringData) > 0 && s.Data == nil {
				s.Data = map[string][]byte{}
			}
			for k, v := range s.StringData {
				s.Data[k] = []byte(v)
			}
			s.StringData = nil
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil
			}
			return validateSecret(obj.(*corev1.Secret))
		},
		ValidateUpdate: validateSecretUpdate,
		Warnings:       secretWarnings,
		Columns: []kinds.Column{kinds.NameColumn(), {
			Name: "Type", Type: "string", Description: corev1.Secret{}.SwaggerDoc()["type"],
			Cell: func(_ kinds.Env, obj kinds.Object) any { return string(obj.(*corev1.Secret).Type) },
		}, {
			Name: "Data", Type: "string", Description: corev1.Secret{}.SwaggerDoc()["data"],
			Cell: func(_ kinds.Env, obj kinds.Object) any { return int64(len(obj.(*corev1.Secret).Data)) },
		}, kinds.AgeColumn()},
		Fields: func(obj kinds.Object) fields.Set { return fields.Set{"type": string(obj.(*corev1.Secret).Type)} },
		Facts:  []kinds.Fact{{Name: "type", Path: []int32{3}}},
	}
}

func validateSecret(s *corev1.Secret) (errs field.ErrorList) {
	path, size := field.NewPath("data"), 0
	for _, k := range slices.Sorted(maps.Keys(s.Data)) {
		for _, msg := range utilvalidation.IsConfigMapKey(k) {
			errs = append(errs, field.Invalid(path.Key(k), k, msg))
		}
		size += len(s.Data[k])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(path, "", corev1.MaxSecretSize))
	}
	return append(errs, validateSecretType(s, path)...)
}

// validateSecretType checks that the keys are there which the type promises, and never repeats what they hold.
func validateSecretType(s *corev1.Secret, path *field.Path) (errs field.ErrorList) {
	missing := func(key string) {
		if _, ok := s.Data[key]; !ok {
			errs = append(errs, field.Required(path.Key(key), ""))
		}
	}
	switch s.Type {
	case corev1.SecretTypeServiceAccountToken:
		if s.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(field.NewPath("metadata", "annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		return validateRegistries(s, corev1.DockerConfigKey, path)
	case corev1.SecretTypeDockerConfigJson:
		return validateRegistries(s, corev1.DockerConfigJsonKey, path)
	case corev1.SecretTypeBasicAuth:
		_, user := s.Data[corev1.BasicAuthUsernameKey]
		if _, word := s.Data[corev1.BasicAuthPasswordKey]; !user && !word { // one is enough, and may be empty
			missing(corev1.BasicAuthUsernameKey)
			missing(corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(s.Data[corev1.SSHAuthPrivateKey]) == 0 {
			errs = append(errs, field.Required(path.Key(corev1.SSHAuthPrivateKey), ""))
		}
	case corev1.SecretTypeTLS:
		missing(corev1.TLSCertKey)
		missing(corev1.TLSPrivateKeyKey)
	}
	return errs
}

// validateRegistries checks that what nodes read as credentials for registries is an object in JSON.
func validateRegistries(s *corev1.Secret, key string, path *field.Path) field.ErrorList {
	data, ok := s.Data[key]
	if !ok {
		return field.ErrorList{field.Required(path.Key(key), "")}
	}
	if err := json.Unmarshal(data, &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(path.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}

func validateSecretUpdate(obj, old kinds.Object) field.ErrorList {
	s, was := obj.(*corev1.Secret), old.(*corev1.Secret)
	errs := validation.ValidateImmutableField(s.Type, was.Type, field.NewPath("type"))
	fixed := was.Immutable != nil && *was.Immutable
	if fixed && (s.Immutable == nil || !*s.Immutable) {
		errs = append(errs, field.Forbidden(field.NewPath("immutable"), "field is immutable when `immutable` is set"))
	}
	if fixed && !reflect.DeepEqual(s.Data, was.Data) {
		errs = append(errs, field.Forbidden(field.NewPath("data"), "field is immutable when `immutable` is set"))
	}
	return append(errs, validateSecret(s)...)
}

// isStored says that an object was stored before. Where an update is judged by what was there, ValidateUpdate does all of it, in upstream's
// order, and Validate leaves it alone.
func isStored(obj kinds.Object) bool { return obj.GetResourceVersion() != "" }
