package wire_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	mandatory "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

const (
	floodClients = 64
	floodPods    = 300
)

// readsAs reads a path as a user over HTTP and returns how long it took.
func (s *served) readsAs(b *testing.B, client *http.Client, user, path string) time.Duration {
	began := time.Now()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		b.Error(err)
		return 0
	}
	req.Header.Set("X-User", user)
	resp, err := client.Do(req)
	if err != nil {
		return 0 // the flood is over
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTooManyRequests {
		b.Errorf("%s got %s", user, resp.Status)
	}
	return time.Since(began)
}

func schemaNamed(name string) *flowcontrolv1.FlowSchema {
	i := slices.IndexFunc(mandatory.SuggestedFlowSchemas, func(o *flowcontrolv1.FlowSchema) bool { return o.Name == name })
	return mandatory.SuggestedFlowSchemas[i]
}

// lendsNothing is one of upstream's levels, with the same seats always.
func lendsNothing(name string) *flowcontrolv1.PriorityLevelConfiguration {
	i := slices.IndexFunc(mandatory.SuggestedPriorityLevelConfigurations, func(o *flowcontrolv1.PriorityLevelConfiguration) bool { return o.Name == name })
	level, none := mandatory.SuggestedPriorityLevelConfigurations[i].DeepCopy(), int32(0)
	level.Spec.Limited.LendablePercent, level.Spec.Limited.BorrowingLimitPercent = &none, &none
	return level
}

// BenchmarkFlood lists 300 pods as one user, first alone and then while 64 clients of another do the same as fast as they can, with as many seats as
// there are processors. It reports p99 of both, in microseconds, and how they compare; with seats for everybody, as with none, the flood has the machine.
func BenchmarkFlood(b *testing.B) {
	for _, c := range []struct {
		seats      int
		what, path string
	}{
		{runtime.GOMAXPROCS(0), "get", "/api/v1/namespaces/default/pods/p1"}, {600, "get", "/api/v1/namespaces/default/pods/p1"},
		{runtime.GOMAXPROCS(0), "list", "/api/v1/namespaces/default/pods"}, {600, "list", "/api/v1/namespaces/default/pods"},
	} {
		b.Run(fmt.Sprintf("%s/seats=%d", c.what, c.seats), func(b *testing.B) {
			seats, what := c.seats, c.path
			s, control := fair(b, seats, clock.RealClock{}, func(r *http.Request) (auth.User, bool, error) {
				return auth.User{Name: r.Header.Get("X-User"), Groups: []string{auth.Masters, auth.Authenticated}}, true, nil
			})
			control.Configure([]*flowcontrolv1.FlowSchema{nobodyExempt(), schemaNamed("global-default")}, []*flowcontrolv1.PriorityLevelConfiguration{lendsNothing("global-default")})
			for i := range floodPods {
				s.ask(b, http.MethodPost, "/api/v1/namespaces/default/pods", "application/json", fmt.Sprintf(benchPod, fmt.Sprint("p", i)))
			}
			measure := func() (p50, p99 time.Duration) {
				client, took := &http.Client{Transport: &http.Transport{}}, make([]time.Duration, 0, 400)
				defer client.CloseIdleConnections()
				for range cap(took) {
					took = append(took, s.readsAs(b, client, "quiet", what))
				}
				slices.Sort(took)
				return took[len(took)/2], took[len(took)*99/100]
			}
			for b.Loop() {
				alone50, alone := measure()
				var flood sync.WaitGroup
				end := make(chan struct{})
				for range floodClients {
					flood.Go(func() {
						client := &http.Client{Transport: &http.Transport{}}
						defer client.CloseIdleConnections()
						for {
							select {
							case <-end:
								return
							default:
								s.readsAs(b, client, "flood", what)
							}
						}
					})
				}
				flooded50, flooded := measure()
				close(end)
				flood.Wait()
				b.ReportMetric(float64(alone.Microseconds()), "quiet-p99-µs")
				b.ReportMetric(float64(flooded.Microseconds()), "flooded-p99-µs")
				b.ReportMetric(float64(alone50.Microseconds()), "quiet-p50-µs")
				b.ReportMetric(float64(flooded50.Microseconds()), "flooded-p50-µs")
				b.ReportMetric(float64(flooded)/float64(alone), "times")
			}
		})
	}
}
