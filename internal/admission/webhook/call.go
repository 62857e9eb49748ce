package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/expression"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// stepAdmit is what metrics call it when mutating webhooks are asked.
const stepAdmit = "admit"

// Config is what both plug-ins need. All fields are required but Mutating, Validating and Metrics.
type Config struct {
	Table      admission.Table
	Catalog    func() *kinds.Catalog
	Authorizer auth.Authorizer // whom match conditions ask
	Webhooks   reach.Means     // without As and Codec
	// Mutating and Validating are as whom the server calls the webhooks of each; nil: as nobody.
	Mutating, Validating *reach.Credentials
	Clock                clock.PassiveClock
	Log                  *slog.Logger
	Metrics              *Metrics // nil: nothing is counted
}

// asker asks the hooks of one resource.
type asker struct {
	Config
	latest *admission.Latest[set]
	step   string // what metrics call it: admit or validating
}

// meant says whether a hook is asked about the wish, and what it is shown. see makes the input of a form.
func (p *asker) meant(ctx context.Context, h *hook, a *admission.Attributes, see inputs) (*expression.Input, error) {
	form, ok, err := h.criteria.Match(a, p.Catalog())
	if err != nil || !ok {
		return nil, err
	}
	in, err := see.of(a, form)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if h.conditions == nil {
		return in, nil
	}
	begun := p.Clock.Now()
	verdict := h.conditions.Match(ctx, in, nil, p.Authorizer)
	p.Metrics.conditions(h.name, p.step, a.Operation, p.Clock.Since(begun), verdict)
	switch {
	case verdict.Err != nil:
		p.Log.Warn("match conditions cannot be evaluated, failing closed", "webhook", h.name, "error", verdict.Err)
		return nil, apierrors.NewForbidden(a.Resource().GroupResource(), a.Name, verdict.Err)
	case !verdict.Matches:
		return nil, nil
	}
	return in, nil
}

// inputs are a wish's, by their form.
type inputs map[match.Form]*expression.Input

func (m inputs) of(a *admission.Attributes, form match.Form) (*expression.Input, error) {
	if in := m[form]; in != nil {
		return in, nil
	}
	in, err := expression.See(a, form)
	if err == nil {
		m[form] = in
	}
	return in, err
}

// call asks a hook and checks its answer. The error is a callError, a rejection (with the answer, whose annotations and warnings count), or an API status error.
// waited is how long the hook took to answer, or to fail to; 0 when it was not asked at all.
func (p *asker) call(ctx context.Context, h *hook, in *expression.Input, dryRun, changes bool) (response *admissionv1.AdmissionResponse, waited time.Duration, err error) {
	if dryRun {
		switch h.sideEffects {
		case "":
			//lint:ignore ST1005 upstream's words
			return nil, 0, h.broken(errors.New("Webhook SideEffects is nil"), apierrors.NewBadRequest("Webhook SideEffects is nil"))
		case registrationv1.SideEffectClassNone, registrationv1.SideEffectClassNoneOnDryRun:
		default:
			return nil, 0, apierrors.NewBadRequest(fmt.Sprintf("admission webhook %q does not support dry run", h.name))
		}
	}
	uid := types.UID(uuid.NewString())
	ask, answer, err := question(h.versions, uid, in)
	if err != nil {
		return nil, 0, h.broken(fmt.Errorf("could not create admission objects: %w", err), apierrors.NewBadRequest("error creating admission objects"))
	}
	client, err := h.client.REST()
	if err != nil {
		return nil, 0, h.broken(fmt.Errorf("could not get REST client: %w", err), apierrors.NewInternalError(err))
	}
	ctx, span := trace.Start(ctx, "Call "+p.verb()+" webhook")
	defer span.End()
	if span.Recording() {
		span.Set("configuration", h.configuration).Set("webhook", h.name).Set("resource", in.Request.Resource.String()).Set("subresource", in.Request.SubResource).
			Set("operation", string(in.Request.Operation)).Set("UID", string(uid))
	}
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	post := client.Post().Body(ask)
	if deadline, ok := ctx.Deadline(); ok {
		if left := deadline.Sub(p.Clock.Now()); left > 0 {
			post.Timeout((left + time.Second - 1).Truncate(time.Second)) // the hook is told whole seconds
		}
	}
	begun := p.Clock.Now()
	err = post.Do(ctx).Into(answer)
	waited = p.Clock.Since(begun)
	if err != nil {
		status := &apierrors.StatusError{}
		if !errors.As(err, &status) {
			status = apierrors.NewServiceUnavailable("error calling webhook")
		}
		return nil, waited, h.broken(fmt.Errorf("failed to call webhook: %w", err), status)
	}
	span.Event("Request completed")
	response, err = answered(answer, uid, changes)
	if err != nil {
		return nil, waited, h.broken(fmt.Errorf("received invalid webhook response: %w", err), apierrors.NewServiceUnavailable("error validating webhook response"))
	}
	if !response.Allowed {
		return response, waited, &rejection{denial(h.name, response.Result)}
	}
	return response, waited, nil
}

func (h *hook) broken(reason error, status *apierrors.StatusError) *callError {
	return &callError{h.name, reason, status}
}

// tell passes on what an answer says beside its verdict; nil says nothing.
func (p *asker) tell(a *admission.Attributes, h *hook, response *admissionv1.AdmissionResponse) {
	if response == nil {
		return
	}
	for key, value := range response.AuditAnnotations {
		if !a.AnnotateAs(h.name+"/"+key, value) {
			p.Log.Warn("an audit annotation has no valid key", "webhook", h.name, "key", key)
		}
	}
	for _, text := range response.Warnings {
		a.Warn(text)
	}
}

// changes says whether the hooks may change what they are asked about.
func (p *asker) changes() bool { return p.step == stepAdmit }

// verb is what upstream's spans call the hooks.
func (p *asker) verb() string {
	if p.changes() {
		return "mutating"
	}
	return "validating"
}

// settle counts how a call went and says what it means for the wish: nil is that it goes on. opened is called when it goes on although the call failed.
func (p *asker) settle(ctx context.Context, a *admission.Attributes, h *hook, err error, took time.Duration, opened func()) error {
	p.Metrics.asked(h, p.step, a.Operation, err, took)
	var failed *callError
	var refused *rejection
	switch {
	case errors.As(err, &failed):
		if !h.failOpen {
			p.Log.Warn("a webhook cannot be called, failing closed", "webhook", h.name, "error", err)
			return apierrors.NewInternalError(err)
		}
		if errors.Is(failed.reason, context.Canceled) {
			break
		}
		p.Log.Warn("a webhook cannot be called, failing open", "webhook", h.name, "error", err)
		p.Metrics.opened(h.name, p.step)
		opened()
	case errors.As(err, &refused):
		return refused.status
	case err != nil:
		return err
	default:
		return nil
	}
	if ctx.Err() != nil {
		return errRequestOver()
	}
	return nil
}

// errRequestOver is the answer to a request whose time has passed.
func errRequestOver() error {
	return apierrors.NewTimeoutError("request did not complete within requested timeout", 0)
}
