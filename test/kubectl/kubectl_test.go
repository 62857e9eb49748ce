// Package kubectl runs upstream's kubectl, unmodified as floe carries it, against a server without a node: what a user types, and what they see.
//
// A test is a script in testdata (the form of rogpeppe/go-internal/testscript) with a server of its own. Besides the usual commands it has
//
//	kubectl ARGS...         runs it; stdout and stderr look at what it said
//	watching NAME ARGS...   starts it and lets it run
//	sees NAME TEXT          waits until what NAME says matches the regular expression TEXT
//	explain-all             explains every kind that the server has, with all its fields
//
// The server is the built one: `make build` comes first.
package kubectl

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// patience bounds every wait.
const patience = time.Minute

func TestScripts(t *testing.T) {
	program, err := filepath.Abs("../../bin/floe")
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "admin.kubeconfig"))
			env.Setenv("HOME", env.WorkDir) // kubectl's cache of discovery
			env.Values[programsKey{}] = &programs{path: program, running: map[string]*watcher{}}
			return serve(env, program)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"kubectl": runKubectl, "watching": watching, "sees": sees, "explain-all": explainAll},
	})
}

// serve starts a server for one script and waits until it is ready.
func serve(env *testscript.Env, program string) error {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		return err
	}
	server := exec.Command(program, "server", "--no-node", "--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port),
		"--data-dir", filepath.Join(env.WorkDir, ".data"), "--write-kubeconfig", filepath.Join(env.WorkDir, "admin.kubeconfig"))
	said := &output{ready: regexp.MustCompile(`msg=ready`), matched: make(chan struct{})}
	server.Stdout, server.Stderr = said, said
	if err := server.Start(); err != nil {
		return err
	}
	env.Defer(func() {
		_ = server.Process.Signal(unix.SIGTERM)
		_ = server.Wait()
	})
	return said.wait("the server is ready")
}

// output is what a program says. Many goroutines may write to it and one waits for a text.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer // guarded by mu
	ready   *regexp.Regexp
	matched chan struct{} // closed when ready matches; nil afterwards
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	o.check()
	return len(p), nil
}

// check is called with mu held.
func (o *output) check() {
	if o.matched != nil && o.ready.Match(o.text.Bytes()) {
		close(o.matched)
		o.matched = nil
	}
}

// expect sets what is waited for, in what was said and will be.
func (o *output) expect(re *regexp.Regexp) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ready, o.matched = re, make(chan struct{})
}

func (o *output) wait(what string) error {
	o.mu.Lock()
	matched := o.matched
	o.check()
	o.mu.Unlock()
	if matched == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-matched:
		return nil
	case <-ctx.Done():
		o.mu.Lock()
		defer o.mu.Unlock()
		return fmt.Errorf("waited for %s in vain: it said\n%s", what, o.text.String())
	}
}

// programs are a script's.
type programs struct {
	path    string
	running map[string]*watcher
}

type programsKey struct{}

// watcher is a kubectl that runs on.
type watcher struct{ said output }

func runKubectl(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value(programsKey{}).(*programs)
	err := ts.Exec(p.path, append([]string{"kubectl"}, args...)...)
	switch {
	case err != nil && !neg:
		ts.Fatalf("kubectl %v: %v", args, err)
	case err == nil && neg:
		ts.Fatalf("kubectl %v: no failure", args)
	}
}

func explainAll(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value(programsKey{}).(*programs)
	ts.Check(ts.Exec(p.path, "kubectl", "api-resources", "--no-headers"))
	kinds := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), "\n")
	if neg || len(args) > 0 || len(kinds) < 60 {
		ts.Fatalf("explain-all takes nothing, and there are %d kinds", len(kinds))
	}
	for _, line := range kinds {
		row := strings.Fields(line) // name, perhaps short names, version, namespaced, kind
		ts.Check(ts.Exec(p.path, "kubectl", "explain", row[0], "--api-version="+row[len(row)-3], "--recursive"))
		if said := ts.ReadFile("stdout"); !strings.Contains(said, row[len(row)-1]+"\n") || !strings.Contains(said, "metadata") {
			ts.Fatalf("kubectl explain %s --recursive: %s", row[0], said)
		}
	}
}

func watching(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: watching NAME ARGS...")
	}
	p := ts.Value(programsKey{}).(*programs)
	w := &watcher{}
	cmd := exec.Command(p.path, append([]string{"kubectl"}, args[1:]...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), &w.said, &w.said
	cmd.Env = append(os.Environ(), "KUBECONFIG="+ts.Getenv("KUBECONFIG"), "HOME="+ts.Getenv("HOME"))
	ts.Check(cmd.Start())
	p.running[args[0]] = w
	ts.Defer(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
	})
}

func sees(ts *testscript.TestScript, neg bool, args []string) {
	p := ts.Value(programsKey{}).(*programs)
	if neg || len(args) != 2 || p.running[args[0]] == nil {
		ts.Fatalf("usage: sees NAME TEXT, after watching NAME")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	w := p.running[args[0]]
	w.said.expect(re)
	ts.Check(w.said.wait(args[1]))
}
