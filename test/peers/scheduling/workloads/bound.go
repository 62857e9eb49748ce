package workloads

import "fmt"

// Clients is how many clients create pods on a server, each of which waits for its pod.
const Clients = 64

// Bound is what was measured of a workload on a server. Times are in milliseconds.
type Bound struct {
	Name      string  `json:"name"`
	Nodes     int     `json:"nodes"`
	Placed    int     `json:"placed"` // pods before the first that was measured
	Pods      int     `json:"pods"`   // that were measured
	PerSecond float64 `json:"perSecond"`
	CPU       float64 `json:"cpu"` // of all processes of the server, a pod
	P50       float64 `json:"p50"` // from created to bound
	P99       float64 `json:"p99"`
	Missing   string  `json:"missing,omitempty"` // what went wrong; the rest then says nothing
}

func (b Bound) String() string {
	if b.Missing != "" {
		return fmt.Sprintf("%-42s %s", b.Name, b.Missing)
	}
	return fmt.Sprintf("%-42s %5d pods: %7.1f a second, %7.3f ms of CPU each, p50 %8.2f ms, p99 %8.2f ms", b.Name, b.Pods, b.PerSecond, b.CPU, b.P50, b.P99)
}
