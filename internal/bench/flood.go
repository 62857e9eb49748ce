package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// Flood is what scenario flood saw beside the latencies in the flood, which are the report's own.
type Flood struct {
	Quiet   Latency `json:"quietMilliseconds"` // of the same operations of the same user before the flood
	Ratio50 float64 `json:"p50Ratio"`          // in the flood to quiet
	Ratio99 float64 `json:"p99Ratio"`
	Rate    float64 `json:"floodPerSecond"` // operations of the user who floods that succeeded
	Refused int     `json:"floodRefused"`   // and that did not; an honest server may refuse some with 429
}

// users of scenario flood: service accounts, so that the server knows them by their tokens as it knows anybody's.
const (
	quietUser = "quiet"
	floodUser = "flood"
)

// flooding is one run of the scenario.
type flooding struct {
	w      *workspace
	kind   resourceKind
	quiet  *session
	flood  *flooder
	before *outcome // of the quiet user before the flood
}

// prepareFlood has one worker, the quiet user, who lists a namespace's objects one call after the other. What it takes without a flood is measured here; the
// plan measures it while another user does the same with as many connections as there are clients.
func prepareFlood(ctx context.Context, w *workspace) (*plan, error) {
	kind, _ := kindNamed(w.Kind)
	f := &flooding{w: w, kind: kind}
	if err := f.prepare(ctx); err != nil {
		return nil, w.undo(ctx, f.remove, err)
	}
	return &plan{workers: 1, do: f.list, finish: f.finish, after: f.report, cleanup: f.remove}, nil
}

func (f *flooding) prepare(ctx context.Context) error {
	if err := f.w.fill(ctx, f.kind, f.w.Objects); err != nil {
		return err
	}
	if err := f.admit(ctx); err != nil {
		return err
	}
	var err error
	if f.quiet, err = f.session(ctx); err != nil {
		return err
	}
	order, err := f.order(ctx)
	if err != nil {
		return err
	}
	f.w.OnProgress("measuring the quiet user alone")
	f.before, err = load{clock: f.w.Clock, sessions: []*session{f.quiet}, count: f.w.Count, duration: f.w.Duration}.run(ctx, f.list)
	if err = failFirst("list alone", f.before, err); err != nil {
		return err
	}
	f.w.OnProgress(fmt.Sprintf("flooding with %d connections", order.Clients))
	f.flood, err = startFlood(ctx, f.w.Program, order)
	return err
}

func (f *flooding) request() request {
	return request{method: "GET", path: f.w.collection(f.kind), accept: f.w.media, gzip: f.w.Gzip}
}

// list is the quiet user's operation, whoever's session it is given, which counts the bytes.
func (f *flooding) list(ctx context.Context, s *session, _ int) error {
	reply, err := f.quiet.do(ctx, f.request())
	if s != f.quiet {
		s.bytes += int64(len(reply))
	}
	return err
}

func (f *flooding) finish(context.Context, *outcome) { f.flood.end() }

func (f *flooding) report(_ context.Context, r *Report) error {
	flood := &Flood{Quiet: latencyOf(&f.before.latency), Refused: f.flood.told.Failed}
	if flood.Quiet.P50 > 0 && flood.Quiet.P99 > 0 {
		flood.Ratio50, flood.Ratio99 = r.Latency.P50/flood.Quiet.P50, r.Latency.P99/flood.Quiet.P99
	}
	if s := f.flood.told.Seconds; s > 0 {
		flood.Rate = float64(f.flood.told.Operations) / s
	}
	r.Flood = flood
	return f.flood.err
}

// part is one object that lets the two users in.
type part struct {
	collection string // its path
	object     interface {
		runtime.Object
		metav1.Object
	}
}

// parts are the two users and what lets them read the namespace, in the order in which they are made.
func (f *flooding) parts() []part {
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: f.w.prefix() + name, Namespace: f.w.Namespace}
	}
	account := func(user string) rbacv1.Subject {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: f.w.prefix() + user, Namespace: f.w.Namespace}
	}
	core, rights := "/api/v1/namespaces/"+f.w.Namespace, "/apis/rbac.authorization.k8s.io/v1/namespaces/"+f.w.Namespace
	return []part{
		{core + "/serviceaccounts", &corev1.ServiceAccount{ObjectMeta: named(quietUser)}},
		{core + "/serviceaccounts", &corev1.ServiceAccount{ObjectMeta: named(floodUser)}},
		{rights + "/roles", &rbacv1.Role{ObjectMeta: named("reader"), Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"list"}, APIGroups: []string{f.kind.version.Group}, Resources: []string{f.kind.name},
		}}}},
		{rights + "/rolebindings", &rbacv1.RoleBinding{
			ObjectMeta: named("reader"), Subjects: []rbacv1.Subject{account(quietUser), account(floodUser)},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: f.w.prefix() + "reader"},
		}},
	}
}

// admit makes the two users and lets them list.
func (f *flooding) admit(ctx context.Context) error {
	for _, p := range f.parts() {
		body, err := encode(mediaJSON, versionOf(p.object), p.object)
		if err != nil {
			return err
		}
		if _, err := f.w.sessions[0].do(ctx, request{method: "POST", path: p.collection, contentType: mediaJSON, accept: mediaJSON, body: body}); err != nil {
			return fmt.Errorf("make %s/%s: %w", p.collection, p.object.GetName(), err)
		}
	}
	return nil
}

func versionOf(object runtime.Object) schema.GroupVersion {
	switch object.(type) {
	case *rbacv1.Role, *rbacv1.RoleBinding:
		return rbacv1.SchemeGroupVersion
	}
	return corev1.SchemeGroupVersion
}

// token is one that the server issues to a user.
func (f *flooding) token(ctx context.Context, user string) (string, error) {
	hour := int64(3600)
	body, err := encode(mediaJSON, authenticationv1.SchemeGroupVersion, &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{Name: f.w.prefix() + user}, Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour},
	})
	if err != nil {
		return "", err
	}
	path := "/api/v1/namespaces/" + f.w.Namespace + "/serviceaccounts/" + f.w.prefix() + user + "/token"
	reply, err := f.w.sessions[0].do(ctx, request{method: "POST", path: path, contentType: mediaJSON, accept: mediaJSON, body: body})
	if err != nil {
		return "", fmt.Errorf("a token of %s: %w", user, err)
	}
	var issued authenticationv1.TokenRequest
	if err := decode(reply, &issued); err != nil {
		return "", fmt.Errorf("a token of %s: %w", user, err)
	}
	return issued.Status.Token, nil
}

// order is what the flood is told.
func (f *flooding) order(ctx context.Context) (o floodOrder, err error) {
	config, r := f.w.Target.config, f.request()
	o = floodOrder{
		Server: f.w.Target.base.String(), Authority: config.CAData, Name: config.ServerName, Insecure: config.Insecure,
		Path: r.path, Accept: r.accept, Gzip: r.gzip, Clients: f.w.Clients, Timeout: f.w.Timeout,
	}
	if config.CAFile != "" && len(o.Authority) == 0 {
		if o.Authority, err = os.ReadFile(config.CAFile); err != nil {
			return o, fmt.Errorf("authority of the server: %w", err)
		}
	}
	o.Token, err = f.token(ctx, floodUser)
	return o, err
}

// session is a connection of the quiet user.
func (f *flooding) session(ctx context.Context) (*session, error) {
	token, err := f.token(ctx, quietUser)
	if err != nil {
		return nil, err
	}
	config := rest.AnonymousClientConfig(f.w.Target.config)
	config.BearerToken = token
	target := &Target{base: f.w.Target.base, config: config}
	client, err := target.connect()
	return &session{target: target, client: client, timeout: f.w.Timeout}, err
}

// remove takes away what the scenario made; what is not there is gone already.
func (f *flooding) remove(ctx context.Context, _ int) error {
	f.flood.end()
	if f.quiet != nil {
		f.quiet.client.CloseIdleConnections()
	}
	err := f.w.remove(ctx, f.kind, f.w.Objects, "0")
	for _, p := range f.parts() {
		_, failed := f.w.sessions[0].do(ctx, request{method: "DELETE", path: p.collection + "/" + p.object.GetName(), accept: mediaJSON})
		if !isStatus(failed, http.StatusNotFound) {
			err = errors.Join(err, failed)
		}
	}
	return err
}
