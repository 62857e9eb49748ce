package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/floe-k8s/floe/internal/kinds/all"
)

// sealedBy is a file that names keys of secrets and config maps, the first of which seals.
func sealedBy(t *testing.T, path, names string) {
	t.Helper()
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - aesgcm:\n      keys:\n"
	for _, n := range names {
		text += "      - {name: key-" + string(n) + ", secret: " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(n)}, 32)) + "}\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// onDisk says whether a text stands anywhere below a folder.
func onDisk(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestEncryptionAtRest: secrets are sealed on disk, and an ordinary update that changes nothing seals them anew after a rotation.
func TestEncryptionAtRest(t *testing.T) {
	const text = "what-nobody-may-read-on-the-disk"
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	sealedBy(t, file, "a")
	c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
	c.env.Config.Store.EncryptionProviderConfig = file
	version := func(want string) string {
		t.Helper()
		client, err := kubernetes.NewForConfig(c.config)
		if err != nil {
			t.Fatal(err)
		}
		s, err := client.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{})
		if err != nil || string(s.Data["k"]) != text || want != "" && s.ResourceVersion != want {
			t.Fatalf("at %s, want %s: %q, %v", s.ResourceVersion, want, s.Data["k"], err)
		}
		if s, err = client.CoreV1().Secrets("default").Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		return s.ResourceVersion
	}
	c.start(t)
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"s", "plain"} {
		meta := metav1.ObjectMeta{Name: s}
		if s == "s" {
			_, err = client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{"k": []byte(text)}}, metav1.CreateOptions{})
		} else {
			_, err = client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"k": "stored-as-it-is"}}, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	first := version("")
	if again := version(first); again != first {
		t.Errorf("an update that changes nothing wrote %s over %s", again, first)
	}
	c.stop()
	log := filepath.Join(c.env.Config.DataDir, logFolder)
	if onDisk(t, log, text) || !onDisk(t, log, "k8s:enc:aesgcm:v1:key-a:") || !onDisk(t, log, "stored-as-it-is") {
		t.Error("the log is not sealed as the file says")
	}
	sealedBy(t, file, "ba")
	c.config = nil // another port
	c.start(t)
	second := version(first)
	if second == first {
		t.Error("a value of the old key was not sealed anew")
	}
	c.stop()
	sealedBy(t, file, "x")
	staysDown(t, c.env, "no matching prefix found")
	c.env.Config.Store.EncryptionProviderConfig = ""
	staysDown(t, c.env, "no encryption is configured")
	if err := os.WriteFile(file, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.env.Config.Store.EncryptionProviderConfig = file
	staysDown(t, c.env, file+":3: resources[0].resources: Required value")
}

func staysDown(t *testing.T, env Environment, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := Run(ctx, env); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestResourceOf(t *testing.T) {
	of := resourceOf(all.Kinds())
	for key, want := range map[string]string{
		"/registry/secrets/n/a": "secrets", "/registry/services/specs/n/a": "services", "/registry/minions/a": "nodes", "/registry/leases/n/a": "leases.coordination.k8s.io",
		"/registry/apiregistration.k8s.io/apiservices/v1": "apiservices.apiregistration.k8s.io", "/registry/example.com/things/n/a": "things.example.com",
		"/registry/events/n/a": "events", "/registry/ranges/serviceips": "", "/registry/masterleases/10.0.0.1": "",
	} {
		got, ok := of(key)
		if ok != (want != "") || ok && got != schema.ParseGroupResource(want) {
			t.Errorf("%s: got %v %t, want %s", key, got, ok, want)
		}
	}
}
