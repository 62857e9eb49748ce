package encryption

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kmsapi "k8s.io/kms/apis/v2"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"

// secret is a key of 32 bytes, in base64.
func secret(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }

func keys(kind string, names string) string {
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf(`{name: '%c', secret: %s}`, n, secret(byte(n))))
	}
	return fmt.Sprintf("{%s: {keys: [%s]}}", kind, strings.Join(out, ", "))
}

func entry(resources, providers string) string {
	return "- {resources: [" + resources + "], providers: [" + providers + "]}\n"
}

// split reads /registry/GROUP.RESOURCE/NAME.
func split(key string) (schema.GroupResource, bool) {
	parts := strings.Split(key, "/")
	if len(parts) < 4 {
		return schema.GroupResource{}, false
	}
	return schema.ParseGroupResource(parts[2]), true
}

func open(t *testing.T, text string) *Keeper {
	t.Helper()
	return openWith(t, text, clock.RealClock{})
}

func openWith(t *testing.T, text string, clk clock.WithTicker) *Keeper {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(head+text), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := Open(Config{File: path, Reload: true, ResourceOf: split, Clock: clk, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func seal(t *testing.T, k *Keeper, key, plain string) []byte {
	t.Helper()
	b, err := k.Codec().Seal(key, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const at, other = "/registry/secrets/a", "/registry/secrets/b"

// TestProviders: each seals, opens, and knows what is not its own.
func TestProviders(t *testing.T) {
	for kind, binds := range map[string]bool{"aesgcm": true, "aescbc": false, "secretbox": false} {
		k := open(t, entry("secrets", keys(kind, "xy")))
		foreign := open(t, entry("secrets", keys(kind, "z")))
		plain := "plain text that is longer than one block"
		sealed := seal(t, k, at, plain)
		prefix := "k8s:enc:" + kind + ":v1:x:"
		if !bytes.HasPrefix(sealed, []byte(prefix)) || bytes.Contains(sealed, []byte("plain")) {
			t.Errorf("%s: stored as %q", kind, sealed)
		}
		if bytes.Equal(sealed, seal(t, k, at, plain)) {
			t.Errorf("%s: the same twice", kind)
		}
		if got, err := k.Codec().Open(at, sealed); err != nil || string(got) != plain || k.Codec().Stale(at, sealed) {
			t.Errorf("%s: %q, %v", kind, got, err)
		}
		if got, err := k.Codec().Open(at, seal(t, k, at, "")); err != nil || len(got) != 0 {
			t.Errorf("%s: nothing: %q, %v", kind, got, err)
		}
		if _, err := foreign.Codec().Open(at, sealed); !errors.Is(err, errNoPrefix) {
			t.Errorf("%s: a key of another name: %v", kind, err)
		}
		renamed := append([]byte("k8s:enc:"+kind+":v1:z:"), sealed[len(prefix):]...)
		if got, err := foreign.Codec().Open(at, renamed); err == nil && string(got) == plain {
			t.Errorf("%s: another key: %q, %v", kind, got, err)
		}
		if _, err := k.Codec().Open(other, sealed); (err != nil) != binds {
			t.Errorf("%s: as another object: %v, bound %t", kind, err, binds)
		}
		for n := range len(sealed) {
			if got, err := k.Codec().Open(at, sealed[:n]); err == nil && (binds || kind == "secretbox" || n < len(prefix)+32) {
				t.Errorf("%s: cut to %d bytes: %q", kind, n, got)
			}
		}
		for n := len(prefix); n < len(sealed); n++ {
			changed := bytes.Clone(sealed)
			changed[n] ^= 1
			if got, err := k.Codec().Open(at, changed); err == nil && (kind != "aescbc" || string(got) == plain) {
				t.Errorf("%s: byte %d changed: %q", kind, n, got)
			}
		}
	}
}

// TestRotation: what older providers have sealed is read, and stale.
func TestRotation(t *testing.T) {
	before := open(t, entry("secrets", keys("aesgcm", "x")))
	after := open(t, entry("secrets", keys("secretbox", "n")+", "+keys("aesgcm", "wx")+", {identity: {}}"))
	gone := open(t, entry("secrets", "{identity: {}}, "+keys("aesgcm", "x")))
	for what, stored := range map[string][]byte{"sealed": seal(t, before, at, "v"), "plain": []byte("v")} {
		got, err := after.Codec().Open(at, stored)
		if err != nil || string(got) != "v" || !after.Codec().Stale(at, stored) {
			t.Errorf("%s: %q, %v, stale %t", what, got, err, after.Codec().Stale(at, stored))
		}
		if stale := gone.Codec().Stale(at, stored); stale != (what == "sealed") {
			t.Errorf("%s, to be plain: stale %t", what, stale)
		}
	}
	if again := seal(t, after, at, "v"); after.Codec().Stale(at, again) {
		t.Error("what was sealed just now is stale")
	}
	if got := seal(t, gone, at, "v"); string(got) != "v" {
		t.Errorf("identity stores %q", got)
	}
	if _, err := before.Codec().Open(at, []byte("v")); !errors.Is(err, errNoPrefix) {
		t.Errorf("plain, without identity: %v", err)
	}
}

func TestResources(t *testing.T) {
	k := open(t, entry("secrets, deployments.apps", keys("aesgcm", "a"))+entry("'*.apps'", keys("aesgcm", "b"))+entry("'*.'", keys("aesgcm", "c"))+entry("'*.*'", keys("aesgcm", "d")))
	for key, want := range map[string]string{"secrets": "a", "deployments.apps": "a", "replicasets.apps": "b", "pods": "c", "things.example.com": "d"} {
		if got := seal(t, k, "/registry/"+key+"/x", "v"); !bytes.HasPrefix(got, []byte("k8s:enc:aesgcm:v1:"+want+":")) {
			t.Errorf("%s: %q", key, got[:20])
		}
	}
	if got := seal(t, k, "/own", "v"); string(got) != "v" {
		t.Errorf("what is no object: %q", got)
	}
	only := open(t, entry("secrets", keys("aesgcm", "a")))
	if got := seal(t, only, "/registry/pods/x", "v"); string(got) != "v" {
		t.Errorf("not named: %q", got)
	}
	if _, err := only.Codec().Open("/registry/pods/x", seal(t, only, at, "v")); !errors.Is(err, errSealed) {
		t.Errorf("sealed, and not named: %v", err)
	}
}

// TestRefused: with line and field, and without the keys.
func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "resources: Required value",
		"- {providers: [{identity: {}}]}": ":4: resources[0].resources: Required value",
		"- {resources: [secrets]}":        ":4: resources[0].providers: Required value",
		entry("secrets", "{}"):            "provider does not contain any of the expected providers",
		entry("secrets", "{rot13: {}}"):   `unknown field "resources[0].providers[0].rot13"`,
		entry("secrets", "{identity: {}, aesgcm: {keys: []}}"):                                   "more than one provider specified",
		entry("secrets", "{aesgcm: {keys: []}}"):                                                 "at least one keys is required",
		entry("secrets", "{aesgcm: {keys: [{name: a, secret: c2hvcnQ=}]}}"):                      "secret is not of the expected length, got 5, expected one of [16 24 32]",
		entry("secrets", "{secretbox: {keys: [{name: a, secret: '%%%'}]}}"):                      "secrets must be base64 encoded",
		entry("secrets, secrets", "{identity: {}}"):                                              "the same resource cannot be specified multiple times",
		entry("secrets, '*.'", "{identity: {}}"):                                                 "using overlapping resources",
		entry("'*.*'", "{identity: {}}") + entry("secrets", "{identity: {}}"):                    `:5: resources[1].resources[0]: Invalid value: "secrets": resource "secrets" is masked by earlier rule "*.*"`,
		entry("Secrets", "{identity: {}}"):                                                       "should not contain capital letters",
		entry("'*'", "{identity: {}}"):                                                           "use '*.' to encrypt",
		entry("events.events.k8s.io", "{identity: {}}"):                                          "Use 'events' instead",
		entry("secrets", "{kms: {name: k, endpoint: 'unix:///x'}}"):                              "KMSv1 is deprecated",
		entry("secrets", "{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///x'}}"):          "must not contain ':'",
		entry("secrets", "{kms: {apiVersion: v2, name: a, endpoint: 'tcp://x'}}"):                `unsupported scheme "tcp"`,
		entry("secrets", "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x', timeout: 0s}}"): "timeout should be a positive value",
	} {
		_, err := decode("FILE", []byte(head+text), clock.RealClock{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "FILE:") {
			t.Errorf("%s\ngot %v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "c2hvcnQ=") || strings.Contains(err.Error(), "%%%")) {
			t.Errorf("a key is told: %v", err)
		}
	}
}

// kms is a real plug-in over a unix socket.
type kms struct {
	kmsapi.UnimplementedKeyManagementServiceServer
	mu       sync.Mutex
	id       string
	health   string
	hangs    bool
	lies     bool // about what it has sealed
	decrypts int
}

func (s *kms) state(ctx context.Context) (id, health string) {
	s.mu.Lock()
	id, health = s.id, s.health
	hangs := s.hangs
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	return id, health
}

func (s *kms) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *kms) Status(ctx context.Context, _ *kmsapi.StatusRequest) (*kmsapi.StatusResponse, error) {
	id, health := s.state(ctx)
	return &kmsapi.StatusResponse{Version: "v2", Healthz: health, KeyId: id}, nil
}

func (s *kms) Encrypt(ctx context.Context, r *kmsapi.EncryptRequest) (*kmsapi.EncryptResponse, error) {
	id, _ := s.state(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lies {
		return &kmsapi.EncryptResponse{Ciphertext: r.Plaintext, KeyId: id}, nil
	}
	return &kmsapi.EncryptResponse{Ciphertext: turned(r.Plaintext, id), KeyId: id, Annotations: map[string][]byte{"a.example.com": []byte("1")}}, nil
}

func (s *kms) Decrypt(ctx context.Context, r *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	s.state(ctx)
	s.set(func() { s.decrypts++ })
	if string(r.Annotations["a.example.com"]) != "1" {
		return nil, errors.New("annotations are lost")
	}
	return &kmsapi.DecryptResponse{Plaintext: turned(r.Ciphertext, r.KeyId)}, nil
}

// turned is sealing enough for a test: it is its own reverse, and another with each key.
func turned(b []byte, id string) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= id[i%len(id)] | 0x80
	}
	return out
}

func (s *kms) serve(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kms") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	kmsapi.RegisterKeyManagementServiceServer(server, s)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(<-ended, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + filepath.Join(dir, "s")
}

func kmsEntry(endpoint, timeout string) string {
	return entry("secrets", fmt.Sprintf("{kms: {apiVersion: v2, name: k, endpoint: '%s', timeout: %s}}", endpoint, timeout))
}

// TestKMS seals by a plug-in's key, opens without asking it again, and follows its rotation.
func TestKMS(t *testing.T) {
	s := &kms{id: "one", health: "ok"}
	clk := clocktesting.NewFakeClock(time.Unix(1, 0))
	text := kmsEntry(s.serve(t), "10s")
	k := openWith(t, text, clk)
	sealed := seal(t, k, at, "plain")
	if !bytes.HasPrefix(sealed, []byte("k8s:enc:kms:v2:k:")) || bytes.Contains(sealed, []byte("plain")) {
		t.Fatalf("stored as %q", sealed)
	}
	if got, err := k.Codec().Open(at, sealed); err != nil || string(got) != "plain" || s.decrypts != 0 {
		t.Errorf("%q, %v, asked %d times", got, err, s.decrypts)
	}
	if _, err := k.Codec().Open(other, sealed); !errors.Is(err, errForged) {
		t.Errorf("as another object: %v", err)
	}
	fresh := openWith(t, text, clk) // such as after a restart
	for range 3 {
		if got, err := fresh.Codec().Open(at, sealed); err != nil || string(got) != "plain" || s.decrypts != 1 {
			t.Errorf("after a restart: %q, %v, asked %d times", got, err, s.decrypts)
		}
	}
	for n := len("k8s:enc:kms:v2:k:"); n < len(sealed); n++ {
		if got, err := fresh.Codec().Open(at, sealed[:n]); err == nil {
			t.Errorf("cut to %d: %q", n, got)
		}
		changed := bytes.Clone(sealed)
		changed[n] ^= 1
		if got, err := fresh.Codec().Open(at, changed); err == nil && string(got) != "plain" {
			t.Errorf("byte %d changed: %q", n, got)
		}
	}
	s.set(func() { s.id = "two" })
	if k.Codec().Stale(at, sealed) {
		t.Error("stale before the plug-in was asked")
	}
	clk.Step(2 * seedLasts)
	again := seal(t, k, at, "plain")
	if !k.Codec().Stale(at, sealed) || k.Codec().Stale(at, again) {
		t.Errorf("after the plug-in's rotation: old stale %t, new %t", k.Codec().Stale(at, sealed), k.Codec().Stale(at, again))
	}
}

// TestKMSThatFails: each way is an error after its time, and health tells.
func TestKMSThatFails(t *testing.T) {
	for what, c := range map[string]struct {
		kms  *kms
		want string
	}{
		"hangs":         {&kms{id: "one", health: "ok", hangs: true}, "DeadlineExceeded"},
		"is not well":   {&kms{id: "one", health: "broken"}, `is not well: "broken"`},
		"has no key":    {&kms{health: "ok"}, "keyID of 0 bytes"},
		"seals nothing": {&kms{id: "one", health: "ok", lies: true}, "the plug-in has sealed nothing"},
	} {
		k := open(t, kmsEntry(c.kms.serve(t), "200ms"))
		if _, err := k.Codec().Seal(at, []byte("v")); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
		if err := k.Health(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: health %v", what, err)
		}
	}
	k := open(t, kmsEntry("unix:///nowhere/at/all", "200ms"))
	if _, err := k.Codec().Seal(at, []byte("v")); err == nil {
		t.Error("sealed by nobody")
	}
}

// TestReload puts a good file in force, and keeps the old one when the new is not good.
func TestReload(t *testing.T) {
	k := open(t, entry("secrets", keys("aesgcm", "x")))
	old := seal(t, k, at, "v")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(k.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k.reload()
	}
	write("nonsense")
	write(head + kmsEntry("unix:///nowhere/at/all", "100ms"))
	if k.Codec().Stale(at, old) || !bytes.Contains(seal(t, k, at, "v"), []byte(":x:")) {
		t.Error("a bad file is in force")
	}
	write(head + entry("secrets", keys("aesgcm", "yx")))
	if got, err := k.Codec().Open(at, old); err != nil || string(got) != "v" || !k.Codec().Stale(at, old) {
		t.Errorf("after the reload: %q, %v", got, err)
	}
}
