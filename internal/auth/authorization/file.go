package authorization

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authorization/cel"
)

// Modes, by upstream's names.
const (
	AlwaysAllow = "AlwaysAllow"
	AlwaysDeny  = "AlwaysDeny"
	ABAC        = "ABAC"
	Webhook     = "Webhook"
	RBAC        = "RBAC"
	Node        = "Node"
)

// Modes lists those that there are upstream, in its order.
func Modes() []string { return []string{AlwaysAllow, AlwaysDeny, ABAC, Webhook, RBAC, Node} }

// compiler compiles conditions, and makes what that takes when there is the first one.
type compiler struct {
	once sync.Once
	made cel.Compiler
}

// CompileCELExpression implements cel.Compiler.
func (c *compiler) CompileCELExpression(e cel.ExpressionAccessor) (cel.CompilationResult, error) {
	c.once.Do(func() { c.made = cel.NewDefaultCompiler() })
	return c.made.CompileCELExpression(e)
}

// Load reads an AuthorizationConfiguration of any of upstream's versions. Its errors name file, line and field.
func Load(path string) (*apiserver.AuthorizationConfiguration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("authorization configuration: %w", err)
	}
	return parse(path, data)
}

func parse(path string, data []byte) (*apiserver.AuthorizationConfiguration, error) {
	cfg, err := decode(data)
	if err != nil {
		return nil, located(path, data, err)
	}
	return cfg, located(path, data, check(cfg))
}

// decode is strict: what a version does not have is an error.
func decode(data []byte) (*apiserver.AuthorizationConfiguration, error) {
	if len(strings.TrimSpace(string(data))) == 0 {
		return nil, errors.New("the file is empty")
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	obj, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), data)
	if err != nil {
		return nil, err
	}
	cfg, ok := obj.(*apiserver.AuthorizationConfiguration)
	if !ok {
		return nil, fmt.Errorf("kind: expected AuthorizationConfiguration, got %T", obj)
	}
	return cfg, nil
}

// check reports every field that is wrong.
func check(cfg *apiserver.AuthorizationConfiguration) error {
	errs := validation.ValidateAuthorizationConfiguration(&compiler{}, nil, cfg, sets.New(Modes()...), sets.New(Webhook))
	for i, a := range cfg.Authorizers {
		at := field.NewPath("authorizers").Index(i)
		if want := strings.ToLower(string(a.Type)); a.Name != "" && a.Type != Webhook && slices.Contains(Modes(), string(a.Type)) && a.Name != want {
			errs = append(errs, field.Invalid(at.Child("name"), a.Name, fmt.Sprintf("expected name %s for authorizer %s instead of %s", want, a.Type, a.Name)))
		}
		if a.Type == ABAC {
			errs = append(errs, field.Forbidden(at.Child("type"), noABAC))
		}
		if a.Webhook != nil && a.Webhook.ConnectionInfo.Type == apiserver.AuthorizationWebhookConnectionInfoTypeInCluster {
			errs = append(errs, field.Forbidden(at.Child("connectionInfo", "type"), "the server is in no pod: use KubeConfigFile"))
		}
	}
	return errs.ToAggregate()
}

const noABAC = "floe does not have ABAC: give the same rights by roles and bindings (RBAC), or by a webhook"

// located says of each error in which line of a file its field stands.
func located(path string, data []byte, err error) error {
	if err == nil {
		return nil
	}
	lines := readLines(data)
	var out []error
	for _, one := range each(err) {
		if n := lines.of(fieldOf(one)); n > 0 {
			out = append(out, fmt.Errorf("%s:%d: %w", path, n, one))
		} else {
			out = append(out, fmt.Errorf("%s: %w", path, one))
		}
	}
	return errors.Join(out...)
}

// each takes an aggregate apart.
func each(err error) []error {
	var list utilerrors.Aggregate
	if errors.As(err, &list) {
		return utilerrors.Flatten(list).Errors()
	}
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		return strict.Errors()
	}
	return []error{err}
}

// fieldOf is the path of the field that an error is about; "": it says none.
func fieldOf(err error) string {
	var f *field.Error
	if errors.As(err, &f) {
		return f.Field
	}
	if _, rest, ok := strings.Cut(err.Error(), ` field "`); ok { // of a strict decoder: unknown field "a[0].b"
		path, _, _ := strings.Cut(rest, `"`)
		return path
	}
	return ""
}
