package policy_test

import (
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/policy"
)

func TestLaws(t *testing.T) {
	kindtest.Laws(t, time.Now().UnixNano(), policy.PodDisruptionBudget())
}
