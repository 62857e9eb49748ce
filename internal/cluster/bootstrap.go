package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// initialNamespaces are those of every Kubernetes cluster.
var initialNamespaces = [...]string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}

// bootstrap makes what every cluster begins with, then says that the API is ready, lets the components begin, and stays.
func (s *server) bootstrap(ctx context.Context) error {
	c := s.client("system:apiserver", "system:masters")
	res := corev1.SchemeGroupVersion.WithResource("namespaces")
	for _, name := range initialNamespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := c.Create(ctx, res, ns, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	s.door.SetReady()
	close(s.begun)
	s.Log.Info("ready", "url", s.localURL(), "kubeconfig", s.dir.join(adminKubeconfig))
	<-ctx.Done()
	return nil
}

// afterBootstrap holds a part back until the cluster has what every cluster begins with.
func (s *server) afterBootstrap(p part) part {
	return part{p.name, func(ctx context.Context) error {
		select {
		case <-s.begun:
			return p.run(ctx)
		case <-ctx.Done():
			return nil
		}
	}}
}
