package api

import (
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/floe-k8s/floe/internal/api/jsonpatch"
)

// This file is what the patch languages make of an object. A JSON patch and a merge patch work on its JSON, a strategic merge patch on its fields.

// maxPatchOps bounds the operations of one JSON patch, as upstream does.
const maxPatchOps = 10000

// apply writes old, of kind gvk, with the patch on it to into, which is empty.
func (p Patch) apply(gvk schema.GroupVersionKind, old, into runtime.Object) error {
	if p.Type == types.StrategicMergePatchType {
		return p.applyFields(gvk, old, into)
	}
	doc, err := json.Marshal(old)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if old.GetObjectKind().GroupVersionKind().Empty() { // stored objects do not say what they are
		doc = fmt.Appendf(nil, "{\"kind\":%q,\"apiVersion\":%q,%s", gvk.Kind, gvk.GroupVersion(), doc[1:])
	}
	doc, strict, err := p.applyDocument(doc)
	if err != nil {
		return err
	}
	more, err := p.Decode(doc, into)
	return p.settle(string(doc), append(strict, more...), err)
}

// settle says what is to be said of a patched object: shown is what upstream quotes of it, strict what validation found.
func (p Patch) settle(shown string, strict []error, err error) error {
	switch {
	case err != nil:
	case len(strict) == 0 || p.Validation == metav1.FieldValidationIgnore:
		return nil
	case p.Validation == metav1.FieldValidationStrict:
		err = runtime.NewStrictDecodingError(strict)
	default:
		for _, w := range strict {
			if p.Warn != nil {
				p.Warn(w.Error())
			}
		}
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), shown, err.Error())})
}

// unmarshal reads the patch itself.
func (p Patch) unmarshal(into any) (strict []error, err error) {
	if p.Validation == metav1.FieldValidationIgnore {
		return nil, kjson.UnmarshalCaseSensitivePreserveInts(p.Data, into)
	}
	return kjson.UnmarshalStrict(p.Data, into)
}

// jsonPatchOp is one operation, to find what does not belong in it. Upstream tells its name in refusals.
type jsonPatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

func (p Patch) applyDocument(doc []byte) (out []byte, strict []error, err error) {
	if p.Type == types.MergePatchType {
		fields := map[string]any{}
		if strict, err = p.unmarshal(&fields); err != nil {
			return nil, nil, badPatch(err)
		}
		if out, err = jsonpatch.Merge(doc, p.Data); errors.Is(err, jsonpatch.ErrBadPatch) {
			err = apierrors.NewBadRequest(err.Error())
		}
		return out, strict, err
	}
	var list []jsonPatchOp
	if strict, err = p.unmarshal(&list); err != nil {
		return nil, nil, badPatch(err)
	}
	for i, e := range strict {
		strict[i] = fmt.Errorf("json patch %w", e)
	}
	var ops jsonpatch.Patch
	switch err := json.Unmarshal(p.Data, &ops); {
	case err != nil:
		return nil, nil, apierrors.NewBadRequest(err.Error())
	case len(ops) > maxPatchOps:
		return nil, nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxPatchOps, len(ops)))
	}
	if out, err = ops.Apply(doc); err != nil {
		return nil, nil, unprocessable(err.Error())
	}
	return out, strict, nil
}

// badPatch is upstream's answer to a patch that is no patch. A type of the wrong shape goes by the name that it has there.
func badPatch(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field == "" {
		name := wrong.Type.String()
		switch name {
		case "[]api.jsonPatchOp":
			name = "[]handlers.jsonPatchOp"
		case "api.jsonPatchOp":
			name = "handlers.jsonPatchOp"
		}
		err = fmt.Errorf("json: cannot unmarshal %s into Go value of type %s", wrong.Value, name)
	}
	return apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
}

// applyFields is a strategic merge patch.
func (p Patch) applyFields(gvk schema.GroupVersionKind, old, into runtime.Object) error {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(old)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	fields["apiVersion"], fields["kind"] = gvk.ToAPIVersionAndKind()
	patch := map[string]any{}
	strict, err := p.unmarshal(&patch)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	shown := fmt.Sprintf("%+v", patch) // merging takes the patch apart
	merged, err := strategicpatch.StrategicMergeMapPatch(fields, patch, into)
	if err != nil {
		return badMerge(err)
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(merged, into, p.Validation != metav1.FieldValidationIgnore)
	if found, ok := runtime.AsStrictDecodingError(err); ok {
		strict, err = append(strict, found.Errors()...), nil
	}
	into.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return p.settle(shown, strict, err)
}

// badMerge answers for a strategic merge patch that cannot be merged.
func badMerge(err error) error {
	for _, bad := range []error{
		mergepatch.ErrBadJSONDoc, mergepatch.ErrBadPatchFormatForPrimitiveList, mergepatch.ErrBadPatchFormatForRetainKeys,
		mergepatch.ErrBadPatchFormatForSetElementOrderList, mergepatch.ErrUnsupportedStrategicMergePatchFormat,
	} {
		if errors.Is(err, bad) {
			return apierrors.NewBadRequest(err.Error())
		}
	}
	if errors.Is(err, mergepatch.ErrNoListOfLists) || errors.Is(err, mergepatch.ErrPatchContentNotMatchRetainKeys) {
		return unprocessable(err.Error())
	}
	return err
}
