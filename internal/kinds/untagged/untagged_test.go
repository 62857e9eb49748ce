package untagged_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

func TestValue(t *testing.T) {
	seconds, name := int64(3), "pv"
	for want, v := range map[string]any{
		`{"APIGroup":"g","Kind":"Role","Name":""}`:                                                      rbacv1.RoleRef{APIGroup: "g", Kind: "Role"},
		`{"Key":"k","Operator":"","Value":"","Effect":"","TolerationSeconds":3}`:                        &corev1.Toleration{Key: "k", TolerationSeconds: &seconds},
		`{"Attacher":"","Source":{"PersistentVolumeName":"pv","InlineVolumeSpec":null},"NodeName":"n"}`: storagev1.VolumeAttachmentSpec{NodeName: "n", Source: storagev1.VolumeAttachmentSource{PersistentVolumeName: &name}},
		`[{"Audience":"a","ExpirationSeconds":null}]`:                                                   []storagev1.TokenRequest{{Audience: "a"}},
		`{"labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}`:    resourcev1.ResourceClaimTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}}},
		`{"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}`:                       resourcev1.ResourceClaimTemplateSpec{},
		`null`:                      []string(nil),
		`[]`:                        []string{},
		`"YWI="`:                    []byte("ab"),
		`{"a":"b","c":"d"}`:         map[string]string{"c": "d", "a": "b"},
		`{"matchLabels":{"a":"b"}}`: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
	} {
		if got := field.Invalid(field.NewPath("p"), untagged.Value(v), "no").Error(); got != "p: Invalid value: "+want+": no" {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	var none *corev1.Toleration
	if got := field.Duplicate(field.NewPath("p"), untagged.Value(none)).Error(); got != "p: Duplicate value: null" {
		t.Errorf("got %s", got)
	}
}
