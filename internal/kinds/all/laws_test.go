package all_test

import (
	"slices"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

// TestLaws leaves out custom resource definitions, whose parts cannot be just anything: package apiextensions holds them to the laws.
func TestLaws(t *testing.T) {
	list := slices.DeleteFunc(all.Kinds(), func(k *kinds.Kind) bool { return k.Resource == "customresourcedefinitions" })
	kindtest.Laws(t, time.Now().UnixNano(), list...)
}
