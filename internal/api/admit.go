package api

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/api/audit"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe/trace"
)

// This file asks the admission plug-ins. They are told the request's options in the form that fits what is done: a patch creates or updates.

// Plugins are the admission plug-ins, by upstream's names, that the kinds and list have.
func Plugins(served []*kinds.Kind, list []admission.Plugin) []string {
	have := map[string]bool{namespaceLifecycle: true}
	for _, k := range served {
		for _, a := range k.Admission {
			have[a.Plugin] = true
		}
	}
	for _, p := range list {
		have[p.Name] = true
	}
	var out []string
	for _, name := range admission.Order() {
		if have[name] {
			out = append(out, name)
		}
	}
	return out
}

// asked is a wish that passes the plug-ins, and what they see of other objects.
type asked struct {
	*admission.Attributes
	server *Server
	see    *reader
}

// ask makes the attributes of what the request does. obj is private to the caller, old is shared; either may be nil. gvk is the kind of obj.
func (s *Server) ask(ctx context.Context, req Request, does admission.Operation, gvk schema.GroupVersionKind, obj, old runtime.Object, dryRun bool) asked {
	see, env := &reader{server: s}, s.asking(ctx, req)
	env.DryRun = dryRun
	a := &admission.Attributes{
		Operation: does, Kind: req.Kind, Subresource: req.Subresource, Type: gvk, Namespace: req.Namespace, Name: req.Name, User: req.User, DryRun: dryRun,
		Options: req.optionsOf(does, dryRun), Object: obj, Old: old, Env: env, See: see, Warned: req.Warn,
	}
	listen(a, audit.From(ctx))
	if named, ok := obj.(metav1.Object); ok && a.Name == "" && does == admission.Create {
		a.Name = named.GetName()
	}
	if isNamespace(req.Kind) {
		a.Namespace = a.Name
	}
	if record := audit.From(ctx); record != nil {
		listen(a, record)
	}
	return asked{a, s, see}
}

// listen lets the audit trail keep what plug-ins say of the wish, and how long webhooks took. record may be nil.
func listen(a *admission.Attributes, record *audit.Record) {
	if record == nil {
		return
	}
	a.Annotated = record.Annotate
	if record.TellsRequests() {
		a.Detailed = record.Annotate
	}
	a.Waited = func(changes bool, d time.Duration) {
		part := audit.ValidatingWebhooks
		if changes {
			part = audit.MutatingWebhooks
		}
		record.Took(part, d)
	}
}

// settled is err, answered only when what the plug-ins saw is durable.
func (a asked) settled(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return a.server.settle(ctx, a.see.newest, Classed(err))
}

// admit lets plug-ins change the object.
func (a asked) admit(ctx context.Context) error {
	within, span := trace.Start(ctx, "Mutating admission")
	defer span.End()
	return a.settled(ctx, a.server.chain.Admit(within, a.Attributes))
}

// validate lets plug-ins look at what would be stored.
func (a asked) validate(ctx context.Context) error {
	within, span := trace.Start(ctx, "Validating admission")
	defer span.End()
	return a.settled(ctx, a.server.chain.Validate(within, a.Attributes))
}

// both is admit and validate where nothing is prepared between them.
func (a asked) both(ctx context.Context) error {
	if err := a.admit(ctx); err != nil {
		return err
	}
	return a.validate(ctx)
}

// charge is what is committed with the object, and on which conditions. What plug-ins have seen before counts no more.
func (a asked) charge(ctx context.Context) (further, error) {
	chain := a.server.chain
	if !chain.Charges() {
		return further{}, nil
	}
	see := &reader{server: a.server}
	fresh := *a.Attributes
	fresh.See = see
	writes, err := chain.Charge(ctx, &fresh)
	if err != nil {
		return further{}, a.server.settle(ctx, see.newest, Classed(err))
	}
	return a.server.gather(writes, a.Env, see)
}

// Connect asks the plug-ins whether the request, whose user has been authorized, may open a connection. options, of kind gvk, are what its query says.
func (s *Server) Connect(ctx context.Context, req Request, gvk schema.GroupVersionKind, options runtime.Object) error {
	return s.ask(ctx, req, admission.Connect, gvk, options, nil, false).both(ctx)
}

// optionsOf are the request's options as those of an operation.
func (r Request) optionsOf(does admission.Operation, dryRun bool) runtime.Object {
	var trial []string
	if dryRun {
		trial = []string{metav1.DryRunAll}
	}
	typed := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{Kind: kind, APIVersion: metav1.SchemeGroupVersion.String()}
	}
	switch does {
	case admission.Create:
		return &metav1.CreateOptions{TypeMeta: typed("CreateOptions"), DryRun: trial, FieldManager: r.said.manager, FieldValidation: r.said.validation}
	case admission.Update:
		return &metav1.UpdateOptions{TypeMeta: typed("UpdateOptions"), DryRun: trial, FieldManager: r.said.manager, FieldValidation: r.said.validation}
	case admission.Delete:
		opts := r.said.deletion
		opts.TypeMeta = typed("DeleteOptions")
		return &opts
	}
	return nil
}

// said is what the options of a request said, for plug-ins.
type said struct {
	manager, validation string
	deletion            metav1.DeleteOptions
}

// saying is the request by its options' field manager, with what else plug-ins are told of them.
func (r Request) saying(manager, validation string) Request {
	r.said.manager, r.said.validation = manager, validation
	return r.by(manager)
}
