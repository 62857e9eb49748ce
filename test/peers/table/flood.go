package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

const floodPreamble = `
## One user in another's flood

One user lists 300 pods, one call after the other, first alone and then while 64 connections of another user do the same as fast as they are answered
(` + "`floe bench flood`" + `; who floods has a process of its own that takes of the processors what others leave, as if it were on another machine). Milliseconds of the quiet user.
What fairness does about it, and what it cannot: [fairness.md](fairness.md).

| server | p50 alone | in the flood | times | p99 alone | in the flood | times | flood per s |
| --- | --- | --- | --- | --- | --- | --- | --- |
`

// floodSection is the part of the document that says what a flood costs others. A server that was not asked has no row.
func floodSection(dir string) (string, error) {
	var out strings.Builder
	out.WriteString(floodPreamble)
	for _, server := range []string{"upstream", "floe"} {
		file := filepath.Join(dir, server, "flood.json")
		var all []struct {
			scenario
			Flood struct {
				Quiet        map[string]float64 `json:"quietMilliseconds"`
				Ratio50      float64            `json:"p50Ratio"`
				Ratio99      float64            `json:"p99Ratio"`
				FloodsPerSec float64            `json:"floodPerSecond"`
			} `json:"flood"`
		}
		if err := readJSON(file, &all); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return "", err
		}
		if len(all) != 1 || all[0].Failed > 0 || all[0].Flood.Ratio99 == 0 {
			return "", fmt.Errorf("%s: want one flood in which nothing failed", file)
		}
		s, f := all[0].scenario, all[0].Flood
		fmt.Fprintf(&out, "| %s | %.2f | %.2f | %.1f | %.2f | %.2f | %.1f | %.0f |\n", server, f.Quiet["p50"], s.Milliseconds["p50"], f.Ratio50,
			f.Quiet["p99"], s.Milliseconds["p99"], f.Ratio99, f.FloodsPerSec)
	}
	return out.String(), nil
}
