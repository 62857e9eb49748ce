package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// line is one of those that matter in what etcd's tool prints with --precise:
//
//	Total:	0.52 secs.
//	Slowest:	0.031 secs.
//	Requests/sec:	19230.7
//	50% in 0.0121 secs.
var line = regexp.MustCompile(`(?m)^\s*(Total:|Slowest:|Requests/sec:|50% in|99% in)\s+(\S+?)(?: secs\.)?$`)

// readReport reads the times and the rate that etcd's tool printed. A report that names errors is refused.
func readReport(text string) (result, error) {
	if _, failures, found := strings.Cut(text, "Error distribution:"); found {
		return result{}, fmt.Errorf("requests failed: %s", strings.TrimSpace(failures))
	}
	found := map[string]float64{}
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return result{}, fmt.Errorf("report: %s %w", m[1], err)
		}
		found[m[1]] = n
	}
	for _, name := range [...]string{"Total:", "Slowest:", "Requests/sec:", "50% in", "99% in"} {
		if found[name] <= 0 {
			return result{}, fmt.Errorf("report: no %s in %q", name, text)
		}
	}
	const ms = 1000
	return result{
		Seconds: found["Total:"], Rate: found["Requests/sec:"],
		Latency: latency{P50: found["50% in"] * ms, P99: found["99% in"] * ms, Max: found["Slowest:"] * ms},
	}, nil
}
