package apiservice

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// trustName is the config map, in kube-system, which servers of aggregated groups read.
const trustName = "extension-apiserver-authentication"

// lookAgain is how often what is told is compared with what is configured, whose files may change.
const lookAgain = time.Minute

var (
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	namespaces = corev1.SchemeGroupVersion.WithResource("namespaces")
)

// Trust is whom this server believes, and what servers behind it should.
type Trust struct {
	Clients []*x509.Certificate // authorities of users' certificates
	Proxies []*x509.Certificate // authorities of front proxies' certificates
	// Names are the common names that these may have; none: all. The others are headers' names, as upstream's flags --requestheader-*.
	Names, Users, UIDs, Groups, ExtraPrefixes []string
}

// Tell returns the controller that keeps the config map. now is asked each time; it must be safe for concurrent use.
func Tell(now func() Trust) engine.Controller {
	key := engine.Key{Resource: configMaps, Namespace: metav1.NamespaceSystem, Name: trustName}
	return engine.Controller{
		Name: "cluster-authentication-trust", Component: "cluster-authentication-trust", Queue: "cluster_authentication_trust_controller", User: "system:apiserver",
		Inputs: []engine.Input{
			{Resource: namespaces, Keys: func(_ client.View, c client.Change) (keys []engine.Key) {
				if c.New != nil && c.Old == nil && c.New.GetName() == metav1.NamespaceSystem {
					keys = append(keys, key)
				}
				return keys
			}},
			{Resource: configMaps, Keys: func(_ client.View, c client.Change) (keys []engine.Key) {
				if m := c.Newest(); m.GetNamespace() == metav1.NamespaceSystem && m.GetName() == trustName {
					keys = append(keys, key)
				}
				return keys
			}},
		},
		Outputs: []engine.Output{{Resource: configMaps, Fields: []string{
			"data[client-ca-file,requestheader-client-ca-file,requestheader-allowed-names,requestheader-username-headers,requestheader-uid-headers," +
				"requestheader-group-headers,requestheader-extra-headers-prefix]",
		}}},
		Workers: 1,
		Reconcile: func(view client.View, _ engine.Key, at time.Time) (engine.Plan, error) {
			return tell(view, now(), at)
		},
	}
}

// tell makes the config map say want besides what it says.
func tell(view client.View, want Trust, at time.Time) (engine.Plan, error) {
	plan := engine.Plan{After: lookAgain}
	if ns := view.Get(namespaces, "", metav1.NamespaceSystem); ns == nil || ns.GetDeletionTimestamp() != nil {
		return plan, nil
	}
	have, there := view.Get(configMaps, metav1.NamespaceSystem, trustName).(*corev1.ConfigMap)
	if !there {
		have = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: trustName}}
	}
	data, err := want.with(have.Data, at)
	switch {
	case err != nil:
		return plan, fmt.Errorf("configmap %s/%s: %w", metav1.NamespaceSystem, trustName, err)
	case there && maps.Equal(data, have.Data):
		return plan, nil
	}
	next := have.DeepCopy()
	next.Data = data
	if there {
		plan.Writes = []engine.Write{engine.NewUpdate(configMaps, next, "")}
	} else {
		plan.Writes = []engine.Write{engine.NewCreate(configMaps, next)}
	}
	return plan, nil
}

// with is the data of the config map that says t besides what is said.
func (t *Trust) with(said map[string]string, at time.Time) (map[string]string, error) {
	data := map[string]string{}
	clients, err := joined(said["client-ca-file"], t.Clients, at)
	if err != nil {
		return nil, fmt.Errorf("client-ca-file: %w", err)
	}
	if clients != "" {
		data["client-ca-file"] = clients
	}
	proxies, err := joined(said["requestheader-client-ca-file"], t.Proxies, at)
	if err != nil {
		return nil, fmt.Errorf("requestheader-client-ca-file: %w", err)
	}
	if proxies == "" {
		return data, nil
	}
	data["requestheader-client-ca-file"] = proxies
	for name, own := range map[string][]string{
		"requestheader-allowed-names": t.Names, "requestheader-username-headers": t.Users, "requestheader-uid-headers": t.UIDs,
		"requestheader-group-headers": t.Groups, "requestheader-extra-headers-prefix": t.ExtraPrefixes,
	} {
		all := []string{}
		if text := said[name]; text != "" {
			if err := json.Unmarshal([]byte(text), &all); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		var once []string
		for _, one := range append(all, own...) {
			if !slices.Contains(once, one) {
				once = append(once, one)
			}
		}
		if data[name], err = list(once); err != nil {
			return nil, err
		}
	}
	if data["requestheader-uid-headers"] == "[]" { // which servers of old do not know
		delete(data, "requestheader-uid-headers")
	}
	return data, nil
}

// list is the names as JSON.
func list(names []string) (string, error) {
	if names == nil {
		names = []string{}
	}
	text, err := json.Marshal(names)
	return string(text), err
}

// joined is said, PEM, with own that are not in it and without those that have expired.
func joined(said string, own []*x509.Certificate, at time.Time) (string, error) {
	var all []*x509.Certificate
	if said != "" {
		var err error
		if all, err = certutil.ParseCertsPEM([]byte(said)); err != nil {
			return "", err
		}
	}
	var text bytes.Buffer
	var told []*x509.Certificate
	for _, cert := range append(all, own...) {
		if at.After(cert.NotAfter) || slices.ContainsFunc(told, cert.Equal) {
			continue
		}
		told = append(told, cert)
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return "", err
		}
	}
	return text.String(), nil
}
