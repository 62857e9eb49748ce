package encryption

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	configv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/configfile"
)

// kmsTimeout is how long a call of a plug-in may take when the file does not say.
const kmsTimeout = 3 * time.Second

// decode reads a file's text and makes its rules, whose plug-ins are the caller's to close.
func decode(path string, data []byte, ticking clock.WithTicker) (*rules, error) {
	var file configv1.EncryptionConfiguration
	wanted := []schema.GroupVersionKind{configv1.SchemeGroupVersion.WithKind("EncryptionConfiguration")}
	if err := configfile.Decode(path, data, wanted, &file, validate); err != nil {
		return nil, fmt.Errorf("encryption configuration: %w", err)
	}
	r := &rules{chains: map[schema.GroupResource]chain{}}
	for i := range file.Resources {
		links, err := r.links(file.Resources[i].Providers, ticking)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("encryption configuration: %s: %w", path, err), r.close())
		}
		for _, name := range file.Resources[i].Resources {
			res := schema.ParseGroupResource(name)
			r.chains[res] = append(r.chains[res], links...)
		}
	}
	return r, nil
}

func (r *rules) close() error {
	var errs []error
	for _, p := range r.kms {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

// links makes providers; the configuration is valid.
func (r *rules) links(list []configv1.ProviderConfiguration, ticking clock.WithTicker) (out chain, err error) {
	add := func(kind string, keys []configv1.Key, make func([]byte) (provider, error)) {
		for _, k := range keys {
			secret, failed := base64.StdEncoding.DecodeString(k.Secret)
			p, bad := make(secret)
			err = errors.Join(err, failed, bad)
			out = append(out, link{marker + kind + ":v1:" + k.Name + ":", kind, p})
		}
	}
	for i := range list {
		switch p := &list[i]; {
		case p.AESGCM != nil:
			add("aesgcm", p.AESGCM.Keys, func(b []byte) (provider, error) { return newGCM(b) })
		case p.AESCBC != nil:
			add("aescbc", p.AESCBC.Keys, func(b []byte) (provider, error) { return newCBC(b) })
		case p.Secretbox != nil:
			add("secretbox", p.Secretbox.Keys, func(b []byte) (provider, error) { return &box{[32]byte(b)}, nil })
		case p.KMS != nil:
			timeout := kmsTimeout
			if p.KMS.Timeout != nil {
				timeout = p.KMS.Timeout.Duration
			}
			kms, failed := newPlugin(p.KMS.Name, p.KMS.Endpoint, timeout, ticking)
			if failed != nil {
				return nil, errors.Join(err, failed)
			}
			r.kms = append(r.kms, kms)
			out = append(out, link{marker + "kms:v2:" + p.KMS.Name + ":", "kms", kms})
		case p.Identity != nil:
			out = append(out, link{"", "identity", identity{}})
		}
	}
	return out, err
}

func validate(c *configv1.EncryptionConfiguration) (errs field.ErrorList) {
	root := field.NewPath("resources")
	if len(c.Resources) == 0 {
		return field.ErrorList{field.Required(root, "at least one resources is required")}
	}
	names, before := map[string]bool{}, map[schema.GroupResource]bool{}
	for i, entry := range c.Resources {
		at := root.Index(i)
		errs = append(errs, validateResources(entry.Resources, at.Child("resources"), before)...)
		providers := at.Child("providers")
		if len(entry.Providers) == 0 {
			errs = append(errs, field.Required(providers, fmt.Sprintf("at least one %s is required", providers)))
		}
		for j := range entry.Providers {
			errs = append(errs, validateProvider(&entry.Providers[j], providers.Index(j), names)...)
		}
	}
	return errs
}

// validateResources also notes what the entry names: what an earlier entry's wildcard has, no later one may name.
func validateResources(list []string, at *field.Path, before map[schema.GroupResource]bool) (errs field.ErrorList) {
	if len(list) == 0 {
		return field.ErrorList{field.Required(at, fmt.Sprintf("at least one %s is required", at))}
	}
	bad := func(path *field.Path, value any, why string) { errs = append(errs, field.Invalid(path, value, why)) }
	var own []schema.GroupResource
	for j, name := range list {
		res := schema.ParseGroupResource(name)
		why := badResource(name, res)
		if why != "" {
			bad(at.Index(j), name, why)
			continue
		}
		switch {
		case slices.Contains(own, res):
			bad(at, list, "the same resource cannot be specified multiple times")
		case slices.ContainsFunc(own, func(o schema.GroupResource) bool {
			return o == everything || res == everything || o.Group == res.Group && (o.Resource == "*" || res.Resource == "*")
		}):
			bad(at, list, "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked")
		}
		own = append(own, res)
		for _, wide := range []schema.GroupResource{{Group: res.Group, Resource: "*"}, everything} {
			if before[wide] {
				bad(at.Index(j), name, fmt.Sprintf("resource %q is masked by earlier rule %q", name, wide.Resource+"."+wide.Group))
				break
			}
		}
	}
	for _, res := range own {
		before[res] = true
	}
	return errs
}

func badResource(name string, res schema.GroupResource) string {
	switch {
	case name != strings.ToLower(name):
		return "resource name should not contain capital letters"
	case name == "*":
		return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"
	case slices.Contains([]string{"apiserveripinfo", "serviceipallocations", "servicenodeportallocations"}, name):
		return "resources which do not have REST API/s cannot be encrypted"
	case res.Group == "events.k8s.io":
		return "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config file"
	case res.Group == "extensions":
		return "'extensions' group has been removed and cannot be used for encryption"
	case res.Group == "*" && res.Resource != "*":
		return "encrypting the same resource across groups is not supported"
	}
	return ""
}

func validateProvider(p *configv1.ProviderConfiguration, at *field.Path, names map[string]bool) field.ErrorList {
	found := 0
	for _, there := range []bool{p.KMS != nil, p.AESGCM != nil, p.AESCBC != nil, p.Secretbox != nil, p.Identity != nil} {
		if there {
			found++
		}
	}
	switch {
	case found == 0: // never the value: it may hold keys
		return field.ErrorList{field.Required(at, "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity")}
	case found > 1:
		return field.ErrorList{field.Forbidden(at, "more than one provider specified in a single element, should split into different list elements")}
	case p.KMS != nil:
		return validateKMS(p.KMS, at.Child("kms"), names)
	case p.AESGCM != nil:
		return validateKeys(p.AESGCM.Keys, at.Child("aesgcm", "keys"), 16, 24, 32)
	case p.AESCBC != nil:
		return validateKeys(p.AESCBC.Keys, at.Child("aescbc", "keys"), 16, 24, 32)
	case p.Secretbox != nil:
		return validateKeys(p.Secretbox.Keys, at.Child("secretbox", "keys"), 32)
	}
	return nil
}

func validateKeys(keys []configv1.Key, at *field.Path, sizes ...int) (errs field.ErrorList) {
	if len(keys) == 0 {
		errs = append(errs, field.Required(at, "at least one keys is required"))
	}
	for i, k := range keys {
		if k.Name == "" {
			errs = append(errs, field.Required(at.Index(i).Child("name"), "name is a mandatory field for a key"))
		}
		secret := at.Index(i).Child("secret")
		b, err := base64.StdEncoding.DecodeString(k.Secret)
		switch {
		case k.Secret == "":
			errs = append(errs, field.Required(secret, "secret is a mandatory field for a key"))
		case err != nil:
			errs = append(errs, field.Invalid(secret, "REDACTED", "secrets must be base64 encoded"))
		case !slices.Contains(sizes, len(b)):
			errs = append(errs, field.Invalid(secret, "REDACTED", fmt.Sprintf("secret is not of the expected length, got %d, expected one of %v", len(b), sizes)))
		}
	}
	return errs
}

func validateKMS(k *configv1.KMSConfiguration, at *field.Path, names map[string]bool) (errs field.ErrorList) {
	switch {
	case k.Name == "":
		errs = append(errs, field.Required(at.Child("name"), "name is a mandatory field for a KMS provider"))
	case strings.Contains(k.Name, ":"):
		errs = append(errs, field.Invalid(at.Child("name"), k.Name, "invalid KMS provider name "+k.Name+", must not contain ':'"))
	case names[k.Name]:
		errs = append(errs, field.Invalid(at.Child("name"), k.Name, "duplicate KMS provider name "+k.Name+", names must be unique"))
	}
	names[k.Name] = true
	if k.Timeout != nil && k.Timeout.Duration <= 0 {
		errs = append(errs, field.Invalid(at.Child("timeout"), k.Timeout, "timeout should be a positive value"))
	}
	u, err := url.Parse(k.Endpoint)
	switch {
	case k.Endpoint == "":
		errs = append(errs, field.Invalid(at.Child("endpoint"), "", "endpoint is a mandatory field for a KMS provider"))
	case err != nil:
		errs = append(errs, field.Invalid(at.Child("endpoint"), k.Endpoint, fmt.Sprintf("invalid endpoint for kms provider, error: %v", err)))
	case u.Scheme != "unix":
		errs = append(errs, field.Invalid(at.Child("endpoint"), k.Endpoint, fmt.Sprintf("unsupported scheme %q for KMS provider, only unix is supported", u.Scheme)))
	}
	switch k.APIVersion {
	case "v2":
		if k.CacheSize != nil {
			errs = append(errs, field.Invalid(at.Child("cachesize"), *k.CacheSize, "cachesize is not supported in v2"))
		}
	case "", "v1":
		errs = append(errs, field.Invalid(at.Child("apiVersion"), k.APIVersion, "KMSv1 is deprecated and not served, as upstream by default. Use KMSv2 instead"))
	default:
		errs = append(errs, field.Invalid(at.Child("apiVersion"), k.APIVersion, fmt.Sprintf("unsupported apiVersion %s for KMS provider, only v1 and v2 are supported", k.APIVersion)))
	}
	return errs
}
