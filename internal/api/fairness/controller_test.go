package fairness

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	mandatory "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
)

func ptr[T any](v T) *T { return &v }

// limited is a level with so many shares; queues 0: it refuses.
func limited(name string, shares, queues, length int32) *flowcontrolv1.PriorityLevelConfiguration {
	spec := &flowcontrolv1.LimitedPriorityLevelConfiguration{NominalConcurrencyShares: &shares, LimitResponse: flowcontrolv1.LimitResponse{Type: "Reject"}}
	if queues > 0 {
		spec.LimitResponse = flowcontrolv1.LimitResponse{Type: "Queue", Queuing: &flowcontrolv1.QueuingConfiguration{Queues: queues, HandSize: 1, QueueLengthLimit: length}}
	}
	return &flowcontrolv1.PriorityLevelConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "level-uid"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{Type: "Limited", Limited: spec},
	}
}

// everyone is a schema for all requests.
func everyone(name, level string, precedence int32) *flowcontrolv1.FlowSchema {
	return &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "schema-uid"}, Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level}, MatchingPrecedence: precedence,
		DistinguisherMethod: &flowcontrolv1.FlowDistinguisherMethod{Type: "ByUser"},
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:         []flowcontrolv1.Subject{{Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "*"}}},
			ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, ClusterScope: true, Namespaces: []string{"*"}}},
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}},
		}},
	}}
}

func get(user string) Call {
	return Call{User: auth.User{Name: user, Groups: []string{auth.Authenticated}}, Attributes: auth.Attributes{Verb: "get", Version: "v1", Resource: "pods", Namespace: "a", Name: "x"}}
}

func controller(seats int) *Controller {
	return New(Config{Clock: clock.RealClock{}, Log: observe.Discard(), Seats: seats})
}

// dumped is a page with all details.
func dumped(t *testing.T, c *Controller, name string) string {
	t.Helper()
	var b strings.Builder
	if found, err := c.Dump(&b, name, true); !found || err != nil {
		t.Fatal(name, found, err)
	}
	return b.String()
}

// TestWaiting: who finds no seat waits for one, gives up when patience or the client's own end, and is refused when too many wait.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controller(1)
		c.Configure([]*flowcontrolv1.FlowSchema{everyone("all", "one", 2)}, []*flowcontrolv1.PriorityLevelConfiguration{limited("one", 100, 1, 2)})
		enter := func(ctx context.Context, patience time.Duration) (*Ticket, chan bool) {
			ticket, got := &Ticket{}, make(chan bool, 1)
			go func() { got <- c.Enter(ctx, ticket, get("u"), patience) }()
			synctest.Wait()
			return ticket, got
		}
		first, in := enter(t.Context(), time.Hour)
		if !<-in {
			t.Fatal("an empty level refused")
		}
		// The catch-all level has 5 of 105 shares and gets a seat, too; this one has its own.
		var holders []*Ticket
		for len(holders) < 10 {
			ticket, got := enter(t.Context(), time.Hour)
			holders = append(holders, ticket)
			select {
			case let := <-got:
				if !let {
					t.Fatal("refused with room to wait")
				}
			default:
				goto full
			}
		}
		t.Fatal("a level with a seat let ten in")
	full:
		ctx, cancel := context.WithCancel(t.Context())
		_, canceled := enter(ctx, time.Hour)
		_, refusedNow := enter(t.Context(), time.Hour)
		if <-refusedNow {
			t.Fatal("let in beyond the length of the queue")
		}
		cancel()
		if <-canceled {
			t.Fatal("let in after its client had gone")
		}
		began := time.Now()
		late, impatient := enter(t.Context(), 3*time.Second)
		if <-impatient || time.Since(began) != 3*time.Second {
			t.Fatalf("let in, or gave up after %v", time.Since(began))
		}
		if schema, level := late.Matched(); schema[0] != "schema-uid" || level[0] != "level-uid" {
			t.Errorf("it matched %v at %v", schema, level)
		}
		first.Leave()
		first.Leave() // does nothing
		synctest.Wait()
		got := dumped(t, c, "dump_priority_levels")
		want := "one,               0,           false, false,      0,              1,                2,                 3,               0,               2"
		if !strings.Contains(strings.Join(strings.Fields(got), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("got\n%s", got)
		}
		holders[len(holders)-1].Leave()
	})
}

// TestLevelsComeAndGo: a level that is stored no more serves those who wait there, and nobody else.
func TestLevelsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controller(10)
		schemas := []*flowcontrolv1.FlowSchema{everyone("all", "short", 2)}
		c.Configure(schemas, []*flowcontrolv1.PriorityLevelConfiguration{limited("short", 30, 4, 5)})
		var ticket, other Ticket
		if !c.Enter(t.Context(), &ticket, get("u"), time.Second) || ticket.level.name != "short" {
			t.Fatal("not at its level")
		}
		c.Configure(schemas, nil)
		if got := dumped(t, c, "dump_priority_levels"); !strings.Contains(got, "short,") || !strings.Contains(got, "true,") {
			t.Errorf("the level is gone while a request runs:\n%s", got)
		}
		if !c.Enter(t.Context(), &other, get("u"), time.Second) || other.level.name != "catch-all" {
			t.Fatal("a schema that dangles has a request")
		}
		other.Leave()
		ticket.Leave()
		c.Adjust()
		if got := dumped(t, c, "dump_priority_levels"); strings.Contains(got, "short,") {
			t.Errorf("the level is still there:\n%s", got)
		}
		if got := ticket.level.arrive(&Ticket{call: get("u"), tally: newTally("all"), width: Width{Initial: 1}}, 0); got != moved {
			t.Errorf("a level that is gone says %v", got)
		}
		c.Configure(schemas, []*flowcontrolv1.PriorityLevelConfiguration{limited("short", 30, 4, 5), {ObjectMeta: metav1.ObjectMeta{Name: "broken"}}})
		if got := dumped(t, c, "dump_queues"); !strings.Contains(got, "short,") || strings.Contains(got, "broken") {
			t.Errorf("got\n%s", got)
		}
	})
}

// TestNobodyIsWithoutALevel: whatever was stored under the names of the mandatory objects, everybody has a flow schema.
func TestNobodyIsWithoutALevel(t *testing.T) {
	c := controller(10)
	broken := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "catch-all"}}
	c.Configure([]*flowcontrolv1.FlowSchema{everyone("catch-all", "nowhere", 10000)}, []*flowcontrolv1.PriorityLevelConfiguration{broken})
	for _, user := range []auth.User{{}, {Name: "u", Groups: []string{auth.Masters}}, {Name: "v", Groups: []string{auth.Unauthenticated}}} {
		var ticket Ticket
		call := get("")
		call.User = user
		if !c.Enter(t.Context(), &ticket, call, time.Second) {
			t.Errorf("%+v was refused", user)
		}
		ticket.Leave()
	}
}

// TestSuggestedSeats are upstream's for its own configuration and limits.
func TestSuggestedSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controller(600)
		c.Configure(mandatory.SuggestedFlowSchemas, mandatory.SuggestedPriorityLevelConfigurations)
		got := map[string][4]int{}
		for _, l := range c.current.Load().levels {
			got[l.name] = [4]int{l.nominal, l.least, l.most, int(l.mostSeats.Load())}
		}
		for name, want := range map[string][4]int{
			"catch-all": {13, 13, 613, 0}, "exempt": {0, 0, 600, 0}, "global-default": {49, 24, 649, 8}, "leader-election": {25, 25, 625, 4},
			"node-high": {98, 73, 698, 15}, "system": {74, 50, 674, 12}, "workload-high": {98, 49, 698, 15}, "workload-low": {245, 24, 845, 37},
		} {
			if got[name] != want {
				t.Errorf("%s: nominal, least, most seats, and those of a request: got %v, want %v", name, got[name], want)
			}
		}
	})
}

// TestBorrowing: a level that wants more gets what others have not wanted.
func TestBorrowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controller(100)
		busy, quiet := limited("busy", 50, 4, 100), limited("quiet", 50, 4, 100)
		quiet.Spec.Limited.LendablePercent = ptr(int32(80))
		c.Configure([]*flowcontrolv1.FlowSchema{everyone("all", "busy", 2)}, []*flowcontrolv1.PriorityLevelConfiguration{busy, quiet})
		done := make(chan bool)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 200 {
			go func() {
				ticket := &Ticket{}
				done <- c.Enter(ctx, ticket, get(fmt.Sprint("u", i)), time.Hour)
			}()
		}
		synctest.Wait()
		for range 30 {
			time.Sleep(lending)
			c.Adjust()
		}
		levels := map[string]*level{}
		for _, l := range c.current.Load().levels {
			levels[l.name] = l
		}
		if b, q := levels["busy"].current, levels["quiet"].current; q != levels["quiet"].least || b < 80 {
			t.Errorf("busy has %d seats, quiet %d of at least %d", b, q, levels["quiet"].least)
		}
		synctest.Wait()
		if m := &levels["busy"].machine; m.running != levels["busy"].current {
			t.Errorf("%d run on %d seats", m.running, levels["busy"].current)
		}
		cancel()
		for range 200 {
			<-done
		}
	})
}

func TestMatch(t *testing.T) {
	resource := func(change func(*flowcontrolv1.ResourcePolicyRule)) flowcontrolv1.FlowSchemaSpec {
		r := flowcontrolv1.ResourcePolicyRule{Verbs: []string{"get"}, APIGroups: []string{"apps"}, Resources: []string{"deployments", "deployments/scale"}, Namespaces: []string{"a"}}
		change(&r)
		return flowcontrolv1.FlowSchemaSpec{Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:      []flowcontrolv1.Subject{{Kind: "User", User: &flowcontrolv1.UserSubject{Name: "*"}}},
			ResourceRules: []flowcontrolv1.ResourcePolicyRule{r},
		}}}
	}
	subject := func(s flowcontrolv1.Subject) flowcontrolv1.FlowSchemaSpec {
		spec := everyone("x", "y", 1).Spec
		spec.Rules[0].Subjects = []flowcontrolv1.Subject{s}
		return spec
	}
	path := func(urls ...string) flowcontrolv1.FlowSchemaSpec {
		spec := everyone("x", "y", 1).Spec
		spec.Rules[0].NonResourceRules[0].NonResourceURLs = urls
		return spec
	}
	account := func(namespace, name string) flowcontrolv1.FlowSchemaSpec {
		return subject(flowcontrolv1.Subject{Kind: "ServiceAccount", ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: namespace, Name: name}})
	}
	same := func(*flowcontrolv1.ResourcePolicyRule) {}
	user := auth.User{Name: "system:serviceaccount:a:b", Groups: []string{"g"}}
	deployment := auth.Attributes{Verb: "get", Group: "apps", Resource: "deployments", Namespace: "a"}
	with := func(change func(*auth.Attributes)) auth.Attributes {
		a := deployment
		change(&a)
		return a
	}
	at := func(p string) auth.Attributes { return auth.Attributes{Verb: "get", Path: p} }
	for name, c := range map[string]struct {
		spec flowcontrolv1.FlowSchemaSpec
		a    auth.Attributes
		want bool
	}{
		"all of it":         {resource(same), deployment, true},
		"verb":              {resource(same), with(func(a *auth.Attributes) { a.Verb = "list" }), false},
		"group":             {resource(same), with(func(a *auth.Attributes) { a.Group = "" }), false},
		"namespace":         {resource(same), with(func(a *auth.Attributes) { a.Namespace = "b" }), false},
		"cluster":           {resource(same), with(func(a *auth.Attributes) { a.Namespace = "" }), false},
		"cluster scope":     {resource(func(r *flowcontrolv1.ResourcePolicyRule) { r.ClusterScope = true }), with(func(a *auth.Attributes) { a.Namespace = "" }), true},
		"subresource":       {resource(same), with(func(a *auth.Attributes) { a.Subresource = "scale" }), true},
		"other subresource": {resource(same), with(func(a *auth.Attributes) { a.Subresource = "status" }), false},
		"stars":             {everyone("x", "y", 1).Spec, with(func(a *auth.Attributes) { a.Subresource = "status" }), true},
		"resource by path":  {resource(same), at("/apis"), false},
		"path":              {path("/healthz"), at("/healthz"), true},
		"below it":          {path("/healthz"), at("/healthz/ping"), true},
		"beside it":         {path("/healthz"), at("/healthzz"), false},
		"below a star":      {path("/openapi/*"), at("/openapi/v2"), true},
		"star and itself":   {path("/openapi/*"), at("/openapi"), false},
		"root":              {path("/"), at("/metrics"), true},
		"account":           {account("a", "b"), deployment, true},
		"all accounts":      {account("a", "*"), deployment, true},
		"other account":     {account("a", "c"), deployment, false},
		"begins alike":      {account("", "*"), deployment, false},
		"member":            {subject(flowcontrolv1.Subject{Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "g"}}), deployment, true},
		"no member":         {subject(flowcontrolv1.Subject{Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "h"}}), deployment, false},
		"no subject":        {subject(flowcontrolv1.Subject{Kind: "Group"}), deployment, false},
	} {
		if got := matches(&c.spec, &user, &c.a); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// TestMetricsHaveUpstreamsNames after a request of each sort.
func TestMetricsHaveUpstreamsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controller(600)
		var ticket Ticket
		c.Enter(t.Context(), &ticket, get("u"), time.Second)
		time.Sleep(time.Second)
		r := prometheus.NewRegistry()
		r.MustRegister(NewMetrics(c))
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, f := range families {
			got[strings.TrimPrefix(f.GetName(), "apiserver_flowcontrol_")] = true
		}
		for _, name := range strings.Fields(`current_executing_requests current_executing_seats current_limit_seats current_r demand_seats demand_seats_average
			demand_seats_high_watermark demand_seats_smoothed demand_seats_stdev dispatched_requests_total lower_limit_seats nominal_limit_seats
			priority_level_request_utilization priority_level_seat_utilization read_vs_write_current_requests request_concurrency_in_use request_concurrency_limit
			seat_fair_frac target_seats upper_limit_seats work_estimated_seats request_wait_duration_seconds`) {
			if !got[name] {
				t.Errorf("%s is missing", name)
			}
		}
		ticket.Leave()
	})
}

// BenchmarkEnter is what a request pays that finds a seat.
func BenchmarkEnter(b *testing.B) {
	c := controller(600)
	c.Configure(mandatory.SuggestedFlowSchemas, mandatory.SuggestedPriorityLevelConfigurations)
	call := get("somebody")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var ticket Ticket
		for pb.Next() {
			ticket = Ticket{}
			if c.Enter(b.Context(), &ticket, call, time.Minute) {
				ticket.Leave()
			}
		}
	})
}

// TestEnterAllocatesNothing while there is room.
func TestEnterAllocatesNothing(t *testing.T) {
	c := controller(600)
	c.Configure(mandatory.SuggestedFlowSchemas, mandatory.SuggestedPriorityLevelConfigurations)
	call, ticket := get("somebody"), &Ticket{}
	if n := testing.AllocsPerRun(100, func() {
		*ticket = Ticket{}
		c.Enter(t.Context(), ticket, call, time.Minute)
		ticket.Leave()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
