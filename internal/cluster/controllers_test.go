package cluster

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/controllers.txt anew")

// TestControllerGraph: who reads and who writes what is in review. With -rewrite the file follows the code.
func TestControllerGraph(t *testing.T) {
	const golden = "testdata/controllers.txt"
	got, err := ControllerGraph()
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("floe controllers prints (-want +got; go test ./internal/cluster -run TestControllerGraph -rewrite):\n%s", diff)
	}
}
