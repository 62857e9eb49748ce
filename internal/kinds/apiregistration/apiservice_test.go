package apiregistration_test

import (
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/kinds/apiregistration"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func service(change func(*apiregistrationv1.APIService)) *apiregistrationv1.APIService {
	svc := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.a.b"}, Spec: apiregistrationv1.APIServiceSpec{
		Group: "a.b", Version: "v1", GroupPriorityMinimum: 20000, VersionPriority: 1000, Service: &apiregistrationv1.ServiceReference{Namespace: "n", Name: "s"},
	}}
	apiregistration.APIService().Default(svc)
	change(svc)
	return svc
}

func TestValidate(t *testing.T) {
	const label = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character " +
		"(e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
	type object = apiregistrationv1.APIService
	for name, c := range map[string]struct {
		change func(*object)
		want   []string
	}{
		"good": {func(*object) {}, nil},
		"name": {func(s *object) { s.Name = "b" }, []string{"metadata.name: Invalid value: \"b\": must be `spec.version+\".\"+spec.group`: \"v1.a.b\""}},
		"generated": {func(s *object) { s.GenerateName, s.Name = "b-", "b-x" }, []string{
			"metadata.generateName: Invalid value: \"b-\": must be `spec.version+\".\"+spec.group`: \"v1.a.b\"", "metadata.name: Invalid value: \"b-x\": must be `spec.version+\".\"+spec.group`: \"v1.a.b\"",
		}},
		"legacy":     {func(s *object) { s.Name, s.Spec.Group = "v1.", "" }, nil},
		"not legacy": {func(s *object) { s.Name, s.Spec.Group, s.Spec.Version = "v2.", "", "v2" }, []string{"spec.group: Required value: only v1 may have an empty group and it better be legacy kube"}},
		"version":    {func(s *object) { s.Name, s.Spec.Version = "1.a.b", "1" }, []string{`spec.version: Invalid value: "1": ` + label}},
		"priorities": {func(s *object) { s.Spec.GroupPriorityMinimum, s.Spec.VersionPriority = 20001, 0 }, []string{
			"spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000", "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
		}},
		"local": {func(s *object) { s.Spec.Service = nil }, nil},
		"local trust": {func(s *object) {
			s.Spec.Service, s.Spec.CABundle, s.Spec.InsecureSkipTLSVerify = nil, []byte("abc"), true
		}, []string{
			`spec.caBundle: Invalid value: "3 bytes": local APIServices may not have a caBundle`, "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
		}},
		"server": {func(s *object) { s.Spec.Service = &apiregistrationv1.ServiceReference{Port: new(int32(70000))} }, []string{
			"spec.service.namespace: Required value", "spec.service.name: Required value", "spec.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive",
		}},
		"two trusts": {func(s *object) { s.Spec.CABundle, s.Spec.InsecureSkipTLSVerify = []byte("abc"), true }, []string{"spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"}},
	} {
		kindtest.Same(t, name, kindtest.Create(apiregistration.APIService(), service(c.change)), c.want)
	}
}

// TestLife follows one through its defaults, creation and updates.
func TestLife(t *testing.T) {
	k := apiregistration.APIService()
	svc := service(func(*apiregistrationv1.APIService) {})
	if *svc.Spec.Service.Port != 443 {
		t.Errorf("port %d", *svc.Spec.Service.Port)
	}
	svc.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: "Available"}}
	if k.PrepareCreate(kindtest.Env(), svc); svc.Status.Conditions != nil || svc.Generation != 0 {
		t.Errorf("created: %+v", svc)
	}
	local := service(func(s *apiregistrationv1.APIService) { s.Spec.Service = nil })
	k.PrepareCreate(kindtest.Env(), local)
	want := []apiregistrationv1.APIServiceCondition{{
		Type: "Available", Status: "True", LastTransitionTime: metav1.NewTime(kindtest.Env().Now), Reason: "Local", Message: "Local APIServices are always available",
	}}
	if !reflect.DeepEqual(local.Status.Conditions, want) {
		t.Errorf("local: %+v", local.Status)
	}
	next := service(func(s *apiregistrationv1.APIService) { s.Spec.VersionPriority = 5 })
	if k.PrepareUpdate(kindtest.Env(), next, local); len(next.Status.Conditions) != 1 || next.Spec.VersionPriority != 5 {
		t.Errorf("updated: %+v", next)
	}
	next.Labels, next.Status.Conditions[0].Status = map[string]string{"a": "b"}, "Maybe"
	kindtest.Same(t, "status", kindtest.Part(t, k, "status", next, local), []string{`status.conditions[0].status: Unsupported value: "Maybe": supported values: "True", "False", "Unknown"`})
	if next.Labels != nil || next.Spec.Service != nil || local.Status.Conditions[0].Status != "True" {
		t.Errorf("status: %+v", next)
	}
}

func TestColumns(t *testing.T) {
	k := apiregistration.APIService()
	header := []string{"Name/name", "Service", "Available", "Age"}
	for _, c := range []struct {
		status, reason string
		want           string
	}{{"", "", "Unknown"}, {"True", "Passed", "True"}, {"False", "", "False"}, {"False", "Gone", "False (Gone)"}} {
		svc := service(func(*apiregistrationv1.APIService) {})
		if c.status != "" {
			svc.Status.Conditions = []apiregistrationv1.APIServiceCondition{{Type: "Other"}, {Type: "Available", Status: apiregistrationv1.ConditionStatus(c.status), Reason: c.reason}}
		}
		kindtest.Table(t, k, header, svc, "v1.a.b", "n/s", c.want, "<unknown>")
	}
	local := service(func(s *apiregistrationv1.APIService) { s.Spec.Service = nil })
	kindtest.Table(t, k, header, local, "v1.a.b", "Local", "Unknown", "<unknown>")
}
