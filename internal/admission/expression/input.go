package expression

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	apiadmission "k8s.io/apiserver/pkg/admission"
	plugincel "k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/auth"
)

// Input is a wish as expressions see it, in one form. It is only read once it is made.
type Input struct {
	Form match.Form
	// Object and Old are shown in the form; nil when there is none.
	Object, Old runtime.Object
	// Request is what reviews and the variable request say of the wish, without UID and objects.
	Request   *admissionv1.AdmissionRequest
	versioned *apiadmission.VersionedAttributes
}

// See makes the input of a wish in a form.
func See(a *admission.Attributes, form match.Form) (*Input, error) {
	obj, err := form.Show(a, a.Object)
	if err != nil {
		return nil, err
	}
	old, err := form.Show(a, a.Old)
	if err != nil {
		return nil, err
	}
	record := apiadmission.NewAttributesRecord(obj, old, a.Type, a.Namespace, a.Name, a.Resource(), a.Subresource,
		apiadmission.Operation(a.Operation), a.Options, a.DryRun, info(a.User))
	return &Input{
		Form: form, Object: obj, Old: old,
		Request:   plugincel.CreateAdmissionRequest(record, metav1.GroupVersionResource(form.Resource), metav1.GroupVersionKind(form.Kind)),
		versioned: &apiadmission.VersionedAttributes{Attributes: record, VersionedObject: obj, VersionedOldObject: old, VersionedKind: form.Kind},
	}, nil
}

func info(u auth.User) user.Info {
	return &user.DefaultInfo{Name: u.Name, UID: u.UID, Groups: u.Groups, Extra: u.Extra}
}

// asking lets expressions ask an authorizer.
type asking struct{ authorize auth.Authorizer }

var _ authorizer.Authorizer = asking{}

// Authorize implements authorizer.Authorizer.
func (a asking) Authorize(ctx context.Context, attrs authorizer.Attributes) (authorizer.Decision, string, error) {
	by := attrs.GetUser()
	wish := auth.Attributes{Verb: attrs.GetVerb(), Path: attrs.GetPath()}
	if attrs.IsResourceRequest() {
		wish = auth.Attributes{
			Verb: attrs.GetVerb(), Group: attrs.GetAPIGroup(), Version: attrs.GetAPIVersion(), Resource: attrs.GetResource(), Subresource: attrs.GetSubresource(),
			Namespace: attrs.GetNamespace(), Name: attrs.GetName(), FieldSelector: fieldsOf(attrs), LabelSelector: labelsOf(attrs),
		}
	}
	who := auth.User{Name: by.GetName(), UID: by.GetUID(), Groups: by.GetGroups(), Extra: by.GetExtra()}
	decision, reason, err := a.authorize(ctx, who, wish)
	switch decision {
	case auth.Allow:
		return authorizer.DecisionAllow, reason, err
	case auth.Deny:
		return authorizer.DecisionDeny, reason, err
	}
	return authorizer.DecisionNoOpinion, reason, err
}

// fieldsOf writes the selector of fields; what cannot be read selects everything.
func fieldsOf(attrs authorizer.Attributes) string {
	list, err := attrs.GetFieldSelector()
	if err != nil {
		return ""
	}
	var all []fields.Selector
	for _, r := range list {
		if r.Operator == selection.NotEquals {
			all = append(all, fields.OneTermNotEqualSelector(r.Field, r.Value))
			continue
		}
		all = append(all, fields.OneTermEqualSelector(r.Field, r.Value))
	}
	return fields.AndSelectors(all...).String()
}

func labelsOf(attrs authorizer.Attributes) string {
	list, err := attrs.GetLabelSelector()
	if err != nil {
		return ""
	}
	return labels.NewSelector().Add(list...).String()
}

// Params is the object that a binding hands to its policy; nil: none.
type Params = runtime.Object

// bindings are the variables besides the wish itself.
func (in *Input) bindings(params Params, authorize auth.Authorizer) plugincel.OptionalVariableBindings {
	if authorize == nil {
		return plugincel.OptionalVariableBindings{VersionedParams: params}
	}
	return plugincel.OptionalVariableBindings{VersionedParams: params, Authorizer: asking{authorize}}
}
