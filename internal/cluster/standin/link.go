package standin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Programs are the names by which envtest finds what it starts.
func Programs() []string { return []string{"etcd", "kube-apiserver", "kubectl"} }

// Link makes a directory with links to this program under the names of Programs, and returns its absolute path. Links that are there are made to lead here; a file
// that is no link is somebody else's, and stops it before anything is changed.
func Link(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, name := range Programs() {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err == nil && info.Mode().Type() != fs.ModeSymlink {
			return "", fmt.Errorf("%s is there, and no link: choose another directory", filepath.Join(dir, name))
		}
	}
	for _, name := range Programs() {
		link := filepath.Join(dir, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err := os.Symlink(self, link); err != nil {
			return "", err
		}
	}
	return dir, nil
}
