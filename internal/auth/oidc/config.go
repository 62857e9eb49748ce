package oidc

import (
	"os"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"github.com/floe-k8s/floe/internal/configfile"
)

// Read returns the AuthenticationConfiguration in a file, and the file's content. Errors name file, line and field. disallowed are issuers that others know.
func Read(path string, disallowed []string) (*apiserver.AuthenticationConfiguration, string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	spec, err := decode(path, data, func(spec *apiserver.AuthenticationConfiguration) field.ErrorList { return check(spec, disallowed) })
	return spec, string(data), err
}

// decode reads any served version; their fields are the same.
func decode(path string, data []byte, rules func(*apiserver.AuthenticationConfiguration) field.ErrorList) (*apiserver.AuthenticationConfiguration, error) {
	var wanted []schema.GroupVersionKind
	for _, version := range []string{"v1", "v1beta1", "v1alpha1"} {
		wanted = append(wanted, schema.GroupVersionKind{Group: apiserver.GroupName, Version: version, Kind: "AuthenticationConfiguration"})
	}
	var file apiserverv1.AuthenticationConfiguration
	spec := &apiserver.AuthenticationConfiguration{}
	err := configfile.Decode(path, data, wanted, &file, func(file *apiserverv1.AuthenticationConfiguration) field.ErrorList {
		scheme := runtime.NewScheme()
		install.Install(scheme)
		scheme.Default(file)
		if err := scheme.Convert(file, spec, nil); err != nil {
			return field.ErrorList{field.InternalError(nil, err)}
		}
		return rules(spec)
	})
	if err != nil {
		return nil, err
	}
	return spec, nil
}

// check holds a configuration against upstream's rules.
func check(spec *apiserver.AuthenticationConfiguration, disallowed []string) field.ErrorList {
	var compiler authenticationcel.Compiler
	if len(spec.JWT) > 0 {
		compiler = authenticationcel.NewDefaultCompiler()
	}
	return validation.ValidateAuthenticationConfiguration(compiler, spec, disallowed)
}

// checkNext holds what may follow the set's configuration against the rules.
func (s *Set) checkNext(spec *apiserver.AuthenticationConfiguration) field.ErrorList {
	errs := check(spec, s.cfg.Disallowed)
	if !reflect.DeepEqual(s.anonymous, spec.Anonymous) {
		errs = append(errs, field.Forbidden(field.NewPath("anonymous"), "changed from initial configuration file"))
	}
	return errs
}
