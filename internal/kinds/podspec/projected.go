package podspec

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	minTokenLife = 10 * 60 // seconds
	maxTokenLife = 1 << 32
)

// projection gathers the files of a projected volume; no two may share a path.
type projection struct {
	at    place // the volume's
	paths sets.Set[string]
	odd   bool // a token's path may lead anywhere
	errs  field.ErrorList
}

func validateProjected(s *subject, v *corev1.ProjectedVolumeSource, at place) field.ErrorList {
	p := &projection{at: at, paths: sets.New[string](), odd: s.leave.oddTokenPath, errs: fileMode(v.DefaultMode, at.in("defaultMode"))}
	for i := range v.Sources {
		at := at.in("sources").nth(i)
		if p.source(&v.Sources[i], at) > 1 {
			p.errs = append(p.errs, field.Forbidden(at.path(), "may not specify more than 1 volume type per source"))
		}
	}
	return p.errs
}

// source checks one source and returns how many it is. Bundles of trust and certificates of pods wait behind gates:
// DropDisabled has taken them out.
func (p *projection) source(s *corev1.VolumeProjection, at place) (n int) {
	if s.Secret != nil {
		n++
		p.items(s.Secret.Name, s.Secret.Items, at.in("secret"))
	}
	if s.ConfigMap != nil {
		n++
		p.items(s.ConfigMap.Name, s.ConfigMap.Items, at.in("configMap"))
	}
	if s.DownwardAPI != nil {
		n++
		for i := range s.DownwardAPI.Items {
			f := &s.DownwardAPI.Items[i]
			p.errs = append(p.errs, validatePodFile(f, at.in("downwardAPI"))...)
			p.claim(f.Path, f.Path)
		}
	}
	if t := s.ServiceAccountToken; t != nil {
		n++
		p.token(t, at.in("serviceAccountToken"))
	}
	if s.ClusterTrustBundle != nil {
		n++
	}
	if s.PodCertificate != nil {
		n++
	}
	return n
}

func (p *projection) items(name string, items []corev1.KeyToPath, at place) {
	p.errs = append(p.errs, mandatory(name, at.in("name"))...)
	for i, item := range items {
		p.errs = append(p.errs, validateItem(item, at.in("items").nth(i))...)
		p.claim(item.Path, name)
	}
}

// claim takes a path for a file of who.
func (p *projection) claim(path, who string) {
	if path == "" {
		return
	}
	if p.paths.Has(path) {
		p.errs = append(p.errs, field.Invalid(p.at.path(), who, "conflicting duplicate paths"))
	}
	p.paths.Insert(path)
}

func (p *projection) token(t *corev1.ServiceAccountTokenProjection, at place) {
	if life := t.ExpirationSeconds; life != nil {
		at := at.in("expirationSeconds")
		if *life < minTokenLife {
			p.errs = append(p.errs, field.Invalid(at.path(), *life, "may not specify a duration less than 10 minutes"))
		}
		if *life > maxTokenLife {
			p.errs = append(p.errs, field.Invalid(at.path(), *life, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	if t.Path == "" {
		p.errs = append(p.errs, field.Required(p.at.in("path").path(), ""))
		return
	}
	if !p.odd {
		p.errs = append(p.errs, ownPath(t.Path, p.at.in("path"))...)
	}
}
