// Command report reads what ginkgo reports of a run, and holds it against the list of specs that pass.
//
//	report REPORT.json PASSING.txt
//
// It prints what passes and is not listed, and what is listed and did not pass; the latter fails it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2/types"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: report REPORT.json PASSING.txt")
		os.Exit(2)
	}
	failed, err := compare(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func compare(report, list string) (failed bool, err error) {
	data, err := os.ReadFile(report)
	if err != nil {
		return false, err
	}
	var suites []types.Report
	if err := json.Unmarshal(data, &suites); err != nil {
		return false, fmt.Errorf("%s: %w", report, err)
	}
	text, err := os.ReadFile(list)
	if err != nil {
		return false, err
	}
	listed := strings.Split(strings.TrimSpace(string(text)), "\n")
	passed := 0
	for _, suite := range suites {
		for _, spec := range suite.SpecReports.WithLeafNodeType(types.NodeTypeIt) {
			if spec.State.Is(types.SpecStateSkipped | types.SpecStatePending) {
				continue
			}
			name, known := spec.FullText(), slices.Contains(listed, spec.FullText())
			switch ok := spec.State.Is(types.SpecStatePassed); {
			case ok && !known:
				fmt.Println("passes and is not listed:", name)
				passed++
			case ok:
				passed++
			case known:
				fmt.Printf("is listed and did not pass (%s): %s\n", spec.State, name)
				failed = true
			default:
				fmt.Printf("does not pass yet (%s): %s\n", spec.State, name)
			}
		}
	}
	fmt.Printf("%d specs passed\n", passed)
	return failed, nil
}
