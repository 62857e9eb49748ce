package auth

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Forbidden is the refusal of what attrs want, in upstream's words. reason may be empty.
func Forbidden(user User, attrs Attributes, reason string) *apierrors.StatusError {
	text := harmless(user, attrs)
	if reason != "" {
		text += ": " + reason
	}
	if attrs.Path != "" {
		return apierrors.NewForbidden(schema.GroupResource{}, "", errors.New(text))
	}
	return apierrors.NewForbidden(schema.GroupResource{Group: attrs.Group, Resource: attrs.Resource}, attrs.Name, errors.New(text))
}

// harmless says who cannot do what, in a way that a browser takes for no markup.
func harmless(user User, attrs Attributes) string {
	var text string
	if attrs.Path != "" {
		text = fmt.Sprintf("User %q cannot %s path %q", user.Name, attrs.Verb, attrs.Path)
	} else {
		resource := attrs.Resource
		if attrs.Subresource != "" {
			resource += "/" + attrs.Subresource
		}
		text = fmt.Sprintf("User %q cannot %s resource %q in API group %q", user.Name, attrs.Verb, resource, attrs.Group)
		if attrs.Namespace != "" {
			text += fmt.Sprintf(" in the namespace %q", attrs.Namespace)
		} else {
			text += " at the cluster scope"
		}
	}
	if strings.ContainsAny(text, "&<>") {
		text = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
	}
	return text
}
