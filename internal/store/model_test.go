package store_test

import (
	"testing"

	"github.com/floe-k8s/floe/internal/store/storetest"
)

// TestModel walks further than the contract suite, which every engine passes, and lets time pass.
func TestModel(t *testing.T) {
	for range modelWalks {
		storetest.Model(t, place(0), 2000)
	}
}
