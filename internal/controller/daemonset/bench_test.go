package daemonset

import (
	"fmt"
	"testing"
)

// BenchmarkDecide: a round of a set at rest on 5,000 nodes, as each change of one of its pods asks for.
func BenchmarkDecide(b *testing.B) {
	in := state(nil)
	for i := range 5000 {
		name := fmt.Sprintf("n%04d", i)
		in.Nodes = append(in.Nodes, nodesOf(name+" maybe")...)
		in.Pods = append(in.Pods, podOf("p "+name))
	}
	for b.Loop() {
		if dec, err := Decide(in, now); err != nil || len(dec.Create)+len(dec.Delete) > 0 {
			b.Fatal(dec, err)
		}
	}
}
