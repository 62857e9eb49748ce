// Package extend asks kube-scheduler's extenders: HTTP servers of one's own that take part in choosing nodes, as the field extenders of
// KubeSchedulerConfiguration says.
//
// # Laws
//
//   - Requests and answers are those of k8s.io/kube-scheduler/extender/v1, and so is what becomes of an error: it ends the try, but that of
//     an ignorable extender, or of one that only ranks, is passed over.
//   - An answer has at most answerMost bytes and comes within the extender's httpTimeout (5 s unless said).
//   - Certificates are read when the extender is made.
//   - Victims that an extender names are pods on the node that it names them for, as the scheduler counts them.
package extend

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

const (
	timeout    = 5 * time.Second
	answerMost = 64 << 20 // of 5,000 nodes at upstream's 10 KiB each
)

// Extender is one server. It is safe for concurrent use.
type Extender struct {
	cfg     configv1.Extender
	client  *http.Client
	managed map[string]bool
}

// New makes an extender of what the file says of it; certificates are read.
func New(cfg configv1.Extender) (*Extender, error) {
	secured, err := tlsConfig(cfg.EnableHTTPS, cfg.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("extender %s: %w", cfg.URLPrefix, err)
	}
	e := &Extender{cfg: cfg, managed: map[string]bool{}}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = secured
	e.client = &http.Client{Transport: transport, Timeout: cfg.HTTPTimeout.Duration}
	if e.client.Timeout == 0 {
		e.client.Timeout = timeout
	}
	for _, r := range cfg.ManagedResources {
		e.managed[r.Name] = true
	}
	return e, nil
}

// tlsConfig is what the fields say; without an authority the server's certificate is not looked at, as upstream does it.
func tlsConfig(https bool, in *configv1.ExtenderTLSConfig) (*tls.Config, error) {
	if in == nil {
		in = &configv1.ExtenderTLSConfig{}
	}
	authority, err := either(in.CAData, in.CAFile)
	if err != nil {
		return nil, err
	}
	if in.Insecure && authority != nil {
		return nil, errors.New("tlsConfig: insecure and an authority exclude each other")
	}
	out := &tls.Config{ServerName: in.ServerName, MinVersion: tls.VersionTLS12, InsecureSkipVerify: in.Insecure || https && authority == nil}
	if authority != nil {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(authority) {
			return nil, errors.New("tlsConfig: the authority holds no certificate")
		}
	}
	cert, err := either(in.CertData, in.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := either(in.KeyData, in.KeyFile)
	switch {
	case err != nil:
		return nil, err
	case (cert == nil) != (key == nil):
		return nil, errors.New("tlsConfig: a client certificate needs a key, and a key a certificate")
	case cert == nil:
		return out, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("tlsConfig: client certificate: %w", err)
	}
	out.Certificates = []tls.Certificate{pair}
	return out, nil
}

func either(data []byte, file string) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("tlsConfig: %w", err)
	}
	return data, nil
}

// Interested says whether the extender has a say about pod: it manages no resources, or one that the pod names.
func (e *Extender) Interested(pod *corev1.Pod) bool {
	if len(e.managed) == 0 {
		return true
	}
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			for _, amounts := range []corev1.ResourceList{list[i].Resources.Requests, list[i].Resources.Limits} {
				for name := range amounts {
					if e.managed[string(name)] {
						return true
					}
				}
			}
		}
	}
	return false
}

// Nodes gives whole nodes by name, for extenders that keep none of their own; one that is gone is left out.
type Nodes func(names []string) []corev1.Node

// Filter asks which of names will do: the rest, and why each of the others will not.
func (e *Extender) Filter(ctx context.Context, pod *corev1.Pod, names []string, nodes Nodes) ([]string, map[string]*place.Status, error) {
	if e.cfg.FilterVerb == "" {
		return names, nil, nil
	}
	var result extenderv1.ExtenderFilterResult
	err := e.send(ctx, e.cfg.FilterVerb, e.args(pod, names, nodes), &result)
	if err == nil && result.Error != "" {
		err = errors.New(result.Error)
	}
	if err != nil && e.cfg.Ignorable {
		return names, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	refused := make(map[string]*place.Status, len(names))
	for _, name := range names { // one that is in no list will not do either, without a reason
		refused[name] = &place.Status{Code: place.Unresolvable}
	}
	for name, why := range result.FailedNodes {
		refused[name] = &place.Status{Code: place.Unschedulable, Reasons: []string{why}}
	}
	for name, why := range result.FailedAndUnresolvableNodes {
		refused[name] = &place.Status{Code: place.Unresolvable, Reasons: []string{why}}
	}
	return e.left(names, &result, refused)
}

// left is the nodes that an answer names as good; they are taken out of refused.
func (e *Extender) left(names []string, result *extenderv1.ExtenderFilterResult, refused map[string]*place.Status) ([]string, map[string]*place.Status, error) {
	var good []string
	switch {
	case e.cfg.NodeCacheCapable && result.NodeNames != nil:
		good = *result.NodeNames
	case result.Nodes != nil:
		for i := range result.Nodes.Items {
			good = append(good, result.Nodes.Items[i].Name)
		}
	}
	asked := make(map[string]bool, len(names))
	for _, name := range names {
		asked[name] = true
	}
	for _, name := range good {
		if !asked[name] {
			return nil, nil, fmt.Errorf("extender %q claims a filtered node %q which is not found in the input node list", e.cfg.URLPrefix, name)
		}
		delete(refused, name)
	}
	return good, refused, nil
}

// Prioritize asks for scores, on place's scale and weighed; nil when the extender has none or cannot tell.
func (e *Extender) Prioritize(ctx context.Context, pod *corev1.Pod, names []string, nodes Nodes) (map[string]int64, error) {
	if e.cfg.PrioritizeVerb == "" {
		return nil, nil
	}
	var result extenderv1.HostPriorityList
	if err := e.send(ctx, e.cfg.PrioritizeVerb, e.args(pod, names, nodes), &result); err != nil {
		return nil, err
	}
	scores := make(map[string]int64, len(result))
	for _, h := range result {
		scores[h.Host] += h.Score * e.cfg.Weight * (place.MaxScore / extenderv1.MaxExtenderPriority)
	}
	return scores, nil
}

// Binder says whether the extender binds pods itself.
func (e *Extender) Binder() bool { return e.cfg.BindVerb != "" }

// Ignorable says whether its errors are passed over.
func (e *Extender) Ignorable() bool { return e.cfg.Ignorable }

// Bind asks the extender to bind a pod.
func (e *Extender) Bind(ctx context.Context, b *corev1.Binding) error {
	var result extenderv1.ExtenderBindingResult
	args := extenderv1.ExtenderBindingArgs{PodName: b.Name, PodNamespace: b.Namespace, PodUID: b.UID, Node: b.Target.Name}
	if err := e.send(ctx, e.cfg.BindVerb, &args, &result); err != nil {
		return err
	}
	if result.Error != "" {
		return errors.New(result.Error)
	}
	return nil
}

func (e *Extender) args(pod *corev1.Pod, names []string, nodes Nodes) *extenderv1.ExtenderArgs {
	args := &extenderv1.ExtenderArgs{Pod: pod}
	if e.cfg.NodeCacheCapable {
		args.NodeNames = &names
	} else {
		args.Nodes = &corev1.NodeList{Items: nodes(names)}
	}
	return args
}

func (e *Extender) send(ctx context.Context, verb string, args, result any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	url := strings.TrimRight(e.cfg.URLPrefix, "/") + "/" + verb
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // what it held is read or given up
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("failed %v with extender at URL %v, code %v", verb, url, resp.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, answerMost)).Decode(result)
}
