package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api/history"
	"github.com/floe-k8s/floe/internal/pki"
)

// adminKubeconfig is the administrator's way in, in the data directory.
const adminKubeconfig = "admin.kubeconfig"

// History returns what the running server knows of an object, the newest version first; see history.Path for what key may be.
func History(ctx context.Context, dataDir, key string) ([]history.Version, error) {
	body, err := get(ctx, dataDir, history.Path+"?"+url.Values{"key": {key}}.Encode())
	if err != nil {
		return nil, err
	}
	versions, err := history.Read(body)
	return versions, errors.Join(err, body.Close())
}

// get asks the server that runs on a data directory as its administrator. The caller closes what it returns.
func get(ctx context.Context, dataDir, path string) (io.ReadCloser, error) {
	data, err := os.ReadFile(filepath.Join(dataDir, adminKubeconfig))
	if err != nil {
		return nil, fmt.Errorf("no cluster has run on %s (name another with --data-dir): %w", dataDir, err)
	}
	server, config, err := pki.ReadKubeconfig(data)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the server of %s does not answer: %w", dataDir, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	return nil, errors.Join(refusal(resp), resp.Body.Close())
}

// refusal is the message of an answer that is an error.
func refusal(resp *http.Response) error {
	var status metav1.Status
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil && json.Unmarshal(data, &status) == nil && status.Message != "" {
		return errors.New(status.Message)
	}
	return fmt.Errorf("the server answered %s: %.200s", resp.Status, data)
}
