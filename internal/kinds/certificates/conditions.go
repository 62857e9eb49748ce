package certificates

import (
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type (
	condition     = certificatesv1.CertificateSigningRequestCondition
	conditionType = certificatesv1.RequestConditionType
)

// final are the conditions that only ever are true, and stay.
func final() []conditionType {
	return []conditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed}
}

// places are where in list the conditions of a type stand.
func places(list []condition, t conditionType) (at []int) {
	for i, c := range list {
		if c.Type == t {
			at = append(at, i)
		}
	}
	return at
}

// stampConditions fills times that are missing: of an update with now, of a transition with that of the same condition before, if it is as it was.
func stampConditions(list, was []condition, now time.Time) {
	for i := range list {
		c := &list[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = metav1.NewTime(now)
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = metav1.NewTime(now)
		same := func(o condition) bool {
			return o.Type == c.Type && o.Status == c.Status && !o.LastTransitionTime.IsZero()
		}
		if at := slices.IndexFunc(was, same); at >= 0 {
			c.LastTransitionTime = was[at].LastTransitionTime
		}
	}
}

// keepConditions makes those of a type what they were, in place, unless some came or went, which is refused later.
func keepConditions(list, was []condition, t conditionType) {
	now, before := places(list, t), places(was, t)
	if len(now) != len(before) {
		return
	}
	for i := range now {
		list[now[i]] = was[before[i]]
	}
}

// keptConditions refuses that final conditions go.
func keptConditions(csr, was *certificatesv1.CertificateSigningRequest) (errs field.ErrorList) {
	for _, t := range final() {
		if len(places(csr.Status.Conditions, t)) < len(places(was.Status.Conditions, t)) {
			errs = append(errs, field.Forbidden(field.NewPath("status", "conditions"), fmt.Sprintf("updates may not remove a condition of type %q", t)))
		}
	}
	return errs
}

// noVerdicts refuses that a request is approved or denied elsewhere than at its approval. Changes need no refusal: keepConditions has undone them.
func noVerdicts(csr, was *certificatesv1.CertificateSigningRequest) (errs field.ErrorList) {
	for _, t := range final()[:2] {
		if len(places(csr.Status.Conditions, t)) > len(places(was.Status.Conditions, t)) {
			errs = append(errs, field.Forbidden(field.NewPath("status", "conditions"), fmt.Sprintf("updates may not add a condition of type %q", t)))
		}
	}
	return errs
}

func validateConditions(list []condition, path *field.Path, t tolerance) (errs field.ErrorList) {
	var seen []conditionType
	for i, c := range list {
		at := path.Index(i)
		if c.Type == "" && !t.unnamedTypes {
			errs = append(errs, field.Required(at.Child("type"), ""))
		}
		allowed := []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
		if slices.Contains(final(), c.Type) {
			allowed = allowed[1:2]
		}
		if c.Status == "" {
			errs = append(errs, field.Required(at.Child("status"), ""))
		} else if !slices.Contains(allowed, c.Status) {
			errs = append(errs, field.NotSupported(at.Child("status"), c.Status, allowed))
		}
		opposite := map[conditionType]conditionType{
			certificatesv1.CertificateApproved: certificatesv1.CertificateDenied, certificatesv1.CertificateDenied: certificatesv1.CertificateApproved,
		}
		if other, ok := opposite[c.Type]; ok && !t.bothVerdicts && slices.Contains(seen, other) {
			errs = append(errs, field.Invalid(path, c.Type, "Approved and Denied conditions are mutually exclusive"))
		}
		if !t.repeatedTypes && slices.Contains(seen, c.Type) {
			errs = append(errs, field.Duplicate(at.Child("type"), c.Type))
		}
		seen = append(seen, c.Type)
	}
	return errs
}

// verdict is what became of a request, in one word or few.
func verdict(csr *certificatesv1.CertificateSigningRequest) string {
	has := func(t conditionType) bool { return len(places(csr.Status.Conditions, t)) > 0 }
	text := "Pending"
	switch {
	case has(certificatesv1.CertificateDenied):
		text = "Denied"
	case has(certificatesv1.CertificateApproved):
		text = "Approved"
	}
	if has(certificatesv1.CertificateFailed) {
		text += ",Failed"
	}
	if len(csr.Status.Certificate) > 0 {
		text += ",Issued"
	}
	return text
}
