package owners_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/owners"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

func TestOwnersNeedRights(t *testing.T) {
	yes := true
	owned := func(kind string, blocks *bool) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}}
		if kind != "" {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: kind, Name: "o", UID: "u", BlockOwnerDeletion: blocks}}
		}
		return p
	}
	for name, c := range map[string]struct {
		may       []auth.Attributes
		next, old *corev1.Pod
		want      string
	}{
		"no owner":            {nil, owned("", nil), nil, ""},
		"made with one":       {nil, owned("ConfigMap", nil), nil, ""},
		"given one":           {nil, owned("ConfigMap", nil), owned("", nil), `pods "web" is forbidden: cannot set an ownerRef on a resource you can't delete: no, <nil>`},
		"given by a deleter":  {[]auth.Attributes{{Verb: "delete", Version: "v1", Resource: "pods", Namespace: "ns", Name: "web"}}, owned("ConfigMap", nil), owned("", nil), ""},
		"the same":            {nil, owned("ConfigMap", &yes), owned("ConfigMap", &yes), ""},
		"holds it up":         {nil, owned("ConfigMap", &yes), nil, `pods "web" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: no, <nil>`},
		"may hold it":         {[]auth.Attributes{{Verb: "update", Version: "v1", Resource: "configmaps", Subresource: "finalizers", Namespace: "ns", Name: "o"}}, owned("ConfigMap", &yes), nil, ""},
		"may hold a node":     {[]auth.Attributes{{Verb: "update", Version: "v1", Resource: "nodes", Subresource: "finalizers", Name: "o"}}, owned("Node", &yes), nil, ""},
		"may hold everything": {[]auth.Attributes{{Verb: "update", Group: "*", Version: "*", Resource: "*", Subresource: "finalizers", Name: "*"}}, owned("Odd", &yes), nil, ""},
		"nobody knows it": {nil, owned("Odd", &yes), nil,
			`pods "web" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion v1 Kind Odd: no matches for kind "Odd" in version "v1"`},
	} {
		authorize := func(_ context.Context, _ auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
			for _, may := range c.may {
				if attrs == may {
					return auth.Allow, "", nil
				}
			}
			return auth.NoOpinion, "no", nil
		}
		catalog := kinds.NewCatalogs(all.Kinds()).Now
		k := core.Pod()
		a := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: "ns", Name: "web", Object: c.next}
		if c.old != nil {
			a.Operation, a.Old = admission.Update, c.old
		}
		got := ""
		if err := owners.New(authorize, catalog).Validate(context.Background(), a); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
