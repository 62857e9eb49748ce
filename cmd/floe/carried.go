package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/floe-k8s/floe/internal/carry"
	"github.com/floe-k8s/floe/internal/cluster"
)

func carried() (*carry.Programs, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return carry.Open(self)
}

// carriedCommand becomes the carried program: it is replaced by it (exec), so that signals, terminal and exit code are the program's own.
func carriedCommand(name, program, short string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Short:              short,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			programs, err := carried()
			if err != nil {
				return err
			}
			dir, err := cacheDir()
			if err != nil {
				return err
			}
			path, err := programs.Path(program, dir)
			if err != nil {
				return err
			}
			return syscall.Exec(path, append([]string{program}, args...), withKubeconfig(os.Environ()))
		},
	}
}

// cacheDir is where a user's copies of carried programs go. Root's stand in the data directory's place when it has no home.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		if os.Geteuid() == 0 {
			return filepath.Join(cluster.DefaultConfig().DataDir, "bin"), nil
		}
		return "", err
	}
	return filepath.Join(dir, "floe", "bin"), nil
}

// withKubeconfig points at this machine's cluster when the user has named no other: no KUBECONFIG, no ~/.kube/config.
func withKubeconfig(env []string) []string {
	if os.Getenv("KUBECONFIG") != "" {
		return env
	}
	if home, err := os.UserHomeDir(); err == nil {
		if _, err := os.Stat(filepath.Join(home, ".kube", "config")); !errors.Is(err, fs.ErrNotExist) {
			return env
		}
	}
	file := filepath.Join(cluster.DefaultConfig().DataDir, "admin.kubeconfig")
	if _, err := os.Stat(file); err != nil {
		return env
	}
	return append(env, "KUBECONFIG="+file)
}
