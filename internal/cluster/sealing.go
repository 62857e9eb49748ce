package cluster

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/backup"
	"github.com/floe-k8s/floe/internal/store/encryption"
)

// openSealing reads how values are encrypted; nil: they are not.
func (e Environment) openSealing() (*encryption.Keeper, error) {
	file := e.Config.Store.EncryptionProviderConfig
	if file == "" {
		return nil, nil
	}
	k, err := encryption.Open(encryption.Config{
		File: file, Reload: e.Config.Store.EncryptionProviderConfigAutomaticReload, ResourceOf: resourceOf(all.KindsFor(e.Config.kinds())), Clock: e.Clock,
		Log: e.Log.With("component", "encryption"), Metrics: encryption.NewMetrics(),
	})
	if err != nil {
		return nil, fmt.Errorf("store.encryptionProviderConfig: %w", err)
	}
	return k, nil
}

func codecOf(k *encryption.Keeper) store.Codec {
	if k == nil {
		return nil
	}
	return k.Codec()
}

// sealingOf seals snapshots as the log is sealed.
func sealingOf(k *encryption.Keeper) backup.Sealing {
	if k == nil {
		return backup.Sealing{}
	}
	return backup.Sealing{Name: "EncryptionConfiguration", Codec: k.Codec()}
}

func closeSealing(k *encryption.Keeper) error {
	if k == nil {
		return nil
	}
	return k.Close()
}

// resourceOf knows where the objects of each kind are kept. What is kept below a group's name is a custom resource; the rest no client can name.
func resourceOf(list []*kinds.Kind) encryption.ResourceOf {
	known := map[string]schema.GroupResource{}
	for _, k := range list {
		stored := k.Stored()
		known[strings.Trim(k.Prefix(), "/")] = schema.GroupResource{Group: stored.GVK.Group, Resource: stored.Resource}
	}
	return func(key string) (schema.GroupResource, bool) {
		parts := strings.SplitN(strings.Trim(key, "/"), "/", 4)
		if len(parts) < 3 {
			return schema.GroupResource{}, false
		}
		if res, ok := known[strings.Join(parts[:3], "/")]; ok && len(parts) > 3 {
			return res, true
		}
		if res, ok := known[strings.Join(parts[:2], "/")]; ok {
			return res, true
		}
		if len(parts) > 3 && strings.Contains(parts[1], ".") {
			return schema.GroupResource{Group: parts[1], Resource: parts[2]}, true
		}
		return schema.GroupResource{}, false
	}
}

// keepSealing keeps keys fresh until ctx ends.
func (s *server) keepSealing(ctx context.Context) error {
	if s.sealing == nil {
		<-ctx.Done()
		return nil
	}
	return s.sealing.Run(ctx)
}

// sealingChecks are upstream's of KMS plug-ins: one for all when the file is read again, else one for each.
func (s *server) sealingChecks() []wire.Check {
	if s.sealing == nil {
		return nil
	}
	fail := func() string {
		if err := s.sealing.Health(); err != nil {
			return err.Error()
		}
		return ""
	}
	if s.Config.Store.EncryptionProviderConfigAutomaticReload {
		return []wire.Check{{Name: "kms-providers", Fail: fail}}
	}
	var list []wire.Check
	for i := range s.sealing.Plugins() {
		list = append(list, wire.Check{Name: fmt.Sprintf("kms-provider-%d", i), Fail: fail})
	}
	return list
}
