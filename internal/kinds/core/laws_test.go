package core_test

import (
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestLaws(t *testing.T) {
	kindtest.Laws(t, time.Now().UnixNano(),
		core.Endpoints(), core.LimitRange(), core.PersistentVolume(), core.PersistentVolumeClaim(), core.PodTemplate(), core.ReplicationController(),
		core.ResourceQuota(), core.Secret(), core.Service(), core.ServiceAccount())
}
