package admission

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Operation is what is wished.
type Operation string

// The operations, as upstream writes them.
const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE" // a patch and an apply too
	Delete  Operation = "DELETE"
	Connect Operation = "CONNECT"
)

// Attributes are what plug-ins are told of one wish. One goroutine uses them; a plug-in that asks several at a time gives each a copy of what it needs.
type Attributes struct {
	Operation Operation
	// Kind is what the request names. Objects of a view are in the form of its hub.
	Kind *kinds.Kind
	// Subresource is "" for the whole object.
	Subresource string
	// Type is the kind of Object, or of Old where there is no Object: Kind's, or that of a subresource with a body of its own (Binding, Scale, PodExecOptions).
	Type schema.GroupVersionKind
	// Namespace is that of the request; of a namespace its own name. Name is "" for a new object whose name is to be generated, and for each object that goes
	// with its collection.
	Namespace, Name string
	User            auth.User
	DryRun          bool // nothing will be kept; whoever has side effects must not have them
	// Options are a *metav1.CreateOptions, *metav1.UpdateOptions or *metav1.DeleteOptions, by the operation; nil for a connection. They are only read.
	Options runtime.Object
	// Object is what would be, nil for a deletion; it is the chain's own, and Admit may change it in place. While Admit is asked a new object has no name yet
	// when that is to be generated, and neither UID nor time. Old is what is stored, shared, nil when there is none.
	Object, Old runtime.Object
	// Env is what pure plug-ins are told of the request: it has the user's powers, and the time.
	Env kinds.Env
	// See finds other objects in their newest state, some of which may not be durable yet: a refusal is answered after they are. Charge is given a See
	// that has seen nothing yet, and what it writes is on condition of what it saw.
	See kinds.Reader
	// Warned is called with what the user is to be told beside the answer, Annotated with what the audit trail is to keep. nil: nobody listens.
	Warned    func(text string)
	Annotated func(key, value string)
	// Detailed is Annotated for what is only kept where the trail keeps the bodies of requests: it repeats what they say.
	Detailed func(key, value string)
	// Waited is called with how long a webhook took; changes: one that may change the object. nil: nobody listens.
	Waited func(changes bool, took time.Duration)

	round    int
	again    bool
	memories map[string]*Recall
}

// Round is 0 when Admit is asked first, and 1 when everybody is asked again because a plug-in that comes late has changed the object.
func (a *Attributes) Round() int { return a.round }

// Resource is what the request names.
func (a *Attributes) Resource() schema.GroupVersionResource { return a.Kind.GVR() }

// Is says whether the wish is about a resource and a subresource of it, in any version.
func (a *Attributes) Is(group, resource, subresource string) bool {
	return a.Kind.Resource == resource && a.Kind.GVK.Group == group && a.Subresource == subresource
}

// Warn tells the user text beside the answer.
func (a *Attributes) Warn(text string) {
	if a.Warned != nil {
		a.Warned(text)
	}
}

// Annotate lets the audit trail keep value under key, which begins with the plug-in's own domain.
func (a *Attributes) Annotate(key, value string) {
	if a.Annotated != nil {
		a.Annotated(key, value)
	}
}

// AnnotateAs is Annotate for what somebody else says. Nothing is kept under a key that is not valid: then it returns false.
func (a *Attributes) AnnotateAs(key, value string) bool {
	if strings.Count(key, "/") != 1 || len(validation.IsQualifiedName(key)) > 0 {
		return false
	}
	a.Annotate(key, value)
	return true
}

// Wait tells how long a webhook took.
func (a *Attributes) Wait(changes bool, took time.Duration) {
	if a.Waited != nil {
		a.Waited(changes, took)
	}
}

// Detail lets the audit trail keep value under key where it keeps the bodies of requests.
func (a *Attributes) Detail(key, value string) {
	if a.Detailed != nil {
		a.Detailed(key, value)
	}
}

// NamespaceObject is the namespace that the wish is about or in, as it would be when the wish changes it; nil when there is none. It is only read.
func (a *Attributes) NamespaceObject() *corev1.Namespace {
	if a.Is("", "namespaces", "") {
		if ns, ok := a.Object.(*corev1.Namespace); ok {
			return ns
		}
		ns, _ := a.Old.(*corev1.Namespace)
		return ns
	}
	if a.Namespace == "" {
		return nil
	}
	ns, _ := a.See.Get(corev1.SchemeGroupVersion.WithResource("namespaces"), "", a.Namespace).(*corev1.Namespace)
	return ns
}

// Forbid is upstream's refusal of the wish because of err. One that says Forbidden already stays as it is.
func (a *Attributes) Forbid(err error) error {
	if apierrors.IsForbidden(err) {
		return err
	}
	return apierrors.NewForbidden(a.Resource().GroupResource(), a.called(), err)
}

// Forbidf is Forbid with a text.
func (a *Attributes) Forbidf(format string, args ...any) error {
	return a.Forbid(fmt.Errorf(format, args...))
}

// called is the name that refusals give the object.
func (a *Attributes) called() string {
	if a.Name != "" || a.Object == nil {
		if a.Name == "" {
			return "Unknown"
		}
		return a.Name
	}
	meta, ok := a.Object.(metav1.Object)
	switch {
	case !ok:
		return "Unknown/errorGettingName"
	case meta.GetName() != "":
		return meta.GetName()
	case meta.GetGenerateName() != "":
		return meta.GetGenerateName()
	}
	return "Unknown"
}
