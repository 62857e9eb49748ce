// Package configuration reads upstream's AdmissionConfiguration: a file that has, or names files with, the settings of single plug-ins.
//
// # Laws
//
//   - Files are read strictly: a field that nobody knows or that comes twice, a plug-in that has no settings, a version or kind that is another's, is an error
//     that names file, line and field.
//   - A path in the file is relative to the file; a kubeconfig file that settings name is what upstream makes of it: relative to the working directory, or refused.
//   - What is not said is upstream's default. A plug-in that cannot work by default must not be on without settings.
//   - A file that is nothing but imagePolicy or podNodeSelectorPluginConfig holds the settings of those plug-ins, as before there was an AdmissionConfiguration.
package configuration

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/eventratelimit"
	"github.com/floe-k8s/floe/internal/admission/imagepolicy"
	"github.com/floe-k8s/floe/internal/admission/placement"
	"github.com/floe-k8s/floe/internal/admission/podsecurity"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
	"github.com/floe-k8s/floe/internal/admission/webhook"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/configfile"
)

// Settings are those of all plug-ins that have some.
type Settings struct {
	PodSecurity podsecurity.Settings
	Limited     []resourcequota.Limited // ResourceQuota's
	Events      []eventratelimit.Limit  // EventRateLimit's
	Images      *imagepolicy.Settings   // ImagePolicyWebhook's; nil: there are none
	Placement   placement.Settings      // PodNodeSelector's and PodTolerationRestriction's
	// MutatingWebhooks and ValidatingWebhooks are as whom the server calls them; nil: as nobody.
	MutatingWebhooks, ValidatingWebhooks *reach.Credentials
}

// Default is what holds without a file.
func Default() Settings { return Settings{PodSecurity: podsecurity.DefaultSettings()} }

// Check says what is missing for the plug-ins that are on.
func (s Settings) Check(off []string) error {
	switch {
	case !slices.Contains(off, eventratelimit.Name) && len(s.Events) == 0:
		return unusable(eventratelimit.Name, field.Invalid(field.NewPath("limits"), s.Events, "must not be empty"))
	case !slices.Contains(off, imagepolicy.Name) && s.Images == nil:
		return unusable(imagepolicy.Name, fmt.Errorf("no config specified"))
	}
	return nil
}

func unusable(plugin string, err error) error {
	return fmt.Errorf("couldn't init admission plugin %q: %w; its settings come with --admission-control-config-file", plugin, err)
}

// file is apiserver.config.k8s.io/v1 AdmissionConfiguration.
type file struct {
	metav1.TypeMeta `json:",inline"`
	Plugins         []plugin `json:"plugins"`
}

type plugin struct {
	Name          string                `json:"name"`
	Path          string                `json:"path"`
	Configuration *runtime.RawExtension `json:"configuration"`
}

// reads are how the settings of each plug-in are read. They set their own fields of the settings.
type reads map[string]func(configfile.Source) error

func (s *Settings) reads() reads {
	return reads{
		"PodSecurity": s.podSecurity, "ResourceQuota": s.resourceQuota, eventratelimit.Name: s.eventRateLimit,
		imagepolicy.Name: s.imagePolicy, "PodNodeSelector": s.podNodeSelector, "PodTolerationRestriction": s.podTolerationRestriction,
		webhook.MutatingName:        func(doc configfile.Source) error { return credentials(doc, &s.MutatingWebhooks) },
		webhook.ValidatingName:      func(doc configfile.Source) error { return credentials(doc, &s.ValidatingWebhooks) },
		"MutatingAdmissionPolicy":   policies,
		"ValidatingAdmissionPolicy": policies,
	}
}

// Read reads the file at path; "" names none.
func Read(path string) (Settings, error) {
	settings := Default()
	if path == "" {
		return settings, nil
	}
	data, err := configfile.Load(path)
	if err != nil {
		return settings, fmt.Errorf("unable to read admission control configuration: %w", err)
	}
	whole := configfile.Source{Path: path, File: data}
	if older(data) {
		return settings, settings.unversioned(whole)
	}
	read := settings.reads()
	wanted := []schema.GroupVersionKind{
		{Group: "apiserver.config.k8s.io", Version: "v1", Kind: "AdmissionConfiguration"}, {Group: "apiserver.k8s.io", Version: "v1alpha1", Kind: "AdmissionConfiguration"},
	}
	var f file
	if err := configfile.DecodePart(whole, wanted, &f, func(f *file) field.ErrorList { return read.check(f.Plugins) }); err != nil {
		return settings, err
	}
	for i, p := range f.Plugins {
		doc := whole
		switch {
		case p.Configuration != nil:
			doc.At = fmt.Sprintf("plugins[%d].configuration", i)
		case p.Path != "":
			doc.Path = p.Path
			if !filepath.IsAbs(p.Path) {
				doc.Path = filepath.Join(filepath.Dir(path), p.Path)
			}
			if doc.File, err = configfile.Load(doc.Path); err != nil {
				return settings, fmt.Errorf("%s: plugins[%d].path: %w", path, i, err)
			}
		default:
			continue
		}
		if err := read[p.Name](doc); err != nil {
			return settings, fmt.Errorf("admission plug-in %s: %w", p.Name, err)
		}
	}
	return settings, nil
}

// check judges which plug-ins a file speaks of.
func (r reads) check(list []plugin) (errs field.ErrorList) {
	seen := map[string]bool{}
	for i, p := range list {
		at := field.NewPath("plugins").Index(i).Child("name")
		_, known := r[p.Name]
		switch {
		case seen[p.Name]:
			errs = append(errs, field.Duplicate(at, p.Name))
		case !slices.Contains(admission.Order(), p.Name):
			errs = append(errs, field.NotSupported(at, p.Name, admission.Order()))
		case !known && (p.Configuration != nil || p.Path != ""):
			errs = append(errs, field.Invalid(at, p.Name, "this plug-in has no settings; "+strings.Join(slices.Sorted(maps.Keys(r)), ", ")+" have"))
		}
		seen[p.Name] = true
	}
	return errs
}

// older says whether a file has settings alone, and no type.
func older(data []byte) bool {
	var fields map[string]any
	if yaml.Unmarshal(data, &fields) != nil || fields["apiVersion"] != nil || fields["kind"] != nil {
		return false // what is wrong with it is said when it is read
	}
	return fields["imagePolicy"] != nil || fields["podNodeSelectorPluginConfig"] != nil
}
