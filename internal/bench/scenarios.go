package bench

import (
	"context"
)

// Scenario is one thing that is measured, with what it does by default.
type Scenario struct {
	Name    string
	Summary string // one line for people
	Unit    string // what an operation is, in the singular

	clients, count, objects int  // defaults of the options of these names
	offline                 bool // starts its own server: nothing is connected to before
	prepare                 func(ctx context.Context, w *workspace) (*plan, error)
}

// plan is a prepared scenario. finish, after and cleanup may be nil. cleanup is called once, with the outcome as far as it came; prepare cleans
// up after itself when it fails.
type plan struct {
	do      operation
	workers int // 0: as many as clients
	finish  func(ctx context.Context, out *outcome)
	after   func(ctx context.Context, report *Report) error // what is done and reported when the operations have been measured
	cleanup func(ctx context.Context, begun int) error
}

// Scenarios is the table of all scenarios, in the order in which `all` runs them.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "create", Summary: "create objects", Unit: "create", clients: 32, count: 5000, prepare: prepareCreate},
		{Name: "get", Summary: "get one object at a time", Unit: "get", clients: 32, count: 20_000, objects: 100, prepare: prepareGet},
		{Name: "list", Summary: "list all objects of a namespace", Unit: "list", clients: 1, count: 20, objects: 10_000, prepare: prepareList},
		{Name: "watch", Summary: "deliver each created configmap to all clients, who watch", Unit: "delivery", clients: 200, count: 500, prepare: prepareWatch},
		{Name: "lease", Summary: "update leases, as nodes do", Unit: "update", clients: 64, count: 10_000, prepare: prepareLease},
		{Name: "patch", Summary: "merge-patch objects", Unit: "patch", clients: 32, count: 5000, objects: 100, prepare: preparePatch},
		{Name: "pod-start", Summary: "create a pod and wait until a watch shows it Running", Unit: "pod", clients: 1, count: 20, prepare: preparePodStart},
		{Name: "bound", Summary: "create a pod and wait until a watch shows it bound", Unit: "pod", clients: 64, count: 1000, prepare: prepareBound},
		{Name: "memory", Summary: "create objects, list them in every encoding, and rest: what the processes hold at each step", Unit: "create", clients: 32, count: 10_000, prepare: prepareMemory},
		{Name: "flood", Summary: "list as one user, alone and while another lists with many connections: latencies of both, and their ratio", Unit: "list", clients: 64, count: 1000, objects: 300, prepare: prepareFlood},
		{Name: "ready", Summary: "start a server and wait until /readyz answers 200", Unit: "start", clients: 1, count: 5, offline: true, prepare: prepareReady},
	}
}

// ScenarioNamed finds a scenario of the table.
func ScenarioNamed(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

func prepareCreate(_ context.Context, w *workspace) (*plan, error) {
	kind, _ := kindNamed(w.Kind)
	create, err := w.creator(kind)
	if err != nil {
		return nil, err
	}
	return &plan{do: create, cleanup: func(ctx context.Context, begun int) error { return w.remove(ctx, kind, begun, "0") }}, nil
}

// withObjects fills the namespace and gives a plan that empties it again.
func withObjects(ctx context.Context, w *workspace, do func(resourceKind) operation) (*plan, error) {
	kind, _ := kindNamed(w.Kind)
	remove := func(ctx context.Context, _ int) error { return w.remove(ctx, kind, w.Objects, "0") }
	if err := w.fill(ctx, kind, w.Objects); err != nil {
		return nil, w.undo(ctx, remove, err)
	}
	return &plan{do: do(kind), cleanup: remove}, nil
}

func prepareGet(ctx context.Context, w *workspace) (*plan, error) {
	return withObjects(ctx, w, func(kind resourceKind) operation {
		path := w.collection(kind) + "/"
		return func(ctx context.Context, s *session, i int) error {
			_, err := s.do(ctx, request{method: "GET", path: path + name(w.prefix(), i%w.Objects), accept: w.media, gzip: w.Gzip})
			return err
		}
	})
}

func prepareList(ctx context.Context, w *workspace) (*plan, error) {
	return withObjects(ctx, w, func(kind resourceKind) operation {
		path := w.collection(kind)
		return func(ctx context.Context, s *session, _ int) error {
			_, err := s.do(ctx, request{method: "GET", path: path, accept: w.media, gzip: w.Gzip})
			return err
		}
	})
}

func preparePatch(ctx context.Context, w *workspace) (*plan, error) {
	return withObjects(ctx, w, func(kind resourceKind) operation {
		path := w.collection(kind) + "/"
		return func(ctx context.Context, s *session, i int) error {
			s.body = append(s.body[:0], `{"metadata":{"annotations":{"floe.dev/bench":"`+name("", i)+`"}}}`...)
			_, err := s.do(ctx, request{
				method: "PATCH", path: path + name(w.prefix(), i%w.Objects), contentType: "application/merge-patch+json", accept: w.media, gzip: w.Gzip, body: s.body,
			})
			return err
		}
	})
}

// prepareWatch has one worker that writes; the clients are watchers, and the operations are deliveries.
func prepareWatch(ctx context.Context, w *workspace) (*plan, error) {
	kind := configMaps()
	create, err := w.creator(kind)
	if err != nil {
		return nil, err
	}
	f, err := w.openFanout(ctx, kind, w.sessions[:w.Clients])
	if err != nil {
		return nil, err
	}
	return &plan{
		workers: 1,
		do: func(ctx context.Context, s *session, i int) error {
			f.send(i)
			return create(ctx, s, i)
		},
		finish: func(ctx context.Context, out *outcome) { f.finish(ctx, out, int(out.latency.Count())*w.Clients) },
		cleanup: func(ctx context.Context, begun int) error {
			f.close()
			return w.remove(ctx, kind, begun, "")
		},
	}, nil
}
