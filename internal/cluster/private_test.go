package cluster

import (
	"bytes"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// TestDataIsTheOwners: nobody else of the host reads anything of the data directory, and what names somebody, or signs, is of its owner alone by its own
// mode, too, wherever it is copied to.
func TestDataIsTheOwners(t *testing.T) {
	extra := t.TempDir()
	policy, log := filepath.Join(extra, "policy.yaml"), filepath.Join(extra, "trail", "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	c := serveClusterAs(t, func(cfg *Config) { cfg.API.Audit.PolicyFile, cfg.API.Audit.Log.Path = policy, log })
	for path, want := range map[string]fs.FileMode{log: 0o600, filepath.Dir(log): 0o700 | fs.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	dir := c.env.Config.DataDir
	secret := map[string]bool{"pki/ca.key": false, "pki/sa.key": false, "pki/front-proxy-ca.key": false, adminKubeconfig: false}
	folders := map[string]bool{".": false, "pki": false, logFolder: false}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm()
		if _, ok := folders[name]; ok {
			folders[name] = true
			if mode != 0o700 {
				t.Errorf("the folder %s is %v", name, mode)
			}
		}
		if _, ok := secret[name]; ok {
			secret[name] = true
			if mode != 0o600 {
				t.Errorf("%s is %v", name, mode)
			}
		}
		if mode&0o022 != 0 {
			t.Errorf("others may change %s: %v", name, mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range []map[string]bool{secret, folders} {
		for name, ok := range found {
			if !ok {
				t.Errorf("%s is not there", name)
			}
		}
	}
}

// said is a buffer that several write to.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// TestSecretsAreNotLogged does what passes secrets through the server, with all that it can log: none of them is there.
func TestSecretsAreNotLogged(t *testing.T) {
	dir := t.TempDir()
	tokens, log := filepath.Join(dir, "tokens.csv"), &said{}
	if err := os.WriteFile(tokens, []byte("of-the-file-9a1b,jane,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &servedCluster{env: alone(filepath.Join(dir, "data"))}
	c.env.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.Level(math.MinInt)}))
	c.env.Config.Authentication.TokenFile = tokens
	c.start(t)
	client, ctx := kubernetes.NewForConfigOrDie(c.config), t.Context()
	secrets := client.CoreV1().Secrets("default")
	s := must(secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"k": "in-a-secret-77c2"}}, metav1.CreateOptions{}))(t)
	s.Data["k"], s.Type = []byte("in-an-update-4d0e"), "changed" // which is refused
	if _, err := secrets.Update(ctx, s, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || strings.Contains(err.Error(), "in-an-update") {
		t.Errorf("a refused update: %v", err)
	}
	must(client.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))(t)
	issued := must(client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{}))(t).Status.Token
	for token, good := range map[string]bool{"of-the-file-9a1b": true, issued: true, "of-nobody-5e3f": false} {
		config := rest.AnonymousClientConfig(c.config)
		config.BearerToken = token
		_, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets("default").Get(ctx, "s", metav1.GetOptions{})
		if good != apierrors.IsForbidden(err) || good == apierrors.IsUnauthorized(err) {
			t.Errorf("%.12s: %v", token, err)
		}
	}
	c.stop()
	key, err := os.ReadFile(filepath.Join(c.env.Config.DataDir, "pki", "sa.key"))
	if err != nil {
		t.Fatal(err)
	}
	text := log.buf.String()
	if !strings.Contains(text, "ready") {
		t.Fatalf("nothing is logged: %s", text)
	}
	signature := issued[strings.LastIndex(issued, ".")+1:]
	body := strings.Split(string(key), "\n")[1]
	for _, word := range []string{"of-the-file-9a1b", "of-nobody-5e3f", "in-a-secret-77c2", "in-an-update-4d0e", "aW4tYS1zZWNyZXQtNzdjM", signature, body} {
		if i := strings.Index(text, word); i >= 0 {
			t.Errorf("logged: %.300s", text[max(0, i-200):])
		}
	}
}
