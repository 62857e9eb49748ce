package network

import (
	"os"
	"testing"

	"github.com/floe-k8s/floe/test/alone"
)

// TestMain runs the tests in a network namespace of their own: every link, route and rule ends with it.
func TestMain(m *testing.M) {
	if alone.Inside() == "" {
		os.Exit(alone.Again("network"))
	}
	os.Exit(m.Run())
}
