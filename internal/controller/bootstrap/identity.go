package bootstrap

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	identityLabel = "apiserver.kubernetes.io/identity"
	identityValue = "kube-apiserver"
	identityLife  = time.Hour
)

// IdentityName is upstream's name of the lease of the server on a host.
func IdentityName(host string) string {
	var data []byte
	for _, text := range []string{host, identityValue} {
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(text))), text...)
	}
	hash := sha256.Sum256(data)
	return "apiserver-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(hash[:16]))
}

// renewIdentity makes or renews the lease that says that this server is there, and removes those of servers that have been gone for long.
func (b *Bootstrap) renewIdentity(ctx context.Context) error {
	res, name := coordinationv1.SchemeGroupVersion.WithResource("leases"), IdentityName(b.Host)
	lease, found, err := get[*coordinationv1.Lease](ctx, b, res, metav1.NamespaceSystem, name)
	if err != nil {
		return err
	}
	next := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceSystem}}
	if found {
		next = lease.DeepCopy()
	} else {
		holder := name + "_" + b.Instance
		next.Spec.HolderIdentity = &holder
	}
	now, seconds := b.Clock.Now(), int32(identityLife/time.Second)
	next.Spec.LeaseDurationSeconds, next.Spec.RenewTime = &seconds, &metav1.MicroTime{Time: now}
	if next.Labels == nil {
		next.Labels = map[string]string{}
	}
	next.Labels[identityLabel], next.Labels[corev1.LabelHostname] = identityValue, b.Host
	if err := b.put(ctx, res, next, found); err != nil {
		return err
	}
	view, err := b.Client.View(ctx)
	if err != nil {
		return err
	}
	for obj := range view.List(res, metav1.NamespaceSystem) {
		l := obj.(*coordinationv1.Lease)
		if l.Labels[identityLabel] != identityValue || l.Name == name {
			continue
		}
		s := l.Spec
		if s.RenewTime != nil && s.LeaseDurationSeconds != nil && !s.RenewTime.Add(time.Duration(*s.LeaseDurationSeconds)*time.Second).Before(now) {
			continue
		}
		if err := b.remove(ctx, res, l); err != nil {
			return err
		}
	}
	return nil
}
