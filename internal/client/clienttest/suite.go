// Package clienttest is the contract of client.Client as a suite that every implementation runs, and that its users may read as its
// description.
//
// # Vocabulary
//
// A harness is an API and the ways to it that an implementation gives the suite. A trial is one named promise, tried on a harness of
// its own. The bench is what a trial works with: an administrator's client, objects to write, and what the trial has written so far.
//
// # Laws
//
//   - A trial knows nothing but client.Client and Harness. What an implementation may do, a lagging view above all, no trial forbids: it
//     waits with the means that any component has.
//   - A trial's outcome does not hang on the clock. What never comes ends the trial with its deadline.
//
// # What it leaves to others
//
// What is an implementation's own, such as what it does with resources that it was not made for, is tried beside it. What each kind
// checks and defaults belongs to kinds and api: here stands only enough of it to see that a client's call goes all the way.
package clienttest

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/client"
)

// Harness is an API of a trial's own: with the namespaces default and kube-system, upstream's bootstrap rights, and nothing that writes
// by itself (no controllers, no scheduler). It ends with the test that it was made for.
type Harness struct {
	// Client returns a client that acts as user, who is authenticated and in groups beside. One of group system:masters is made for Resources.
	Client func(user string, groups ...string) client.Client
	// Newest returns who the log's newest record of key, such as "/registry/pods/default/a", names as its actor, and the cause there. The
	// record may be a deletion. It fails t when there is none.
	Newest func(t *testing.T, key string) (actor, cause string)
	// Expire makes the changes up to now be kept no longer, so that streams from before end as expired.
	Expire func(t *testing.T)
}

// Resources are what the suite views and watches.
func Resources() []client.Resource {
	return []client.Resource{configMaps(), deployments(), events(), leases(), namespaces(), nodes(), pods()}
}

func configMaps() client.Resource  { return corev1.SchemeGroupVersion.WithResource("configmaps") }
func deployments() client.Resource { return appsv1.SchemeGroupVersion.WithResource("deployments") }
func events() client.Resource      { return corev1.SchemeGroupVersion.WithResource("events") }
func leases() client.Resource      { return coordinationv1.SchemeGroupVersion.WithResource("leases") }
func namespaces() client.Resource  { return corev1.SchemeGroupVersion.WithResource("namespaces") }
func nodes() client.Resource       { return corev1.SchemeGroupVersion.WithResource("nodes") }
func pods() client.Resource        { return corev1.SchemeGroupVersion.WithResource("pods") }

// trial is one promise of the contract.
type trial struct {
	name string
	run  func(b *bench)
}

// Run tries the whole contract. fresh makes an API of its own for each trial.
func Run(t *testing.T, fresh func(t *testing.T) Harness) {
	for _, part := range []struct {
		name   string
		trials []trial
	}{
		{"get", getTrials()},
		{"create", createTrials()},
		{"update", updateTrials()},
		{"patch", patchTrials()},
		{"apply", applyTrials()},
		{"delete", deleteTrials()},
		{"bind", bindTrials()},
		{"view", viewTrials()},
		{"watch", watchTrials()},
		{"identity and cause", identityTrials()},
		{"many at once", crowdTrials()},
	} {
		t.Run(part.name, func(t *testing.T) {
			for _, trial := range part.trials {
				t.Run(trial.name, func(t *testing.T) { trial.run(newBench(t, fresh(t))) })
			}
		})
	}
}
