package apps_test

import (
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds/apps"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestLaws(t *testing.T) {
	kindtest.Laws(t, time.Now().UnixNano(), apps.Deployment(), apps.ReplicaSet(), apps.StatefulSet(), apps.DaemonSet(), apps.ControllerRevision())
}
