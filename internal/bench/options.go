package bench

import (
	"fmt"
	"time"

	"k8s.io/utils/clock"
)

// Options is how one scenario is measured. Zero numbers take the scenario's defaults.
type Options struct {
	Target   *Target // nil for ready only
	Clock    clock.Clock
	RunID    string // in the names of all objects of a run; lower-case letters and digits, at most 20
	ProcRoot string // where processes are read, "/proc" unless in a test

	Clients  int           // workers, each with a connection of its own; watchers in scenario watch
	Count    int           // operations, at most 9,999,999; 0 with a Duration: no limit
	Duration time.Duration // how long operations are begun; 0: no limit
	Timeout  time.Duration // of one request, and of one wait for a pod
	Rest     time.Duration // how long memory lets the server rest; 0: a minute

	Namespace string   // "" makes one, and removes it afterwards
	Kind      string   // of create, get, list and patch: pods (that nobody schedules) or configmaps
	Objects   int      // that are there before get, list and patch
	Encoding  string   // protobuf or json
	Gzip      bool     // ask for compressed answers
	Image     string   // of pods
	Args      []string // of pods' containers
	Nodes     int      // that bound makes for itself; 0 uses the nodes that are there

	Program    string // file of a program that knows FloodCommand, for the second process of flood; "" floods from this one
	Exec       string // what ready starts: words, without quoting; {dir} is a fresh directory each time
	ReadyURL   string // what ready asks; "" asks the server of ReadyConfig
	ReadyFrom  string // kubeconfig file of ready, looked for until it is there; {dir} as in Exec
	Processes  []Process
	OnProgress func(step string) // told before each step; nil is silent
}

// prefix begins the names of all objects of the run.
func (o *Options) prefix() string { return "bench-" + o.RunID + "-" }

// complete fills in a scenario's defaults and refuses what makes no sense.
func (o Options) complete(s Scenario) (Options, error) {
	if o.Clients == 0 {
		o.Clients = s.clients
	}
	if o.Count == 0 && o.Duration == 0 {
		o.Count = s.count
	}
	if o.Objects == 0 {
		o.Objects = s.objects
	}
	if o.Rest == 0 {
		o.Rest = defaultRest
	}
	if o.ProcRoot == "" {
		o.ProcRoot = "/proc"
	}
	if o.OnProgress == nil {
		o.OnProgress = func(string) {}
	}
	_, kindKnown := kindNamed(o.Kind)
	_, err := mediaTypeOf(o.Encoding)
	switch {
	case err != nil:
		return o, err
	case o.Clients < 0 || o.Clients > 10_000:
		return o, fmt.Errorf("clients: %d is not in 1 to 10000", o.Clients)
	case o.Count < 0 || o.Count > maxObjects:
		return o, fmt.Errorf("count: %d is not in 1 to %d", o.Count, maxObjects)
	case o.Objects < 0 || o.Objects > maxObjects:
		return o, fmt.Errorf("objects: %d is not in 1 to %d", o.Objects, maxObjects)
	case o.Nodes < 0 || o.Nodes > 100_000:
		return o, fmt.Errorf("nodes: %d is not in 0 to 100000", o.Nodes)
	case o.Duration < 0 || o.Rest < 0 || o.Timeout <= 0:
		return o, fmt.Errorf("duration %v, rest %v and timeout %v: want none below zero, and a timeout above it", o.Duration, o.Rest, o.Timeout)
	case !kindKnown:
		return o, fmt.Errorf("kind %q: want pods or configmaps", o.Kind)
	case !s.offline && o.Target == nil:
		return o, fmt.Errorf("scenario %s needs a server (a kubeconfig)", s.Name)
	case s.offline && o.Exec == "":
		return o, fmt.Errorf("scenario %s needs a command to start (exec)", s.Name)
	}
	return o, nil
}
