package flowcontrol

import (
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// invalid makes an error of each message, after intro.
func invalid(path *field.Path, value, intro string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, intro+msg))
	}
	return errs
}

func validateRule(r *flowcontrolv1.PolicyRulesWithSubjects, path *field.Path) (errs field.ErrorList) {
	if len(r.Subjects) == 0 {
		errs = append(errs, field.Required(path.Child("subjects"), "subjects must contain at least one value"))
	}
	for i, s := range r.Subjects {
		errs = append(errs, validateSubject(s, path.Child("subjects").Index(i))...)
	}
	if len(r.ResourceRules)+len(r.NonResourceRules) == 0 {
		errs = append(errs, field.Required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"))
	}
	for i := range r.ResourceRules {
		errs = append(errs, validateResources(&r.ResourceRules[i], path.Child("resourceRules").Index(i))...)
	}
	for i, u := range r.NonResourceRules {
		at := path.Child("nonResourceRules").Index(i)
		errs = append(errs, validateVerbs(u.Verbs, at.Child("verbs"))...)
		errs = append(errs, validateURLs(u.NonResourceURLs, at.Child("nonResourceURLs"))...)
	}
	return errs
}

// validateSubject checks that of the three ways to name someone the one that kind says is there, and no other.
func validateSubject(s flowcontrolv1.Subject, path *field.Path) (errs field.ErrorList) {
	user, group, account := path.Child("user"), path.Child("group"), path.Child("serviceAccount")
	name := func(at *field.Path, name string) {
		if name == "" {
			errs = append(errs, field.Required(at.Child("name"), ""))
		}
	}
	switch s.Kind {
	case flowcontrolv1.SubjectKindServiceAccount:
		errs = append(errs, validateAccount(s.ServiceAccount, account)...)
	case flowcontrolv1.SubjectKindUser:
		if s.User == nil {
			errs = append(errs, field.Required(user, "user is required when subject kind is 'User'"))
		} else {
			name(user, s.User.Name)
		}
	case flowcontrolv1.SubjectKindGroup:
		if s.Group == nil {
			errs = append(errs, field.Required(group, "group is required when subject kind is 'Group'"))
		} else {
			name(group, s.Group.Name)
		}
	default:
		return field.ErrorList{field.NotSupported(path.Child("kind"), s.Kind,
			[]flowcontrolv1.SubjectKind{flowcontrolv1.SubjectKindGroup, flowcontrolv1.SubjectKindServiceAccount, flowcontrolv1.SubjectKindUser})}
	}
	if s.Kind != flowcontrolv1.SubjectKindServiceAccount && s.ServiceAccount != nil {
		errs = append(errs, field.Forbidden(account, "serviceAccount is forbidden when subject kind is not 'ServiceAccount'"))
	}
	if s.Kind != flowcontrolv1.SubjectKindUser && s.User != nil {
		errs = append(errs, field.Forbidden(user, "user is forbidden when subject kind is not 'User'"))
	}
	if s.Kind != flowcontrolv1.SubjectKindGroup && s.Group != nil {
		errs = append(errs, field.Forbidden(group, "group is forbidden when subject kind is not 'Group'"))
	}
	return errs
}

func validateAccount(s *flowcontrolv1.ServiceAccountSubject, path *field.Path) (errs field.ErrorList) {
	if s == nil {
		return field.ErrorList{field.Required(path, "serviceAccount is required when subject kind is 'ServiceAccount'")}
	}
	switch s.Name {
	case "":
		errs = append(errs, field.Required(path.Child("name"), ""))
	case flowcontrolv1.NameAll:
	default:
		errs = append(errs, invalid(path.Child("name"), s.Name, "", validation.ValidateServiceAccountName(s.Name, false))...)
	}
	if s.Namespace == "" {
		return append(errs, field.Required(path.Child("namespace"), "must specify namespace for service account"))
	}
	return append(errs, invalid(path.Child("namespace"), s.Namespace, "", validation.ValidateNamespaceName(s.Namespace, false))...)
}

func validateResources(r *flowcontrolv1.ResourcePolicyRule, path *field.Path) field.ErrorList {
	errs := validateVerbs(r.Verbs, path.Child("verbs"))
	errs = append(errs, someOrAll(r.APIGroups, path.Child("apiGroups"), "resource rules must supply at least one api group", "api groups")...)
	errs = append(errs, someOrAll(r.Resources, path.Child("resources"), "resource rules must supply at least one resource", "resources")...)
	at := path.Child("namespaces")
	switch all := slices.Contains(r.Namespaces, flowcontrolv1.NamespaceEvery); {
	case len(r.Namespaces) == 0 && !r.ClusterScope:
		errs = append(errs, field.Required(at, "resource rules that are not cluster scoped must supply at least one namespace"))
	case all && len(r.Namespaces) > 1:
		errs = append(errs, field.Invalid(at, r.Namespaces, "if '*' is present, must not specify other namespaces"))
	case !all:
		for i, ns := range r.Namespaces {
			errs = append(errs, invalid(at.Index(i), ns, "each member of this list must be '*' or a DNS-1123 label; ", validation.ValidateNamespaceName(ns, false))...)
		}
	}
	return errs
}

// someOrAll checks a list that has either the wildcard or members.
func someOrAll(list []string, path *field.Path, empty, what string) field.ErrorList {
	switch {
	case len(list) == 0:
		return field.ErrorList{field.Required(path, empty)}
	case len(list) > 1 && slices.Contains(list, "*"):
		return field.ErrorList{field.Invalid(path, list, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

func validateVerbs(verbs []string, path *field.Path) field.ErrorList {
	errs := someOrAll(verbs, path, "verbs must contain at least one value", "verbs")
	if len(errs) > 0 || slices.Contains(verbs, flowcontrolv1.VerbAll) {
		return errs
	}
	known := []string{"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"}
	for _, v := range verbs {
		if !slices.Contains(known, v) {
			return field.ErrorList{field.NotSupported(path, verbs, known)}
		}
	}
	return nil
}

func validateURLs(urls []string, path *field.Path) field.ErrorList {
	errs := someOrAll(urls, path, "nonResourceURLs must contain at least one value", "non-resource URLs")
	if len(errs) > 0 || slices.Contains(urls, flowcontrolv1.NonResourceAll) {
		return errs
	}
	for i, u := range urls {
		if msg := oddURL(u); msg != "" {
			errs = append(errs, field.Invalid(path.Index(i), u, msg))
		}
	}
	return errs
}

// oddURL says what is wrong with a path, in which a wildcard may stand for all that follows a slash.
func oddURL(u string) string {
	switch stars := strings.Count(u, "*"); {
	case u == "":
		return "must not be empty"
	case !strings.HasPrefix(u, "/"):
		return "must start with slash"
	case strings.Contains(u, " "):
		return "must not contain white-space"
	case strings.Contains(u, "//"):
		return "must not contain double slash"
	case stars > 1 || stars == 1 && !strings.HasSuffix(u, "/*"):
		return "wildcard can only do suffix matching"
	}
	return ""
}
