package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// defaultBinding names the group that users, groups and roles are of.
func defaultBinding(subjects []rbacv1.Subject, ref *rbacv1.RoleRef) {
	if ref.APIGroup == "" {
		ref.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		if s := &subjects[i]; s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}

// validateBinding checks what both bindings have; roles are the kinds that ref may name.
func validateBinding(subjects []rbacv1.Subject, ref rbacv1.RoleRef, namespaced bool, roles []string) (errs field.ErrorList) {
	path := field.NewPath("roleRef")
	if ref.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(path.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	if !slices.Contains(roles, ref.Kind) {
		errs = append(errs, field.NotSupported(path.Child("kind"), ref.Kind, roles))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		for _, msg := range validName(ref.Name, false) {
			errs = append(errs, field.Invalid(path.Child("name"), ref.Name, msg))
		}
	}
	for i, s := range subjects {
		errs = append(errs, validateSubject(s, namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func validateSubject(s rbacv1.Subject, namespaced bool, path *field.Path) (errs field.ErrorList) {
	if s.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			for _, msg := range validation.ValidateServiceAccountName(s.Name, false) {
				errs = append(errs, field.Invalid(path.Child("name"), s.Name, msg))
			}
		}
		if s.APIGroup != "" {
			errs = append(errs, field.NotSupported(path.Child("apiGroup"), s.APIGroup, []string{""}))
		}
		if !namespaced && s.Namespace == "" {
			errs = append(errs, field.Required(path.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		if s.APIGroup != rbacv1.GroupName {
			errs = append(errs, field.NotSupported(path.Child("apiGroup"), s.APIGroup, []string{rbacv1.GroupName}))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("kind"), s.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	return errs
}

// sameRole refuses another role: whoever may change the subjects of a binding must not gain what another role grants.
func sameRole(ref, was rbacv1.RoleRef) field.ErrorList {
	if ref == was {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("roleRef"), untagged.Value(ref), "cannot change roleRef")}
}

// bindingColumns are the table of a binding, which the descriptions call by its name.
func bindingColumns(name, roleDoc string, parts func(kinds.Object) ([]rbacv1.Subject, rbacv1.RoleRef)) []kinds.Column {
	wide := func(column, kind string) kinds.Column {
		return kinds.Column{
			Name: column, Type: "string", Priority: 1, Description: column + " in the " + name,
			Cell: func(_ kinds.Env, obj kinds.Object) any {
				subjects, _ := parts(obj)
				return names(subjects, kind)
			},
		}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		{Name: "Role", Type: "string", Description: roleDoc, Cell: func(_ kinds.Env, obj kinds.Object) any {
			_, ref := parts(obj)
			return ref.Kind + "/" + ref.Name
		}},
		kinds.AgeColumn(),
		wide("Users", rbacv1.UserKind), wide("Groups", rbacv1.GroupKind), wide("ServiceAccounts", rbacv1.ServiceAccountKind),
	}
}

// names lists the subjects of one kind.
func names(subjects []rbacv1.Subject, kind string) string {
	var list []string
	for _, s := range subjects {
		switch {
		case s.Kind != kind:
		case kind == rbacv1.ServiceAccountKind:
			list = append(list, s.Namespace+"/"+s.Name)
		default:
			list = append(list, s.Name)
		}
	}
	return strings.Join(list, ", ")
}
