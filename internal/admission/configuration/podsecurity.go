package configuration

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/pod-security-admission/api"

	"github.com/floe-k8s/floe/internal/configfile"
)

// podSecurityFile is pod-security.admission.config.k8s.io/v1 PodSecurityConfiguration.
type podSecurityFile struct {
	metav1.TypeMeta `json:",inline"`
	Defaults        struct {
		Enforce        string `json:"enforce,omitempty"`
		EnforceVersion string `json:"enforce-version,omitempty"`
		Audit          string `json:"audit,omitempty"`
		AuditVersion   string `json:"audit-version,omitempty"`
		Warn           string `json:"warn,omitempty"`
		WarnVersion    string `json:"warn-version,omitempty"`
	} `json:"defaults"`
	Exemptions struct {
		Usernames      []string `json:"usernames,omitempty"`
		Namespaces     []string `json:"namespaces,omitempty"`
		RuntimeClasses []string `json:"runtimeClasses,omitempty"`
	} `json:"exemptions"`
}

func (s *Settings) podSecurity(doc configfile.Source) error {
	var wanted []schema.GroupVersionKind
	for _, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		wanted = append(wanted, schema.GroupVersionKind{Group: "pod-security.admission.config.k8s.io", Version: version, Kind: "PodSecurityConfiguration"})
	}
	return configfile.DecodePart(doc, wanted, new(podSecurityFile), s.setPodSecurity)
}

// setPodSecurity judges a file and takes what it says.
func (s *Settings) setPodSecurity(f *podSecurityFile) (errs field.ErrorList) {
	at := field.NewPath("defaults")
	set := func(mode, level, version string, into *api.LevelVersion) {
		var err error
		if level != "" {
			if into.Level, err = api.ParseLevel(level); err != nil {
				errs = append(errs, field.Invalid(at.Child(mode), level, err.Error()))
			}
		}
		if version != "" {
			if into.Version, err = api.ParseVersion(version); err != nil {
				errs = append(errs, field.Invalid(at.Child(mode+"-version"), version, err.Error()))
			}
		}
	}
	d, into := f.Defaults, &s.PodSecurity
	set("enforce", d.Enforce, d.EnforceVersion, &into.Default.Enforce)
	set("warn", d.Warn, d.WarnVersion, &into.Default.Warn)
	set("audit", d.Audit, d.AuditVersion, &into.Default.Audit)
	at = field.NewPath("exemptions")
	errs = append(errs, names(at.Child("namespaces"), f.Exemptions.Namespaces, validation.ValidateNamespaceName)...)
	errs = append(errs, names(at.Child("runtimeClasses"), f.Exemptions.RuntimeClasses, validation.NameIsDNSSubdomain)...)
	errs = append(errs, names(at.Child("usernames"), f.Exemptions.Usernames, func(name string, _ bool) []string {
		if name == "" {
			return []string{"username must not be empty"}
		}
		return nil
	})...)
	into.Namespaces, into.RuntimeClasses, into.Users = f.Exemptions.Namespaces, f.Exemptions.RuntimeClasses, f.Exemptions.Usernames
	return errs
}

// names judges names that each come once.
func names(at *field.Path, list []string, rule validation.ValidateNameFunc) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i, name := range list {
		if bad := rule(name, false); len(bad) > 0 {
			errs = append(errs, field.Invalid(at.Index(i), name, strings.Join(bad, ", ")))
		} else if seen[name] {
			errs = append(errs, field.Duplicate(at.Index(i), name))
		}
		seen[name] = true
	}
	return errs
}
