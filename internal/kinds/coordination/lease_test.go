package coordination_test

import (
	"reflect"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/coordination"
)

func p[T any](v T) *T { return &v }

func TestLeaseRefusals(t *testing.T) {
	type strategy = coordinationv1.CoordinatedLeaseStrategy
	for name, c := range map[string]struct {
		spec coordinationv1.LeaseSpec
		want []string
	}{
		"empty":         {coordinationv1.LeaseSpec{}, nil},
		"good":          {coordinationv1.LeaseSpec{LeaseDurationSeconds: p[int32](1), LeaseTransitions: p[int32](0), Strategy: p[strategy]("OldestEmulationVersion")}, nil},
		"a user's":      {coordinationv1.LeaseSpec{Strategy: p[strategy]("example.com/mine"), PreferredHolder: p("a")}, nil},
		"no time":       {coordinationv1.LeaseSpec{LeaseDurationSeconds: p[int32](0)}, []string{"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"}},
		"transitions":   {coordinationv1.LeaseSpec{LeaseTransitions: p[int32](-1)}, []string{"spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0"}},
		"odd strategy":  {coordinationv1.LeaseSpec{Strategy: p[strategy]("Odd")}, []string{`spec.strategy.strategy: Unsupported value: "Odd": supported values: "OldestEmulationVersion"`}},
		"only a holder": {coordinationv1.LeaseSpec{PreferredHolder: p("a")}, []string{"spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined"}},
		"nobody":        {coordinationv1.LeaseSpec{PreferredHolder: p("")}, nil},
	} {
		var got []string
		for _, e := range coordination.Lease().Validate(&coordinationv1.Lease{Spec: c.spec}) {
			got = append(got, e.Error())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestLeaseElection: the fields of coordinated leader election, which is off, are not taken, and are kept where they are.
func TestLeaseElection(t *testing.T) {
	k := coordination.Lease()
	lease := func() *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{Strategy: p(coordinationv1.OldestEmulationVersion), PreferredHolder: p("a"), HolderIdentity: p("b")}}
	}
	none := &coordinationv1.Lease{}
	made, set, kept := lease(), lease(), lease()
	k.PrepareCreate(kinds.Env{}, made)
	k.PrepareUpdate(kinds.Env{}, set, none)
	k.PrepareUpdate(kinds.Env{}, kept, lease())
	for name, got := range map[string]*coordinationv1.Lease{"created": made, "updated": set} {
		if got.Spec.Strategy != nil || got.Spec.PreferredHolder != nil || *got.Spec.HolderIdentity != "b" {
			t.Errorf("%s: %+v", name, got.Spec)
		}
	}
	if !reflect.DeepEqual(kept, lease()) {
		t.Errorf("kept: %+v", kept.Spec)
	}
	holder := k.Columns[1].Cell
	if got, empty := holder(kinds.Env{}, made), holder(kinds.Env{}, none); got != "b" || empty != "" {
		t.Errorf("holder: %v, %q", got, empty)
	}
}
