package custom

import (
	"errors"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
)

// converter makes objects of one version those of another. It is safe for concurrent use.
type converter interface {
	// convert returns obj, which stays as it is, in a version that it is not in.
	convert(obj *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error)
	// close gives back what is kept for later conversions, of which there may still be some.
	close()
}

// converterOf is how a definition has its objects converted.
func converterOf(crd *apiextensionsv1.CustomResourceDefinition, means reach.Means) converter {
	if c := crd.Spec.Conversion; c != nil && c.Strategy == apiextensionsv1.WebhookConverter && c.Webhook != nil && c.Webhook.ClientConfig != nil {
		return newWebhook(crd.Name, c.Webhook, means)
	}
	return relabel{}
}

// relabel is the conversion None: versions differ in their name.
type relabel struct{}

func (relabel) convert(obj *unstructured.Unstructured, to schema.GroupVersion) (*unstructured.Unstructured, error) {
	out := obj.DeepCopy()
	out.SetAPIVersion(to.String())
	return out, nil
}

func (relabel) close() {}

// bare says that an object has nothing but a type, of which no webhook is asked.
func bare(obj *unstructured.Unstructured) bool {
	_, kind := obj.Object["kind"]
	_, version := obj.Object["apiVersion"]
	return kind && version && len(obj.Object) == 2
}

// sameObject says why a converted object is not what was to be converted.
func sameObject(in, out *unstructured.Unstructured) error {
	for _, pair := range [...]struct{ name, want, got string }{
		{"kind", in.GetKind(), out.GetKind()}, {"name", in.GetName(), out.GetName()},
		{"namespace", in.GetNamespace(), out.GetNamespace()}, {"UID", string(in.GetUID()), string(out.GetUID())},
	} {
		if pair.want != pair.got {
			return fmt.Errorf("must have the same %s: %v != %v", pair.name, pair.want, pair.got)
		}
	}
	return nil
}

// restore gives a converted object the metadata that it had: a conversion may change labels and annotations only.
func restore(in, out *unstructured.Unstructured) error {
	given, found := out.Object["metadata"]
	if !found {
		return errors.New("missing metadata in converted object")
	}
	theirs, ok := given.(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata of type %T in converted object", given)
	}
	ours := map[string]any{}
	if had, ok := in.Object["metadata"]; ok {
		if ours, ok = runtime.DeepCopyJSONValue(had).(map[string]any); !ok {
			return fmt.Errorf("invalid metadata of type %T in input object", had)
		}
	}
	out.Object["metadata"] = ours
	for _, name := range [...]string{"labels", "annotations"} {
		if err := takeOver(name, ours, theirs[name]); err != nil {
			return err
		}
	}
	return nil
}

// takeOver puts the labels or annotations of a converted object into metadata.
func takeOver(name string, meta map[string]any, given any) error {
	if given == nil {
		delete(meta, name)
		return nil
	}
	theirs, ok := given.(map[string]any)
	if !ok {
		return fmt.Errorf("invalid metadata.%s of type %T in converted object", name, given)
	}
	texts := make(map[string]string, len(theirs))
	for key, value := range theirs {
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("metadata.%s[%s] must be a string, but is %T in converted object", name, key, value)
		}
		texts[key] = text
	}
	var errs field.ErrorList
	if name == "labels" {
		errs = metavalidation.ValidateLabels(texts, field.NewPath("metadata", "labels"))
	} else {
		errs = validation.ValidateAnnotations(texts, field.NewPath("metadata", "annotation"))
	}
	meta[name] = theirs
	return errs.ToAggregate()
}
