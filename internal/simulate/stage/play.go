package stage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"text/template"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Act is one thing to do for a play. Exactly one of its fields is set.
type Act struct {
	Event  *Event // its message is no template any more
	Patch  *Patched
	Delete bool
}

// Patched is a patch as it is sent.
type Patched struct {
	Type        types.PatchType
	Subresource string
	Data        []byte
}

// Play is what a rule does to an object, in order. Templates ask host.
func (r *Rule) Play(o *Object, host Host) ([]Act, error) {
	var data any
	decoder := json.NewDecoder(bytes.NewReader(o.raw))
	decoder.UseNumber()
	if err := decoder.Decode(&data); err != nil {
		return nil, fmt.Errorf("stage %s: %w", r.Name, err)
	}
	funcs := functions(host)
	var acts []Act
	removed := false
	for i := range r.steps {
		s := &r.steps[i]
		if s.event != nil {
			message, err := render(s.message, funcs, data)
			if err != nil {
				return nil, fmt.Errorf("stage %s: event: %w", r.Name, err)
			}
			acts = append(acts, Act{Event: &Event{Type: s.event.Type, Reason: s.event.Reason, Message: string(message)}})
		}
		if removed {
			continue
		}
		if s.finalizers != nil {
			if patch := s.finalizers.patch(o); patch != nil {
				acts = append(acts, Act{Patch: patch})
			}
		}
		if s.remove {
			acts, removed = append(acts, Act{Delete: true}), true
			continue
		}
		if s.patch != nil {
			patch, err := s.patch.made(funcs, data)
			if err != nil {
				return nil, fmt.Errorf("stage %s: %w", r.Name, err)
			}
			acts = append(acts, Act{Patch: patch})
		}
	}
	return acts, nil
}

func render(t *template.Template, funcs template.FuncMap, data any) ([]byte, error) {
	own, err := t.Clone() // whose functions are of this play
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := own.Funcs(funcs).Execute(&out, data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (p *patch) made(funcs template.FuncMap, data any) (*Patched, error) {
	text, err := render(p.template, funcs, data)
	if err != nil {
		return nil, err
	}
	doc, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("what the template makes is no YAML: %w", err)
	}
	if p.root != "" {
		if doc, err = below(p.root, p.kind, doc); err != nil {
			return nil, err
		}
	}
	return &Patched{Type: p.kind, Subresource: p.subresource, Data: doc}, nil
}

// below makes a patch of a field one of the object.
func below(root string, kind types.PatchType, doc []byte) ([]byte, error) {
	if kind != types.JSONPatchType {
		return json.Marshal(map[string]json.RawMessage{root: doc})
	}
	var list []map[string]any
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, fmt.Errorf("what the template makes is no JSON patch: %w", err)
	}
	for _, op := range list {
		op["path"] = fmt.Sprintf("/%s%v", root, op["path"])
	}
	return json.Marshal(list)
}

// patch is the JSON patch that changes an object's finalizers; nil: they are so already.
func (f *Finalizers) patch(o *Object) *Patched {
	meta, _ := o.doc["metadata"].(map[string]any)
	list, _ := meta["finalizers"].([]any)
	var old, next []string
	for _, v := range list {
		text, _ := v.(string)
		old = append(old, text)
	}
	if !f.Empty {
		next = slices.DeleteFunc(slices.Clone(old), func(v string) bool { return slices.Contains(f.Remove, Finalizer{v}) })
		for _, a := range f.Add {
			if !slices.Contains(next, a.Value) {
				next = append(next, a.Value)
			}
		}
	}
	if slices.Equal(old, next) {
		return nil
	}
	data, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": next}})
	if err != nil {
		panic(err) // a map of strings
	}
	return &Patched{Type: types.MergePatchType, Data: data}
}
