package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"
)

// server is a floe that this program started.
type server struct {
	process *exec.Cmd
	client  *http.Client
	address string
}

// start runs a server on an empty directory until stop, and returns when it is ready.
func start(ctx context.Context, floe, dir string) (*server, error) {
	s := &server{process: exec.Command(floe, "server", "--data-dir", dir, "--bind-address", "127.0.0.1", "--secure-port", "0", "--no-node")}
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(ctx, filepath.Join(dir, "admin.kubeconfig")); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop ends the server.
func (s *server) stop() error {
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.process.Wait()
}

// ready waits for the server and its administrator's credentials.
func (s *server) ready(ctx context.Context, kubeconfig string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := s.connect(kubeconfig)
		if err == nil {
			if _, err = s.ask(ctx, http.MethodGet, "/readyz", nil); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *server) connect(kubeconfig string) error {
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		return err
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate []byte `json:"client-certificate-data"`
				Key         []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return err
	}
	if len(config.Clusters) != 1 || len(config.Users) != 1 {
		return fmt.Errorf("%s: want one cluster and one user", kubeconfig)
	}
	identity, err := tls.X509KeyPair(config.Users[0].User.Certificate, config.Users[0].User.Key)
	if err != nil {
		return err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(config.Clusters[0].Cluster.CA)
	s.address = config.Clusters[0].Cluster.Server
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{identity}}}}
	return nil
}

func (s *server) ask(ctx context.Context, method, path string, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.address+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, text)
	}
	return string(text), err
}

func (s *server) create(ctx context.Context, path string, text []byte) error {
	_, err := s.ask(ctx, http.MethodPost, path, text)
	return err
}

// use writes some 24 MB of config maps that nothing makes smaller, and deletes them.
func (s *server) use(ctx context.Context) error {
	const path, maps, each = "/api/v1/namespaces/default/configmaps", 200, 90_000
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, each)
	for i := range maps {
		if _, err := random.Read(noise); err != nil {
			return err
		}
		text := fmt.Sprintf(`{"metadata":{"name":"used-%d"},"data":{"noise":%q}}`, i, base64.StdEncoding.EncodeToString(noise))
		if err := s.create(ctx, path, []byte(text)); err != nil {
			return err
		}
	}
	for i := range maps {
		if _, err := s.ask(ctx, http.MethodDelete, fmt.Sprintf("%s/used-%d", path, i), nil); err != nil {
			return err
		}
	}
	return nil
}

// rest lets the server rest, prints what it holds and how long a write takes, and returns its resident bytes.
func (s *server) rest(ctx context.Context, step string, wait time.Duration) (resident int, err error) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	metrics, err := s.ask(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return 0, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	resident = 1024 * number(string(status), "VmRSS:")
	const writes = 200
	began := time.Now()
	for range writes {
		if err := s.create(ctx, "/api/v1/namespaces/default/configmaps", []byte(`{"metadata":{"generateName":"x"}}`)); err != nil {
			return 0, err
		}
	}
	fmt.Printf("%-8s resident %d MB (anonymous %d), live heap %d MB, a write of another kind %v\n", step, resident/1e6, 1024*number(string(status), "RssAnon:")/1e6,
		number(metrics, "go_memstats_heap_alloc_bytes ")/1e6, (time.Since(began) / writes).Round(10*time.Microsecond))
	return resident, nil
}

// profile writes a heap profile of the server, taken after a collection, to a file.
func (s *server) profile(ctx context.Context, file string) error {
	profile, err := s.ask(ctx, http.MethodGet, "/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(profile), 0o600)
}

// number is the first one after a name at the begin of a line; 0: there is none.
func number(text, name string) int {
	_, rest, _ := strings.Cut("\n"+text, "\n"+name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return int(n)
}
