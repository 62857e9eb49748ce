package etcd

import (
	"testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
	"github.com/floe-k8s/floe/internal/store/storetest"
)

func TestLaw2(t *testing.T) {
	storetest.Law2(t, func(t *testing.T) storetest.Place { return place(t, 0) }, storetest.Size{Rounds: 1, Writes: 40})
}

// place is a new etcd, whose revisions begin above base.
func place(t *testing.T, base store.Revision) storetest.Place {
	opts := Options{Endpoints: etcdtest.Start(t, 1, etcdtest.NoFsync).Endpoints(), Base: base}
	return storetest.Place{
		Open: func() (store.Log, error) {
			log, err := Open(opts)
			if err != nil {
				return nil, err
			}
			opts.Base = 0 // it keeps its own from now on
			return below{log, false}, nil
		},
		Restored: place,
	}
}
