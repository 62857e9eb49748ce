package policy_test

import (
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/floe-k8s/floe/internal/kinds"
)

// types are the schemas that client-go carries.
func types(*kinds.Kind) (managedfields.TypeConverter, error) {
	return applyconfigurations.NewTypeConverter(scheme.Scheme), nil
}
