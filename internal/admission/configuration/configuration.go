// Package configuration reads upstream's AdmissionConfiguration: a file that has, or names files with, the settings of single plug-ins.
//
// # Laws
//
//   - Files are read strictly: a field that nobody knows or that comes twice, a plug-in that has no settings, a version or kind that is another's, is an error
//     that names file and field.
//   - A path in the file is relative to the file.
//   - What is not said is upstream's default.
package configuration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/pod-security-admission/api"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/admission/podsecurity"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
)

// Settings are those of all plug-ins that have some.
type Settings struct {
	PodSecurity podsecurity.Settings
	Limited     []resourcequota.Limited // ResourceQuota's
}

// Default is what holds without a file.
func Default() Settings { return Settings{PodSecurity: podsecurity.DefaultSettings()} }

// file is apiserver.config.k8s.io/v1 AdmissionConfiguration.
type file struct {
	metav1.TypeMeta `json:",inline"`
	Plugins         []struct {
		Name          string                `json:"name"`
		Path          string                `json:"path"`
		Configuration *runtime.RawExtension `json:"configuration"`
	} `json:"plugins"`
}

// Read reads the file at path; "" names none.
func Read(path string) (Settings, error) {
	settings := Default()
	if path == "" {
		return settings, nil
	}
	var f file
	if err := readFile(path, &f.TypeMeta, &f, []string{"apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1"}, "AdmissionConfiguration"); err != nil {
		return settings, err
	}
	read := map[string]func(name string, doc []byte) error{"PodSecurity": settings.podSecurity, "ResourceQuota": settings.resourceQuota}
	seen := map[string]bool{}
	for i, p := range f.Plugins {
		at := fmt.Sprintf("%s: plugins[%d] (%s)", path, i, p.Name)
		use, known := read[p.Name]
		switch {
		case !known:
			return settings, fmt.Errorf("%s: floe reads no settings of this plug-in; it does those of PodSecurity and ResourceQuota", at)
		case seen[p.Name]:
			return settings, fmt.Errorf("%s: it comes twice", at)
		}
		seen[p.Name] = true
		var doc []byte
		switch {
		case p.Configuration != nil:
			doc, at = p.Configuration.Raw, at+".configuration"
		case p.Path != "":
			at = p.Path
			if !filepath.IsAbs(at) {
				at = filepath.Join(filepath.Dir(path), at)
			}
			var err error
			if doc, err = os.ReadFile(at); err != nil {
				return settings, fmt.Errorf("%s: plugins[%d].path: %w", path, i, err)
			}
		default:
			continue
		}
		if err := use(at, doc); err != nil {
			return settings, err
		}
	}
	return settings, nil
}

func readFile(path string, meta *metav1.TypeMeta, into any, versions []string, kind string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("unable to read admission control configuration: %w", err)
	}
	return decode(path, doc, meta, into, versions, kind)
}

// decode reads a document, which must say one of the versions and the kind; meta is into's own.
func decode(name string, doc []byte, meta *metav1.TypeMeta, into any, versions []string, kind string) error {
	text, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	strict, err := kjson.UnmarshalStrict(text, into)
	if err == nil {
		err = errors.Join(strict...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, v := range versions {
		if meta.APIVersion == v && meta.Kind == kind {
			return nil
		}
	}
	return fmt.Errorf("%s: apiVersion and kind are %q and %q, want %s and %s", name, meta.APIVersion, meta.Kind, strings.Join(versions, " or "), kind)
}

func (s *Settings) resourceQuota(name string, doc []byte) error {
	var f struct {
		metav1.TypeMeta  `json:",inline"`
		LimitedResources []struct {
			APIGroup      string                                     `json:"apiGroup,omitempty"`
			Resource      string                                     `json:"resource"`
			MatchContains []string                                   `json:"matchContains,omitempty"`
			MatchScopes   []corev1.ScopedResourceSelectorRequirement `json:"matchScopes,omitempty"`
		} `json:"limitedResources"`
	}
	versions := []string{"apiserver.config.k8s.io/v1", "resourcequota.admission.k8s.io/v1", "resourcequota.admission.k8s.io/v1beta1", "resourcequota.admission.k8s.io/v1alpha1"}
	kind := "ResourceQuotaConfiguration"
	if !bytes.Contains(doc, []byte(kind)) {
		versions, kind = versions[1:], "Configuration" // its older name
	}
	if err := decode(name, doc, &f.TypeMeta, &f, versions, kind); err != nil {
		return err
	}
	for i, l := range f.LimitedResources {
		if l.Resource == "" {
			return fmt.Errorf("%s: %w", name, field.Required(field.NewPath("limitedResources").Index(i).Child("resource"), ""))
		}
		s.Limited = append(s.Limited, resourcequota.Limited{Group: l.APIGroup, Resource: l.Resource, Contains: l.MatchContains, Scopes: l.MatchScopes})
	}
	return nil
}

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

func (s *Settings) podSecurity(name string, doc []byte) error {
	var f podSecurityFile
	const group = "pod-security.admission.config.k8s.io/"
	if err := decode(name, doc, &f.TypeMeta, &f, []string{group + "v1", group + "v1beta1", group + "v1alpha1"}, "PodSecurityConfiguration"); err != nil {
		return err
	}
	var errs field.ErrorList
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
	if err := errs.ToAggregate(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
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
