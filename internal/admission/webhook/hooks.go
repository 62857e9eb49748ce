package webhook

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/kinds"
)

// hook is one webhook. It is not changed.
type hook struct {
	name          string
	configuration string
	uid           string // of the hook among all, as long as its configuration has no other order
	criteria      *match.Criteria
	conditions    *expression.Conditions
	failOpen      bool
	timeout       time.Duration // 0: none of its own
	sideEffects   admissionv1.SideEffectClass
	reinvoke      bool
	versions      []string
	client        *reach.Client
}

// configuration is one object with its hooks.
type configuration struct {
	name, version string
	hooks         []*hook
}

// set is the hooks of one generation of the table. The zero value has none.
type set struct {
	configurations []configuration // by name
	hooks          []*hook         // of all
}

// source makes the hooks of a resource.
type source struct {
	table   admission.Table
	res     schema.GroupVersionResource
	means   reach.Means
	compile expression.Compiles
}

// renew makes the set of now. Hooks of configurations that have not changed stay, with their connections.
func (s *source) renew(old set) (next set) {
	s.table.Each(s.res, "", func(obj kinds.Object) bool {
		next.configurations = append(next.configurations, s.configuration(obj, old))
		return true
	})
	slices.SortFunc(next.configurations, func(a, b configuration) int { return cmp.Compare(a.name, b.name) })
	kept := map[*hook]bool{}
	for _, c := range next.configurations {
		for _, h := range c.hooks {
			kept[h] = true
		}
		next.hooks = append(next.hooks, c.hooks...)
	}
	for _, h := range old.hooks {
		if !kept[h] {
			h.client.Close()
		}
	}
	return next
}

func (s *source) configuration(obj kinds.Object, old set) configuration {
	c := configuration{name: obj.GetName(), version: obj.GetResourceVersion()}
	if i := slices.IndexFunc(old.configurations, func(o configuration) bool { return o.name == c.name && o.version == c.version }); i >= 0 {
		return old.configurations[i]
	}
	seen := map[string]int{}
	for _, w := range webhooksOf(obj) {
		c.hooks = append(c.hooks, s.hook(c.name, seen[w.Name], w))
		seen[w.Name]++
	}
	return c
}

// webhooksOf lists a configuration's webhooks, all as those that change: they have one field more.
func webhooksOf(obj kinds.Object) []admissionv1.MutatingWebhook {
	switch c := obj.(type) {
	case *admissionv1.MutatingWebhookConfiguration:
		return c.Webhooks
	case *admissionv1.ValidatingWebhookConfiguration:
		var list []admissionv1.MutatingWebhook
		for _, w := range c.Webhooks {
			list = append(list, admissionv1.MutatingWebhook{
				Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy, MatchPolicy: w.MatchPolicy, NamespaceSelector: w.NamespaceSelector,
				ObjectSelector: w.ObjectSelector, SideEffects: w.SideEffects, TimeoutSeconds: w.TimeoutSeconds, AdmissionReviewVersions: w.AdmissionReviewVersions,
				MatchConditions: w.MatchConditions,
			})
		}
		return list
	}
	return nil
}

func (s *source) hook(of string, number int, w admissionv1.MutatingWebhook) *hook {
	failOpen := w.FailurePolicy != nil && *w.FailurePolicy == admissionv1.Ignore
	h := &hook{
		name: w.Name, configuration: of, uid: fmt.Sprintf("%s/%s/%d", of, w.Name, number), criteria: match.Webhook(&w), failOpen: failOpen,
		conditions: expression.NewConditions(w.MatchConditions, failOpen, false, s.compile),
		reinvoke:   w.ReinvocationPolicy != nil && *w.ReinvocationPolicy == admissionv1.IfNeededReinvocationPolicy, versions: w.AdmissionReviewVersions,
	}
	if w.SideEffects != nil {
		h.sideEffects = *w.SideEffects
	}
	if w.TimeoutSeconds != nil {
		h.timeout = time.Duration(*w.TimeoutSeconds) * time.Second
	}
	h.client = reach.New(target(w.Name, w.ClientConfig), s.means)
	return h
}

// target is where a webhook answers.
func target(name string, to admissionv1.WebhookClientConfig) reach.Target {
	at := reach.Target{Name: name, Bundle: to.CABundle}
	if to.URL != nil {
		at.URL = *to.URL
	}
	if s := to.Service; s != nil {
		at.Service = reach.ServiceOf(s.Namespace, s.Name, s.Path, s.Port)
	}
	return at
}
