package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"

	"sigs.k8s.io/yaml"
)

// source is where a project's module has its definitions.
type source struct {
	module   string // with its version
	patterns []string
}

func sources() []source {
	return []source{
		{"github.com/cert-manager/cert-manager@v1.21.2", []string{"deploy/crds/*.yaml"}},
		{"github.com/prometheus-operator/prometheus-operator@v0.85.0", []string{"example/prometheus-operator-crd/*.yaml"}},
		{"sigs.k8s.io/cluster-api@v1.14.2", []string{"core/config/crd/bases/*.yaml", "bootstrap/*/config/crd/bases/*.yaml", "controlplane/*/config/crd/bases/*.yaml"}},
	}
}

// folder is where a module's files are. No package of it is built, so it stands in no go.mod.
func folder(ctx context.Context, module string) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("download %s: %w: %s", module, err, out)
	}
	var said struct{ Dir string }
	if err := json.Unmarshal(out, &said); err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return said.Dir, nil
}

// definitions are all that the modules have, in the order of their files.
func definitions(ctx context.Context) (all [][]byte, err error) {
	for _, from := range sources() {
		dir, err := folder(ctx, from.module)
		if err != nil {
			return nil, err
		}
		for _, pattern := range from.patterns {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return nil, err
			}
			if len(files) == 0 {
				return nil, fmt.Errorf("%s has no %s", from.module, pattern)
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err == nil {
					text, err = yaml.YAMLToJSON(text)
				}
				if err != nil {
					return nil, fmt.Errorf("%s: %w", file, err)
				}
				all = append(all, text)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return string(all[i]) < string(all[j]) }) // the same order each time
	return all, nil
}

// copyOf is a definition under a group of its own. Its conversion webhook is left out, since nobody answers for it.
func copyOf(text []byte, n int) ([]byte, error) {
	var crd struct {
		APIVersion string                     `json:"apiVersion"`
		Kind       string                     `json:"kind"`
		Metadata   map[string]any             `json:"metadata"`
		Spec       map[string]json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(text, &crd); err != nil {
		return nil, err
	}
	var group string
	var names struct{ Plural string }
	if err := json.Unmarshal(crd.Spec["group"], &group); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(crd.Spec["names"], &names); err != nil {
		return nil, err
	}
	group = fmt.Sprintf("c%d.%s", n, group)
	crd.Metadata = map[string]any{"name": names.Plural + "." + group, "annotations": map[string]string{"api-approved.kubernetes.io": "unapproved, a copy"}}
	quoted, err := json.Marshal(group)
	if err != nil {
		return nil, err
	}
	crd.Spec["group"] = quoted
	delete(crd.Spec, "conversion")
	return json.Marshal(crd)
}
