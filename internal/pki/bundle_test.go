package pki

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/observe"
)

// TestBundleIsReadAgain: a changed file counts within a second, and one that is broken changes nothing.
func TestBundleIsReadAgain(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	authority := func() *Authority {
		a, err := Open(t.TempDir(), clock)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	own, first, second := authority(), authority(), authority()
	file := filepath.Join(t.TempDir(), "ca.crt")
	changed := time.Unix(1_000_000, 0)
	write := func(data ...[]byte) {
		t.Helper()
		changed = changed.Add(time.Second)
		if err := os.WriteFile(file, bytes.Join(data, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	write(first.CertPEM())
	b, err := OpenBundle(file, []*x509.Certificate{own.Certificate()}, clock, observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	holds := func(what string, want ...*Authority) {
		t.Helper()
		pool := x509.NewCertPool()
		for _, a := range want {
			pool.AddCert(a.Certificate())
		}
		if !b.Pool().Equal(pool) {
			t.Errorf("%s: others than wanted", what)
		}
	}
	holds("at first", own, first)
	same := b.Pool()
	write(first.CertPEM(), second.CertPEM())
	holds("at once", own, first)
	clock.SetTime(clock.Now().Add(bundlePause))
	holds("a second later", own, first, second)
	write([]byte("nonsense"))
	clock.SetTime(clock.Now().Add(bundlePause))
	holds("broken", own, first, second)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	clock.SetTime(clock.Now().Add(bundlePause))
	holds("gone", own, first, second)
	write(second.CertPEM())
	clock.SetTime(clock.Now().Add(bundlePause))
	holds("back", own, second)
	if now := b.Pool(); same == now || now != b.Pool() {
		t.Error("a pool is not the same until it changes")
	}
}

func TestParseCertificates(t *testing.T) {
	for _, text := range []string{"", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if list, err := ParseCertificates([]byte(text)); err == nil || list != nil || strings.Contains(err.Error(), "panic") {
			t.Errorf("%q: got %v, %v; want an error", text, list, err)
		}
	}
}
