package bootstraptoken

import (
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cluster-bootstrap/token/api"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

func infoKey() []engine.Key {
	return []engine.Key{{Resource: configMaps, Namespace: metav1.NamespacePublic, Name: api.ConfigMapClusterInfo}}
}

// Signer returns the controller that signs cluster-info.
func Signer() engine.Controller {
	return engine.Controller{
		Name: "bootstrap-signer", Component: "bootstrap-signer", Queue: "bootstrap_signer_queue", User: "system:serviceaccount:kube-system:bootstrap-signer", Workers: 1,
		Inputs: []engine.Input{
			{Resource: configMaps, Keys: func(_ client.View, c client.Change) []engine.Key {
				if c.New == nil || c.New.GetNamespace() != metav1.NamespacePublic || c.New.GetName() != api.ConfigMapClusterInfo {
					return nil
				}
				return infoKey()
			}},
			{Resource: secrets, Keys: func(_ client.View, c client.Change) []engine.Key {
				if _, ok := tokenOf(c.Newest()); !ok {
					return nil
				}
				return infoKey()
			}},
		},
		Outputs: []engine.Output{{Resource: configMaps, Fields: []string{"data[" + api.JWSSignatureKeyPrefix + "*]"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			info, ok := view.Get(configMaps, k.Namespace, k.Name).(*corev1.ConfigMap)
			if !ok || info.DeletionTimestamp != nil {
				return engine.Plan{}, nil
			}
			return signInfo(view, info, now)
		},
	}
}

// signInfo gives cluster-info its signatures, and looks again when the first of its tokens ends.
func signInfo(view client.View, info *corev1.ConfigMap, now time.Time) (plan engine.Plan, err error) {
	content, ok := info.Data[api.KubeConfigKey]
	if !ok {
		return plan, nil
	}
	data := maps.Clone(info.Data)
	maps.DeleteFunc(data, func(key, _ string) bool { return strings.HasPrefix(key, api.JWSSignatureKeyPrefix) })
	for obj := range view.List(secrets, metav1.NamespaceSystem) {
		s, ok := tokenOf(obj)
		if !ok {
			continue
		}
		id, secret, left, ok := signing(s, now)
		if !ok {
			continue
		}
		if left > 0 && (plan.After == 0 || left < plan.After) {
			plan.After = left
		}
		if data[api.JWSSignatureKeyPrefix+id], err = sign(content, id, secret); err != nil {
			return engine.Plan{}, err
		}
	}
	if !maps.Equal(data, info.Data) {
		next := info.DeepCopy()
		next.Data = data
		plan.Writes = []engine.Write{engine.NewUpdate(configMaps, next, "")}
	}
	return plan, nil
}
