package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what one scenario showed. Times are in milliseconds, sizes in bytes.
type Report struct {
	Scenario   string          `json:"scenario"`
	Server     string          `json:"server"`            // its address, or the command that was started
	Version    string          `json:"version,omitempty"` // as GET /version says
	Unit       string          `json:"unit"`              // what an operation is
	Clients    int             `json:"clients"`
	Encoding   string          `json:"encoding"`
	Gzip       bool            `json:"gzip,omitempty"`
	Objects    int             `json:"objects,omitempty"`
	Nodes      int             `json:"nodes,omitempty"`
	Operations uint64          `json:"operations"` // that succeeded
	Seconds    float64         `json:"seconds"`
	Rate       float64         `json:"operationsPerSecond"`
	Bytes      int64           `json:"bytesRead"`
	Latency    Latency         `json:"latencyMilliseconds"`
	Failed     int             `json:"failed"`
	Errors     errorCounts     `json:"errors,omitempty"` // by class
	Processes  []ProcessReport `json:"processes,omitempty"`
	Steps      []Step          `json:"steps,omitempty"` // of scenario memory
	Flood      *Flood          `json:"flood,omitempty"` // of scenario flood
}

// Latency is that of the operations that succeeded, in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
}

// ProcessReport is what a local server process used during the measurement, and held at its end.
type ProcessReport struct {
	Name            string  `json:"name"`
	PID             int     `json:"pid,omitempty"`
	CPUMilliseconds float64 `json:"cpuMilliseconds"`
	CPUPerOperation float64 `json:"cpuMillisecondsPerOperation"`
	Memory
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *Report) fill(out *outcome) {
	h := &out.latency
	r.Operations, r.Bytes, r.Seconds = h.Count(), out.bytes, out.elapsed.Seconds()
	r.Failed, r.Errors = out.errors.total(), out.errors
	if r.Seconds > 0 {
		r.Rate = float64(r.Operations) / r.Seconds
	}
	r.Latency = latencyOf(h)
}

func latencyOf(h *Histogram) Latency {
	return Latency{
		P50: milliseconds(h.Quantile(0.50)), P90: milliseconds(h.Quantile(0.90)), P99: milliseconds(h.Quantile(0.99)),
		Max: milliseconds(h.Max()), Mean: milliseconds(h.Mean()),
	}
}

func processReport(p Process, cpu time.Duration, m Memory, operations uint64) ProcessReport {
	r := ProcessReport{Name: p.Name, PID: p.PID, CPUMilliseconds: milliseconds(cpu), Memory: m}
	if operations > 0 {
		r.CPUPerOperation = r.CPUMilliseconds / float64(operations)
	}
	return r
}

// WriteTable writes reports for people: one line each, and below it its processes and errors.
func WriteTable(to io.Writer, reports []*Report) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(table, format, args...) } // tabwriter gives its error at Flush
	line("SCENARIO\tCLIENTS\tOK\tFAILED\tPER SECOND\tP50 ms\tP90 ms\tP99 ms\tMAX ms\tREAD MB/s\n")
	for _, r := range reports {
		speed := 0.0
		if r.Seconds > 0 {
			speed = float64(r.Bytes) / 1e6 / r.Seconds
		}
		line("%s\t%d\t%d\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\n", r.Scenario, r.Clients, r.Operations, r.Failed, r.Rate,
			r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max, speed)
	}
	if slices.ContainsFunc(reports, func(r *Report) bool { return len(r.Processes) > 0 }) {
		line("\nSCENARIO\tPROCESS\tCPU ms\tCPU ms PER OPERATION\tRESIDENT MB\tANONYMOUS MB\tPSS MB\n")
	}
	for _, r := range reports {
		for _, p := range r.Processes {
			line("%s\t%s\t%.0f\t%.4f per %s\t%.1f\t%.1f\t%.1f\n", r.Scenario, p.Name, p.CPUMilliseconds, p.CPUPerOperation, r.Unit,
				float64(p.Resident)/1e6, float64(p.Anonymous)/1e6, float64(p.Share)/1e6)
		}
	}
	if slices.ContainsFunc(reports, func(r *Report) bool { return len(r.Steps) > 0 }) {
		line("\nSTEP\tPROCESS\tRESIDENT MB\tANONYMOUS MB\tPSS MB\tPEAK MB\n")
	}
	for _, r := range reports {
		for _, s := range r.Steps {
			line("%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\n", s.Name, s.Process, float64(s.Resident)/1e6, float64(s.Anonymous)/1e6, float64(s.Share)/1e6, float64(s.Peak)/1e6)
		}
	}
	if slices.ContainsFunc(reports, func(r *Report) bool { return r.Flood != nil }) {
		line("\nSCENARIO\tQUIET P50 ms\tIN FLOOD\tTIMES\tQUIET P99 ms\tIN FLOOD\tTIMES\tFLOOD PER SECOND\tREFUSED\n")
	}
	for _, r := range reports {
		if f := r.Flood; f != nil {
			line("%s\t%.2f\t%.2f\t%.1f\t%.2f\t%.2f\t%.1f\t%.1f\t%d\n", r.Scenario, f.Quiet.P50, r.Latency.P50, f.Ratio50,
				f.Quiet.P99, r.Latency.P99, f.Ratio99, f.Rate, f.Refused)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range reports {
		classes := slices.SortedFunc(maps.Keys(r.Errors), func(a, b string) int { return cmp.Compare(r.Errors[b].Count, r.Errors[a].Count) })
		for _, class := range classes {
			if _, err := fmt.Fprintf(to, "%s: %d x %s, such as: %s\n", r.Scenario, r.Errors[class].Count, class, r.Errors[class].Example); err != nil {
				return err
			}
		}
	}
	return nil
}
