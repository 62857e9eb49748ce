package main

import (
	"fmt"
	"path/filepath"
	"strings"
)

// memoryRows are the steps of scenario memory, in the order of the table, and their names.
var memoryRows = [...][2]string{
	{"before", "before, at rest"}, {"created", "10,000 pods made"}, {"listed", "then listed 60 times: protobuf, gzip, JSON"}, {"rested", "then left alone for a minute"},
}

const memoryPreamble = `
## Memory with 10,000 pods

32 clients make 10,000 pods in a server that has just begun; four list them all, 5 times in each encoding; then nobody asks for anything for a minute. Megabytes
of the server's processes together; the peak is the most since they began, of each. Anonymous is what no file stands behind: heap and stacks.

| when | upstream | of it anonymous | upstream's peak | floe | of it anonymous | floe's peak |
| --- | --- | --- | --- | --- | --- | --- |
`

// step is one element of a scenario's steps, as far as the table needs it.
type step struct {
	Name      string  `json:"step"`
	Resident  float64 `json:"residentBytes"`
	Anonymous float64 `json:"anonymousBytes"`
	Peak      float64 `json:"peakBytes"`
}

// memorySection is the part of the document that says what a server holds.
func memorySection(dir string) (string, error) {
	var out strings.Builder
	out.WriteString(memoryPreamble)
	theirs, err := memorySteps(filepath.Join(dir, "upstream", "memory.json"))
	if err != nil {
		return "", err
	}
	ours, err := memorySteps(filepath.Join(dir, "floe", "memory.json"))
	if err != nil {
		return "", err
	}
	for _, row := range memoryRows {
		fmt.Fprintf(&out, "| %s |", row[1])
		for _, s := range []step{theirs[row[0]], ours[row[0]]} {
			fmt.Fprintf(&out, " %.0f | %.0f | %.0f |", s.Resident/1e6, s.Anonymous/1e6, s.Peak/1e6)
		}
		out.WriteString("\n")
	}
	return out.String(), nil
}

// memorySteps sums the processes of each step that was recorded. All steps are there.
func memorySteps(file string) (map[string]step, error) {
	var all []struct {
		Failed int    `json:"failed"`
		Steps  []step `json:"steps"`
	}
	if err := readJSON(file, &all); err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0].Failed > 0 {
		return nil, fmt.Errorf("%s: want one scenario in which nothing failed", file)
	}
	sums := map[string]step{}
	for _, s := range all[0].Steps {
		sum := sums[s.Name]
		sums[s.Name] = step{Name: s.Name, Resident: sum.Resident + s.Resident, Anonymous: sum.Anonymous + s.Anonymous, Peak: sum.Peak + s.Peak}
	}
	for _, row := range memoryRows {
		if sums[row[0]].Resident == 0 {
			return nil, fmt.Errorf("%s: step %s is not recorded", file, row[0])
		}
	}
	return sums, nil
}
