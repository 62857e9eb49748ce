package batch_test

import (
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds/batch"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestLaws(t *testing.T) {
	kindtest.Laws(t, time.Now().UnixNano(), batch.Job(), batch.CronJob())
}
