// Package shimtest builds the programs that tests of the runtime run as root: floe-shim and floe-tool, as `make build` does.
package shimtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Build builds the named programs (floe-shim, floe-tool) into dir. It fails, in words, without root: what needs the programs needs it too.
func Build(dir string, names ...string) error {
	if os.Getuid() != 0 {
		return errors.New("the container runtime's tests run real containers and need root")
	}
	for _, name := range names {
		if err := build(dir, name); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}

func build(dir, name string) error {
	cgo, args := "0", []string{"-ldflags", "-s -w"}
	if name == "floe-shim" {
		cgo, args = "1", []string{"-tags", "seccomp,runc_nocriu,netgo,osusergo", "-ldflags", "-s -w -linkmode external -extldflags -static"}
	}
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", slices.Concat([]string{"build", "-trimpath", "-o", path}, args, []string{"github.com/floe-k8s/floe/cmd/" + name})...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return rewrite(path)
}

// rewrite copies a program over itself in small writes, as floe does when it unpacks it. The kernel keeps a file in memory in pieces as
// large as it was written in, and maps a piece as a whole: a program written in one go costs each of its processes megabytes.
func rewrite(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	for piece := range slices.Chunk(data, 32<<10) {
		if _, err := f.Write(piece); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
