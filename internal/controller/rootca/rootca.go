// Package rootca tells every namespace the authority that the API's certificate comes from, in the config map kube-root-ca.crt, which pods are given beside
// their token.
//
// # Laws
//
//   - Every namespace that is not being deleted has the config map, with the key ca.crt and no other, and an annotation that describes it.
//   - What others change of its data is put back. An annotation that says something else is left, one that says nothing is not.
//
// # What it leaves to others
//
// Which authority that is belongs to pki; giving pods the config map to admission.
package rootca

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

const (
	name        = "kube-root-ca.crt"
	annotation  = "kubernetes.io/description"
	description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

var (
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	namespaces = corev1.SchemeGroupVersion.WithResource("namespaces")
)

// New returns the controller; authority is the PEM text that is told.
func New(authority []byte) engine.Controller {
	data := map[string]string{"ca.crt": string(authority)}
	return engine.Controller{
		Name: "root-ca-certificate-publisher", Component: "root-ca-cert-publisher", Queue: "root_ca_cert_publisher",
		User:    "system:serviceaccount:kube-system:root-ca-cert-publisher",
		Inputs:  []engine.Input{{Resource: namespaces, Keys: space}, {Resource: configMaps, Keys: told}},
		Outputs: []engine.Output{{Resource: configMaps, Fields: []string{"data[ca.crt]", "metadata.annotations[" + annotation + "]"}}},
		Reconcile: func(view client.View, k engine.Key, _ time.Time) (engine.Plan, error) {
			return publish(view, k.Name, data), nil
		},
	}
}

// publish makes the config map of a namespace what it is to be.
func publish(view client.View, namespace string, data map[string]string) engine.Plan {
	have, there := view.Get(configMaps, namespace, name).(*corev1.ConfigMap)
	if there && maps.Equal(have.Data, data) && have.Annotations[annotation] != "" {
		return engine.Plan{}
	}
	if there {
		next := have.DeepCopy()
		next.Data = data
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotation, description)
		return engine.Plan{Writes: []engine.Write{engine.NewUpdate(configMaps, next, "")}}
	}
	if ns := view.Get(namespaces, "", namespace); ns == nil || ns.GetDeletionTimestamp() != nil {
		return engine.Plan{} // which nothing new may come to
	}
	made := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{annotation: description}}, Data: data,
	}
	return engine.Plan{Writes: []engine.Write{engine.NewCreate(configMaps, made)}}
}

// space is a namespace that is there.
func space(_ client.View, c client.Change) []engine.Key {
	if c.New == nil || c.New.GetDeletionTimestamp() != nil {
		return nil
	}
	return []engine.Key{{Resource: namespaces, Name: c.New.GetName()}}
}

// told is the namespace of a config map of that name.
func told(_ client.View, c client.Change) []engine.Key {
	if c.Newest().GetName() != name {
		return nil
	}
	return []engine.Key{{Resource: namespaces, Name: c.Newest().GetNamespace()}}
}
