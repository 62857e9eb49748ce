package all_test

import (
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestLaws(t *testing.T) {
	kindtest.Laws(t, time.Now().UnixNano(), all.Kinds()...)
}
