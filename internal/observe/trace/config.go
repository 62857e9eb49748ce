package trace

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	tracingv1 "k8s.io/component-base/tracing/api/v1"

	"github.com/floe-k8s/floe/internal/configfile"
)

// Config says where spans go (Endpoint; nil: localhost:4317) and of how many requests in a million (SamplingRatePerMillion; nil: of those only whose sender
// asks for it and is trusted).
type Config = tracingv1.TracingConfiguration

// Load reads a TracingConfiguration, whose versions do not differ. Errors name file, line and field.
func Load(path string) (*Config, error) {
	var wanted []schema.GroupVersionKind
	for _, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		wanted = append(wanted, schema.GroupVersionKind{Group: apiserverv1.GroupName, Version: version, Kind: "TracingConfiguration"})
	}
	var into apiserverv1.TracingConfiguration
	err := configfile.Read(path, wanted, &into, func(c *apiserverv1.TracingConfiguration) field.ErrorList {
		return tracingv1.ValidateTracingConfiguration(&c.TracingConfiguration, nil, nil)
	})
	if err != nil {
		return nil, err
	}
	return &into.TracingConfiguration, nil
}
