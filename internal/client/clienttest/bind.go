package clienttest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func bindTrials() []trial {
	return []trial{
		{"each of many succeeds or fails alone, and the errors keep their order", manyBindings},
		{"a pod is bound once, whoever asks", func(b *bench) {
			b.create(pods(), pod("a"))
			errs := b.admin.Bind(b.ctx, []*corev1.Binding{binding("a", "one"), binding("a", "two"), binding("a", "three")})
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if !apierrors.IsConflict(err) {
					b.Errorf("the second binding: %v", err)
				}
			}
			if won != 1 {
				b.Errorf("%d of three bindings of one pod succeeded: %v", won, errs)
			}
		}},
		{"no bindings are no errors", func(b *bench) {
			if errs := b.admin.Bind(b.ctx, nil); len(errs) != 0 {
				b.Errorf("%v", errs)
			}
		}},
		{"a binding says that the pod is scheduled", func(b *bench) {
			b.create(pods(), pod("a"))
			given := binding("a", "one")
			given.Annotations = map[string]string{"example.com/why": "free"}
			before := given.DeepCopy()
			b.must(b.admin.Bind(b.ctx, []*corev1.Binding{given})[0])
			b.same("given", given, before)
			p := b.get(pods(), "a").(*corev1.Pod)
			if p.Spec.NodeName != "one" || p.Annotations["example.com/why"] != "free" || len(p.Status.Conditions) != 1 || p.Status.Conditions[0].Type != corev1.PodScheduled {
				b.Errorf("bound pod %+v", p)
			}
		}},
	}
}

func manyBindings(b *bench) {
	const many = 200
	refusals := map[int]string{
		0:   `pods "p0" not found`,
		77:  `Operation cannot be fulfilled on pods/binding "p77": pod p77 is already assigned to node "two"`,
		199: `target.name: Required value`,
	}
	var bindings []*corev1.Binding
	for i := range many {
		name := fmt.Sprint("p", i)
		switch i {
		case 0:
		case 77:
			b.create(pods(), podOn("two", name))
		default:
			b.create(pods(), pod(name))
		}
		bindings = append(bindings, binding(name, "one"))
	}
	bindings[199].Target.Name = ""
	errs := b.admin.Bind(b.ctx, bindings)
	if len(errs) != many {
		b.Fatalf("%d errors for %d bindings", len(errs), many)
	}
	for i, err := range errs {
		text := refusals[i]
		if (err == nil) != (text == "") || err != nil && err.Error() != text {
			b.Errorf("binding %d:\n  says %v\n  want %s", i, err, text)
		}
		if err == nil { // Bind states no revision; the newest state does
			b.wrote(pods(), b.revision(b.get(pods(), bindings[i].Name)))
		}
	}
	n := 0
	for obj := range b.view().Lookup(pods(), "spec.nodeName", "one") {
		if n++; obj.(*corev1.Pod).Spec.NodeName != "one" {
			b.Errorf("%s is found under a node that it is not on", obj.GetName())
		}
	}
	if want := many - len(refusals); n != want {
		b.Errorf("a view shows %d pods on the node, want %d", n, want)
	}
}
