package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// line is a workload and what it takes on both sides; 0 is unknown.
type line struct {
	name         string
	theirs, ours float64
}

// A step of the scale is a factor of ten, and takes so many characters.
const stepWidth = 12

// drawing draws bars on a logarithmic scale, two for each line: upstream's, and floe's below it. What is unknown has none.
func drawing(unit string, lines []line) string {
	least, width := math.Inf(1), 0
	for _, l := range lines {
		width = max(width, utf8.RuneCountInString(l.name))
		for _, v := range []float64{l.theirs, l.ours} {
			if v > 0 {
				least = min(least, v)
			}
		}
	}
	if math.IsInf(least, 1) {
		return ""
	}
	from := math.Floor(math.Log10(least)) // the scale begins at a power of ten
	var out strings.Builder
	fmt.Fprintf(&out, "\n```text\n%s: each %d characters are ten times more, upstream ▒, floe █\n", unit, stepWidth)
	for _, l := range lines {
		fmt.Fprintf(&out, "%-*s  %s\n%*s  %s\n", width, l.name, bar("▒", l.theirs, from), width, "", bar("█", l.ours, from))
	}
	out.WriteString("```\n")
	return out.String()
}

func bar(ink string, v, from float64) string {
	if v <= 0 {
		return "-"
	}
	n := int(math.Round((math.Log10(v) - from) * stepWidth))
	return strings.Repeat(ink, max(n, 1)) + " " + cell(v)
}
