package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/observe/aside"
)

// ValidatingName is the plug-in's.
const ValidatingName = "ValidatingAdmissionWebhook"

// Validating is the plug-in that asks the webhooks of ValidatingWebhookConfigurations.
func Validating(cfg Config) admission.Plugin {
	p := &validating{newAsker(cfg, cfg.Validating, "validatingwebhookconfigurations", "validating")}
	return admission.Plugin{Name: ValidatingName, Validate: p.validate}
}

type validating struct{ asker }

// asked is one hook that is meant, and how its call went.
type asked struct {
	hook     *hook
	in       *expression.Input
	response *admissionv1.AdmissionResponse
	err      error
	waited   time.Duration // for its answer
	took     time.Duration // all in all
}

func (p *validating) validate(ctx context.Context, a *admission.Attributes) error {
	hooks := p.latest.Get().hooks
	if len(hooks) == 0 || match.Exempt(a) {
		return nil
	}
	var calls []asked
	see := inputs{}
	for _, h := range hooks {
		in, err := p.meant(ctx, h, a, see)
		if err != nil {
			return err
		}
		if in != nil {
			calls = append(calls, asked{hook: h, in: in})
		}
	}
	if len(calls) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return errRequestOver()
	}
	p.all(ctx, calls, a.DryRun)
	return p.verdict(ctx, a, calls)
}

// all asks every hook at once and waits for all of them.
func (p *validating) all(ctx context.Context, calls []asked, dryRun bool) {
	var wait sync.WaitGroup
	for i := range calls {
		c := &calls[i]
		wait.Go(func() {
			begun := p.Clock.Now()
			c.response, c.waited, c.err = p.call(ctx, c.hook, c.in, dryRun, false)
			c.took = p.Clock.Since(begun)
		})
	}
	defer aside.Step(ctx)()
	wait.Wait()
}

// verdict tells what all hooks have to say, in their order, and refuses for the first that does.
func (p *validating) verdict(ctx context.Context, a *admission.Attributes, calls []asked) (err error) {
	for i, c := range calls {
		a.Wait(false, c.waited)
		p.tell(a, c.hook, c.response)
		refused := p.settle(ctx, a, c.hook, c.err, c.took, func() { a.Annotate(fmt.Sprintf("%sround_0_index_%d", validatingKey, i), c.hook.name) })
		if err == nil {
			err = refused
		}
	}
	return err
}
