package webhook

import (
	"context"
	"encoding/json"
	"fmt"

	reviewv1 "k8s.io/api/admission/v1"
	reviewv1beta1 "k8s.io/api/admission/v1beta1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api/jsonpatch"
	"github.com/floe-k8s/floe/internal/observe/aside"
)

// MutatingName is the plug-in's.
const MutatingName = "MutatingAdmissionWebhook"

// What keys of the audit trail begin with.
const (
	mutationKey   = "mutation.webhook.admission.k8s.io/"
	patchKey      = "patch.webhook.admission.k8s.io/"
	failedOpenKey = "failed-open."
	validatingKey = failedOpenKey + "validating.webhook.admission.k8s.io/"
)

// Mutating is the plug-in that asks the webhooks of MutatingWebhookConfigurations.
func Mutating(cfg Config) admission.Plugin {
	p := &mutating{newAsker(cfg, cfg.Mutating, "mutatingwebhookconfigurations", stepAdmit)}
	return admission.Plugin{Name: MutatingName, Admit: p.admit}
}

func newAsker(cfg Config, as *reach.Credentials, resource, step string) asker {
	compiler := &expression.Compiler{}
	res := registrationv1.SchemeGroupVersion.WithResource(resource)
	reviews := reach.Codec([]schema.GroupVersion{reviewv1beta1.SchemeGroupVersion, reviewv1.SchemeGroupVersion}, reviewv1beta1.AddToScheme, reviewv1.AddToScheme)
	by := cfg.Webhooks
	by.As, by.Codec = as, reviews
	s := &source{table: cfg.Table, res: res, means: by, compile: compiler.Compile}
	return asker{cfg, admission.NewLatest(cfg.Table, s.renew, res), step}
}

type mutating struct{ asker }

func (p *mutating) admit(ctx context.Context, a *admission.Attributes) error {
	hooks := p.latest.Get().hooks
	if len(hooks) == 0 || match.Exempt(a) {
		return nil
	}
	r := a.Recall(MutatingName)
	see := inputs{}
	for i, h := range hooks {
		in, err := p.meant(ctx, h, a, see)
		if err != nil {
			return err
		}
		if in == nil || r.Skip(a, h.uid) {
			continue
		}
		if err := p.ask(ctx, a, h, in, r, see, i); err != nil {
			return err
		}
	}
	r.End(a)
	return nil
}

// ask asks one hook, the i-th of all, and lets it change the object.
func (p *mutating) ask(ctx context.Context, a *admission.Attributes, h *hook, in *expression.Input, r *admission.Recall, see inputs, i int) error {
	key := fmt.Sprintf("round_%d_index_%d", a.Round(), i)
	begun := p.Clock.Now()
	back := aside.Step(ctx)
	response, waited, err := p.call(ctx, h, in, a.DryRun, true)
	back()
	a.Wait(true, waited)
	p.tell(a, h, response)
	changed := false
	if err == nil {
		changed, err = p.patch(a, h, in, response, key)
	}
	a.Annotate(mutationKey+key, encoded(mutation{h.configuration, h.name, changed}))
	if changed {
		clear(see)
	}
	r.Asked(a, h.uid, changed, h.reinvoke)
	return p.settle(ctx, a, h, err, p.Clock.Since(begun), func() { a.Annotate(failedOpenKey+mutationKey+key, h.name) })
}

// mutation and patched are what the audit trail keeps of a hook.
type mutation struct {
	Configuration string `json:"configuration"`
	Webhook       string `json:"webhook"`
	Mutated       bool   `json:"mutated"`
}

type patched struct {
	Configuration string          `json:"configuration"`
	Webhook       string          `json:"webhook"`
	Patch         jsonpatch.Patch `json:"patch,omitempty"`
	PatchType     string          `json:"patchType,omitempty"`
}

// encoded is a value as JSON.
func encoded(v any) string {
	doc, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("%T cannot be written as JSON: %v", v, err)) // it holds strings, and JSON that was read
	}
	return string(doc)
}

// patch changes the wish's object as an answer says, and says whether it is another one now.
func (p *mutating) patch(a *admission.Attributes, h *hook, in *expression.Input, response *reviewv1.AdmissionResponse, key string) (changed bool, err error) {
	if len(response.Patch) == 0 {
		return false, nil
	}
	var ops jsonpatch.Patch
	if err := json.Unmarshal(response.Patch, &ops); err != nil {
		return false, h.broken(fmt.Errorf("received undecodable patch in webhook response: %w", err),
			apierrors.NewServiceUnavailable("error decoding patch in webhook response"))
	}
	switch {
	case len(ops) == 0:
		return false, nil
	case in.Object == nil:
		return false, apierrors.NewInternalError(fmt.Errorf("admission webhook %q attempted to modify the object, which is not supported for this operation", h.name))
	case *response.PatchType != reviewv1.PatchTypeJSONPatch:
		return false, h.broken(fmt.Errorf("unsupported patch type %q", *response.PatchType), denial(h.name, response.Result))
	}
	next, err := in.Form.Patched(a, in.Object, ops.Apply)
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	changed = !apiequality.Semantic.DeepEqual(in.Object, next)
	a.Detail(patchKey+key, encoded(patched{h.configuration, h.name, ops, string(reviewv1.PatchTypeJSONPatch)}))
	if err := in.Form.Put(a, next); err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return changed, nil
}
