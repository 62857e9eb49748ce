package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Handler is another OCI runtime, for pods whose RuntimeClass names it. It is called as OCI runtimes' command line is (create, start, exec, update,
// kill, delete); its own state lies with the sandbox, and cgroups are made by cgroupfs, as for all pods here.
type Handler struct {
	// Program is the absolute path of the executable: crun, runc, runsc. It is looked for when a pod needs it.
	Program string
}

// handler is a configured one, with what was learned of it.
type handler struct {
	Handler
	features func() handlerFeatures // asked once
}

// handlerFeatures is what a handler's program can.
type handlerFeatures struct{ recursiveReadOnly, users bool }

// checkHandlers refuses names and paths that cannot be.
func checkHandlers(handlers map[string]Handler) error {
	var errs []error
	for name, h := range handlers {
		if name == "" || strings.ContainsAny(name, "=/ \t\n") {
			errs = append(errs, fmt.Errorf("runtime config: Handlers: %q is no name of a handler", name))
		}
		if !filepath.IsAbs(h.Program) || filepath.Clean(h.Program) != h.Program {
			errs = append(errs, fmt.Errorf("runtime config: Handlers: %s: Program %q must be a clean absolute path", name, h.Program))
		}
	}
	return errors.Join(errs...)
}

func newHandlers(configured map[string]Handler) map[string]*handler {
	all := map[string]*handler{}
	for name, h := range configured {
		all[name] = &handler{Handler: h, features: sync.OnceValue(func() handlerFeatures { return featuresOf(h.Program) })}
	}
	return all
}

// findHandler is the handler of that name, whose program is there; nil for "", this runtime itself.
func (r *Runtime) findHandler(name string) (*handler, error) {
	if name == "" {
		return nil, nil
	}
	h := r.handlers[name]
	if h == nil {
		return nil, invalid("no runtime for %q is configured", name)
	}
	info, err := os.Stat(h.Program)
	switch {
	case err != nil:
		return nil, unavailable("runtime handler %q: its program: %v", name, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o100 == 0:
		return nil, unavailable("runtime handler %q: its program %s is not an executable file", name, h.Program)
	}
	return h, nil
}

// checkHandler refuses a sandbox whose handler is not there, or cannot what is asked.
func (r *Runtime) checkHandler(name string, ns *runtimeapi.NamespaceOption) error {
	h, err := r.findHandler(name)
	if err != nil || h == nil || usersOf(ns) == nil || h.features().users {
		return err
	}
	return unsupported("runtime handler %q: %s has no user namespaces with ID-mapped mounts", name, h.Program)
}

// programOf is the program that runs a pod's containers; "" for this runtime's own shim.
func (r *Runtime) programOf(p *pod) (string, error) {
	h, err := r.findHandler(p.handler)
	if err != nil || h == nil {
		return "", err
	}
	return h.Program, nil
}

// featuresLimit bounds how long a program may take to tell its features.
const featuresLimit = 5 * time.Second

// featuresOf asks a program, as the OCI specification has it ("features"). One that does not answer has none.
func featuresOf(program string) handlerFeatures {
	ctx, cancel := context.WithTimeout(context.Background(), featuresLimit)
	defer cancel()
	var told struct {
		MountOptions []string `json:"mountOptions"`
		Linux        struct {
			MountExtensions struct {
				IDMap struct {
					Enabled bool `json:"enabled"`
				} `json:"idmap"`
			} `json:"mountExtensions"`
		} `json:"linux"`
	}
	out, err := exec.CommandContext(ctx, program, "features").Output()
	if err != nil || json.Unmarshal(out, &told) != nil {
		return handlerFeatures{}
	}
	return handlerFeatures{recursiveReadOnly: slices.Contains(told.MountOptions, "rro"), users: told.Linux.MountExtensions.IDMap.Enabled}
}

// handlersStatus lists this runtime, under the name "", and the configured handlers whose program is there, by name.
func (r *Runtime) handlersStatus() []*runtimeapi.RuntimeHandler {
	users := r.mapsUsers() == nil
	all := []*runtimeapi.RuntimeHandler{{Features: &runtimeapi.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true, UserNamespaces: users}}}
	var names []string
	for name := range r.handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h, err := r.findHandler(name)
		if err != nil {
			continue
		}
		f := h.features()
		all = append(all, &runtimeapi.RuntimeHandler{Name: name, Features: &runtimeapi.RuntimeHandlerFeatures{
			RecursiveReadOnlyMounts: f.recursiveReadOnly, UserNamespaces: f.users && users,
		}})
	}
	return all
}

// missingHandlers says, for people, which handlers have no program.
func (r *Runtime) missingHandlers() []string {
	var all []string
	for name := range r.handlers {
		if _, err := r.findHandler(name); err != nil {
			all = append(all, failed(err, "pods of the handler fail").Error())
		}
	}
	slices.Sort(all)
	return all
}
