// Package all lists every kind that floe serves, in the order in which discovery shows them.
//
// It is the one place where kinds come together: what is in the program is visible here, and nothing registers itself. Adding a kind is
// adding a line. The folders beside this one hold more kinds than are listed: one that is defaulted and checked but that nothing acts upon yet would
// only pretend, and is listed when that is there.
package all

import (
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/apps"
	"github.com/floe-k8s/floe/internal/kinds/coordination"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// Kinds returns new values that the caller owns.
func Kinds() []*kinds.Kind {
	return []*kinds.Kind{
		core.ConfigMap(),
		core.Event(),
		core.Namespace(),
		core.Node(),
		core.Pod(),
		apps.Deployment(),
		apps.ReplicaSet(),
		coordination.Lease(),
	}
}
