package shim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// ReadState reads a container's state file below the sandbox directory dir. A missing file is os.ErrNotExist: it was never started.
func ReadState(dir, container string) (ContainerState, error) {
	data, err := os.ReadFile(statePath(dir, container))
	if err != nil {
		return ContainerState{}, err
	}
	var s ContainerState
	if err := json.Unmarshal(data, &s); err != nil {
		return ContainerState{}, fmt.Errorf("state of container %s: %w", container, err)
	}
	return s, nil
}

// WriteState replaces a container's state file.
func WriteState(dir string, s ContainerState) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := statePath(dir, s.ID)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("state of container %s: %w", s.ID, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("state of container %s: %w", s.ID, err)
	}
	return nil
}

func statePath(dir, container string) string {
	return filepath.Join(dir, ContainersDir, container, StateName)
}
