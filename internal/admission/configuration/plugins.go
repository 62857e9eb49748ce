package configuration

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/admission/eventratelimit"
	"github.com/floe-k8s/floe/internal/admission/imagepolicy"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	authwebhook "github.com/floe-k8s/floe/internal/auth/webhook"
	"github.com/floe-k8s/floe/internal/configfile"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// staticManifests is the gate of settings that name a directory of manifests. It is alpha and off in v1.36.
const staticManifests = "ManifestBasedAdmissionControlConfig"

func (s *Settings) resourceQuota(doc configfile.Source) error {
	type quotaFile struct {
		metav1.TypeMeta  `json:",inline"`
		LimitedResources []struct {
			APIGroup      string                                     `json:"apiGroup,omitempty"`
			Resource      string                                     `json:"resource"`
			MatchContains []string                                   `json:"matchContains,omitempty"`
			MatchScopes   []corev1.ScopedResourceSelectorRequirement `json:"matchScopes,omitempty"`
		} `json:"limitedResources"`
	}
	const group, kind = "resourcequota.admission.k8s.io", "Configuration" // its older name
	wanted := []schema.GroupVersionKind{
		{Group: "apiserver.config.k8s.io", Version: "v1", Kind: "ResourceQuotaConfiguration"}, {Group: group, Version: "v1beta1", Kind: kind}, {Group: group, Version: "v1alpha1", Kind: kind},
	}
	return configfile.DecodePart(doc, wanted, new(quotaFile), func(f *quotaFile) (errs field.ErrorList) {
		for i, l := range f.LimitedResources {
			if l.Resource == "" {
				errs = append(errs, field.Required(field.NewPath("limitedResources").Index(i).Child("resource"), ""))
			}
			s.Limited = append(s.Limited, resourcequota.Limited{Group: l.APIGroup, Resource: l.Resource, Contains: l.MatchContains, Scopes: l.MatchScopes})
		}
		return errs
	})
}

func (s *Settings) eventRateLimit(doc configfile.Source) error {
	type limitFile struct {
		metav1.TypeMeta `json:",inline"`
		Limits          []eventratelimit.Limit `json:"limits"`
	}
	wanted := []schema.GroupVersionKind{{Group: "eventratelimit.admission.k8s.io", Version: "v1alpha1", Kind: "Configuration"}}
	return configfile.DecodePart(doc, wanted, new(limitFile), func(f *limitFile) (errs field.ErrorList) {
		at := field.NewPath("limits")
		if len(f.Limits) == 0 {
			errs = append(errs, field.Invalid(at, f.Limits, "must not be empty"))
		}
		for i, l := range f.Limits {
			errs = append(errs, limitErrors(l, at.Index(i))...)
		}
		s.Events = f.Limits
		return errs
	})
}

func limitErrors(l eventratelimit.Limit, at *field.Path) (errs field.ErrorList) {
	types := []eventratelimit.Type{eventratelimit.Server, eventratelimit.Namespace, eventratelimit.User, eventratelimit.SourceAndObject}
	if !slices.Contains(types, l.Type) {
		errs = append(errs, field.NotSupported(at.Child("type"), l.Type, types))
	}
	if l.Burst <= 0 {
		errs = append(errs, field.Invalid(at.Child("burst"), l.Burst, "must be positive"))
	}
	if l.QPS <= 0 {
		errs = append(errs, field.Invalid(at.Child("qps"), l.QPS, "must be positive"))
	}
	if l.Type != eventratelimit.Server && l.CacheSize < 0 {
		errs = append(errs, field.Invalid(at.Child("cacheSize"), l.CacheSize, "must not be negative"))
	}
	return errs
}

func (s *Settings) podTolerationRestriction(doc configfile.Source) error {
	type tolerationFile struct {
		metav1.TypeMeta `json:",inline"`
		Default         []corev1.Toleration `json:"default,omitempty"`
		Whitelist       []corev1.Toleration `json:"whitelist,omitempty"`
	}
	wanted := []schema.GroupVersionKind{{Group: "podtolerationrestriction.admission.k8s.io", Version: "v1alpha1", Kind: "Configuration"}}
	return configfile.DecodePart(doc, wanted, new(tolerationFile), func(f *tolerationFile) field.ErrorList {
		s.Placement.Default, s.Placement.Allowed = f.Default, f.Whitelist
		return append(podspec.TolerationsOf(f.Default, field.NewPath("default")), podspec.TolerationsOf(f.Whitelist, field.NewPath("whitelist"))...)
	})
}

// unversionedFile is the settings of those plug-ins that have no type of their own. A time is a number: of seconds, for retryBackoff of milliseconds; 0 is the default,
// -1 none at all.
type unversionedFile struct {
	ImagePolicy *imagePolicyPart  `json:"imagePolicy"`
	Selectors   map[string]string `json:"podNodeSelectorPluginConfig"`
}

type imagePolicyPart struct {
	KubeConfigFile string `json:"kubeConfigFile"`
	AllowTTL       int64  `json:"allowTTL"`
	DenyTTL        int64  `json:"denyTTL"`
	RetryBackoff   int64  `json:"retryBackoff"`
	DefaultAllow   bool   `json:"defaultAllow"`
}

func (s *Settings) imagePolicy(doc configfile.Source) error {
	return configfile.DecodePart(doc, nil, new(unversionedFile), func(f *unversionedFile) field.ErrorList {
		if f.ImagePolicy == nil {
			return field.ErrorList{field.Required(field.NewPath("imagePolicy"), "")}
		}
		return s.setUnversioned(&unversionedFile{ImagePolicy: f.ImagePolicy})
	})
}

func (s *Settings) podNodeSelector(doc configfile.Source) error {
	return configfile.DecodePart(doc, nil, new(unversionedFile), func(f *unversionedFile) field.ErrorList {
		return s.setUnversioned(&unversionedFile{Selectors: f.Selectors})
	})
}

func (s *Settings) unversioned(doc configfile.Source) error {
	return configfile.DecodePart(doc, nil, new(unversionedFile), s.setUnversioned)
}

// setUnversioned judges a file and takes what it says.
func (s *Settings) setUnversioned(f *unversionedFile) (errs field.ErrorList) {
	if f.Selectors != nil {
		s.Placement.Selectors = f.Selectors
	}
	for key, text := range f.Selectors {
		if _, err := labels.ConvertSelectorToLabelsMap(text); err != nil {
			errs = append(errs, field.Invalid(field.NewPath("podNodeSelectorPluginConfig").Child(key), text, err.Error()))
		}
	}
	if f.ImagePolicy != nil {
		errs = append(errs, s.setImages(f.ImagePolicy, field.NewPath("imagePolicy"))...)
	}
	return errs
}

func (s *Settings) setImages(f *imagePolicyPart, at *field.Path) (errs field.ErrorList) {
	lasts := func(name string, value int64, unit, least, most, byDefault time.Duration) time.Duration {
		switch d := time.Duration(value); {
		case d == 0:
			return byDefault
		case d == -1:
			return 0
		case d < least/unit || d > most/unit:
			errs = append(errs, field.Invalid(at.Child(name), value, fmt.Sprintf("valid value is between %v and %v", least, most)))
		default:
			return d * unit
		}
		return 0
	}
	s.Images = &imagepolicy.Settings{
		FailOpen: f.DefaultAllow,
		Pause:    lasts("retryBackoff", f.RetryBackoff, time.Millisecond, time.Millisecond, 5*time.Minute, 500*time.Millisecond),
		Allowed:  lasts("allowTTL", f.AllowTTL, time.Second, time.Second, 30*time.Minute, 5*time.Minute),
		Refused:  lasts("denyTTL", f.DenyTTL, time.Second, time.Second, 30*time.Minute, 30*time.Second),
	}
	var err error
	if at := at.Child("kubeConfigFile"); f.KubeConfigFile == "" {
		errs = append(errs, field.Required(at, "it says where the backend is"))
	} else if s.Images.URL, s.Images.Client, err = authwebhook.Connect(f.KubeConfigFile, imagepolicy.Timeout, nil); err != nil {
		errs = append(errs, field.Invalid(at, f.KubeConfigFile, err.Error()))
	}
	return errs
}

// credentials reads WebhookAdmissionConfiguration.
func credentials(doc configfile.Source, into **reach.Credentials) error {
	type webhookFile struct {
		metav1.TypeMeta    `json:",inline"`
		KubeConfigFile     string `json:"kubeConfigFile"`
		StaticManifestsDir string `json:"staticManifestsDir,omitempty"`
	}
	wanted := []schema.GroupVersionKind{{Group: "apiserver.config.k8s.io", Version: "v1", Kind: "WebhookAdmissionConfiguration"}}
	return configfile.DecodePart(doc, wanted, new(webhookFile), func(f *webhookFile) field.ErrorList {
		at := field.NewPath("kubeConfigFile")
		switch {
		case f.StaticManifestsDir != "":
			return field.ErrorList{noManifests(f.StaticManifestsDir)}
		case f.KubeConfigFile == "":
			return nil
		case !filepath.IsAbs(f.KubeConfigFile):
			return field.ErrorList{field.Invalid(at, f.KubeConfigFile, "must be an absolute file path")}
		}
		var err error
		if *into, err = reach.ReadCredentials(f.KubeConfigFile); err != nil {
			return field.ErrorList{field.Invalid(at, f.KubeConfigFile, err.Error())}
		}
		return nil
	})
}

func noManifests(dir string) *field.Error {
	return field.Forbidden(field.NewPath("staticManifestsDir"), fmt.Sprintf("%q is configured but the %s feature gate is not enabled", dir, staticManifests))
}

// policies reads the settings of both kinds of policies, of which all there is needs a gate that is off.
func policies(doc configfile.Source) error {
	type policyFile struct {
		metav1.TypeMeta    `json:",inline"`
		StaticManifestsDir string `json:"staticManifestsDir,omitempty"`
	}
	const group = "apiserver.config.k8s.io"
	wanted := []schema.GroupVersionKind{
		{Group: group, Version: "v1", Kind: "ValidatingAdmissionPolicyConfiguration"}, {Group: group, Version: "v1", Kind: "MutatingAdmissionPolicyConfiguration"},
	}
	return configfile.DecodePart(doc, wanted, new(policyFile), func(f *policyFile) field.ErrorList {
		if f.StaticManifestsDir != "" {
			return field.ErrorList{noManifests(f.StaticManifestsDir)}
		}
		return nil
	})
}
