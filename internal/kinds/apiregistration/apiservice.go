package apiregistration

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

// The highest priorities that a service may ask for. The messages that name them say "less than"; equal is fine.
const (
	maxGroupPriority   = 20000
	maxVersionPriority = 1000
)

// APIService is apiregistration.k8s.io/v1 APIService. It has no generation; its name follows from its group and version.
func APIService() *kinds.Kind {
	gvk := apiregistrationv1.SchemeGroupVersion.WithKind("APIService")
	return &kinds.Kind{
		GVK: gvk, Resource: "apiservices", Singular: "apiservice", Categories: []string{"api-extensions"}, RequireVersion: true,
		PlainFinalizers: true,
		Storage:         "apiregistration.k8s.io/apiservices", // the aggregator was a program of its own once, and its keys still show it
		New:             func() kinds.Object { return &apiregistrationv1.APIService{} },
		NewList:         func() runtime.Object { return &apiregistrationv1.APIServiceList{} },
		MetaAgain:       kinds.MetaChangeFirst, NameOf: validName,
		Default: func(obj kinds.Object) {
			if s := obj.(*apiregistrationv1.APIService).Spec.Service; s != nil && s.Port == nil {
				s.Port = new(int32(443))
			}
		},
		PrepareCreate: func(env kinds.Env, obj kinds.Object) {
			svc := obj.(*apiregistrationv1.APIService)
			svc.Status = apiregistrationv1.APIServiceStatus{}
			if svc.Spec.Service == nil {
				svc.Status.Conditions = []apiregistrationv1.APIServiceCondition{localAvailable(env)}
			}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*apiregistrationv1.APIService).Status = *old.(*apiregistrationv1.APIService).Status.DeepCopy()
		},
		Validate: validateAPIService,
		Columns:  apiServiceColumns(),
		Resets:   []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"metadata", "spec"}, Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				svc, was := obj.(*apiregistrationv1.APIService), old.(*apiregistrationv1.APIService)
				svc.Spec = *was.Spec.DeepCopy()
				meta := was.ObjectMeta.DeepCopy()
				svc.Labels, svc.Annotations, svc.Finalizers, svc.OwnerReferences = meta.Labels, meta.Annotations, meta.Finalizers, meta.OwnerReferences
				return validateStatus(&svc.Status)
			}},
		},
	}
}

func localAvailable(env kinds.Env) apiregistrationv1.APIServiceCondition {
	return apiregistrationv1.APIServiceCondition{
		Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue, LastTransitionTime: metav1.NewTime(env.Now),
		Reason: "Local", Message: "Local APIServices are always available",
	}
}

func validateAPIService(obj kinds.Object) (errs field.ErrorList) {
	s, path := &obj.(*apiregistrationv1.APIService).Spec, field.NewPath("spec")
	if s.Group == "" && s.Version != "v1" {
		errs = append(errs, field.Required(path.Child("group"), "only v1 may have an empty group and it better be legacy kube"))
	}
	if s.Group != "" {
		errs = append(errs, invalid(path.Child("group"), s.Group, utilvalidation.IsDNS1123Subdomain(s.Group))...)
	}
	errs = append(errs, invalid(path.Child("version"), s.Version, utilvalidation.IsDNS1035Label(s.Version))...)
	if n := s.GroupPriorityMinimum; n <= 0 || n > maxGroupPriority {
		errs = append(errs, field.Invalid(path.Child("groupPriorityMinimum"), n, fmt.Sprintf("must be positive and less than %d", maxGroupPriority)))
	}
	if n := s.VersionPriority; n <= 0 || n > maxVersionPriority {
		errs = append(errs, field.Invalid(path.Child("versionPriority"), n, fmt.Sprintf("must be positive and less than %d", maxVersionPriority)))
	}
	return append(errs, validateServer(s, path)...)
}

// validName wants a name to say group and version. The beginning of one is judged as a whole name too, as upstream does: a generated name can never be the
// right one.
func validName(obj kinds.Object) func(name string, prefix bool) []string {
	spec := &obj.(*apiregistrationv1.APIService).Spec
	want := Name(spec.Group, spec.Version)
	return func(name string, _ bool) []string {
		if wrong := content.IsPathSegmentName(name); len(wrong) > 0 || name == want {
			return wrong
		}
		return []string{fmt.Sprintf("must be `spec.version+\".\"+spec.group`: %q", want)}
	}
}

// Name is that of the API service of a group, "" for the core, and version.
func Name(group, version string) string { return version + "." + group }

// validateServer checks who answers for the group and version, and how that is trusted.
func validateServer(s *apiregistrationv1.APIServiceSpec, path *field.Path) (errs field.ErrorList) {
	trust := path.Child("insecureSkipTLSVerify")
	if s.Service == nil {
		if n := len(s.CABundle); n != 0 {
			errs = append(errs, field.Invalid(path.Child("caBundle"), fmt.Sprintf("%d bytes", n), "local APIServices may not have a caBundle"))
		}
		if s.InsecureSkipTLSVerify {
			errs = append(errs, field.Invalid(trust, true, "local APIServices may not have insecureSkipTLSVerify"))
		}
		return errs
	}
	at := path.Child("service")
	if s.Service.Namespace == "" {
		errs = append(errs, field.Required(at.Child("namespace"), ""))
	}
	if s.Service.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	var port int32
	if s.Service.Port != nil {
		port = *s.Service.Port
	}
	if wrong := utilvalidation.IsValidPortNum(int(port)); wrong != nil {
		errs = append(errs, field.Invalid(at.Child("port"), port, "port is not valid: "+strings.Join(wrong, ", ")))
	}
	if s.InsecureSkipTLSVerify && len(s.CABundle) > 0 {
		errs = append(errs, field.Invalid(trust, true, "may not be true if caBundle is present"))
	}
	return errs
}

func validateStatus(s *apiregistrationv1.APIServiceStatus) (errs field.ErrorList) {
	known := []apiregistrationv1.ConditionStatus{apiregistrationv1.ConditionTrue, apiregistrationv1.ConditionFalse, apiregistrationv1.ConditionUnknown}
	for i, c := range s.Conditions {
		if c.Status != known[0] && c.Status != known[1] && c.Status != known[2] {
			errs = append(errs, field.NotSupported(field.NewPath("status", "conditions").Index(i).Child("status"), c.Status, known))
		}
	}
	return errs
}

func invalid(path *field.Path, value string, wrong []string) (errs field.ErrorList) {
	for _, msg := range wrong {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

func apiServiceColumns() []kinds.Column {
	cell := func(name, doc string, f func(*apiregistrationv1.APIService) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*apiregistrationv1.APIService)) }}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Service", "The reference to the service that hosts this API endpoint.", func(svc *apiregistrationv1.APIService) string {
			if s := svc.Spec.Service; s != nil {
				return s.Namespace + "/" + s.Name
			}
			return "Local"
		}),
		cell("Available", "Whether this service is available.", available),
		kinds.AgeColumn(),
	}
}

// available says whether a service answers, and why not.
func available(svc *apiregistrationv1.APIService) string {
	for _, c := range svc.Status.Conditions {
		if c.Type != apiregistrationv1.Available {
			continue
		}
		if c.Status == apiregistrationv1.ConditionTrue || c.Reason == "" {
			return string(c.Status)
		}
		return fmt.Sprintf("%s (%s)", c.Status, c.Reason)
	}
	return string(apiregistrationv1.ConditionUnknown)
}
