package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// program is another OCI runtime (crun, runc, runsc) that runs a container in libcontainer's place, called as the command line of OCI runtimes
// is: create, start, exec, update, kill, delete. Its processes become children of this one, their subreaper, and are waited for as others are.
type program struct {
	path string
	root string // its state, which goes with the sandbox
	dir  string // the container's directory, which is the bundle
	id   string
}

// Names in a bundle besides its config.json.
const (
	pidName     = "pid"
	programLog  = "program.log"
	consoleName = "console"
)

// programVersion is the version of the OCI specification that bundles say they have: old programs, such as crun 1.8, refuse later ones, and what is
// newer in a bundle only comes to programs that say that they have the feature.
const programVersion = "1.0.2"

// maxSaid bounds what of a program's words is told.
const maxSaid = 4096

// command is the program with its global options; what it has to say goes to a log beside the bundle, because create hands its streams on.
func (g *program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.path, append([]string{"--root", g.root, "--log", filepath.Join(g.dir, programLog)}, args...)...)
	cmd.Dir = g.dir
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// run runs the program to its end, and tells what it said when it fails.
func (g *program) run(o *orphans, cmd *exec.Cmd) (err error) {
	o.starts(func() int { // nothing is reaped meanwhile: it is waited for here, and so are the children that it leaves
		err = cmd.Run()
		return 0
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(g.path), verb(cmd.Args), err, g.said(cmd))
	}
	return nil
}

// verb is what a program was asked to do: the word after its two global options.
func verb(args []string) string { return args[5] }

// said is the end of what the program wrote, to its log or else to its output.
func (g *program) said(cmd *exec.Cmd) string {
	said, _ := os.ReadFile(filepath.Join(g.dir, programLog))
	if b, ok := cmd.Stderr.(*bytes.Buffer); ok && len(said) == 0 {
		said = b.Bytes()
	}
	return strings.TrimSpace(string(said[max(0, len(said)-maxSaid):]))
}

// do runs a command of the program's that starts nothing.
func (g *program) do(o *orphans, input []byte, args ...string) error {
	cmd := g.command(args...)
	cmd.Stderr = &bytes.Buffer{}
	if input != nil {
		cmd.Stdin = bytes.NewReader(input)
	}
	return g.run(o, cmd)
}

// launch has cmd start a process, which writes its number to a file of that name in the bundle, and returns the process. A terminal is sent to console.
func (g *program) launch(o *orphans, cmd *exec.Cmd, pidFile string) (child, error) {
	var first child
	var err error
	o.starts(func() int {
		if err = cmd.Run(); err != nil {
			return 0
		}
		var data []byte
		if data, err = os.ReadFile(filepath.Join(g.dir, pidFile)); err != nil {
			return 0
		}
		if first.pid, err = strconv.Atoi(strings.TrimSpace(string(data))); err != nil {
			return 0
		}
		var p *os.Process
		if p, err = os.FindProcess(first.pid); err != nil {
			return 0
		}
		first.reap, first.kill = p.Wait, p.Kill
		return first.pid
	})
	if err != nil {
		return first, fmt.Errorf("%s %s: %w: %s", filepath.Base(g.path), verb(cmd.Args), err, g.said(cmd))
	}
	return first, nil
}

// launchProgram makes and starts the container with the program that the request names.
func (p *pod) launchProgram(c *container, r shim.StartRequest, spec *specs.Spec) error {
	dir := filepath.Join(p.dir, shim.ContainersDir, r.ID)
	c.program = &program{path: r.Program, root: filepath.Join(p.dir, "oci"), dir: dir, id: r.ID}
	spec.Version = programVersion
	if err := writeBundle(dir, spec); err != nil {
		return err
	}
	cmd := c.program.command("create", "--bundle", dir, "--pid-file", filepath.Join(dir, pidName))
	if err := c.program.streams(c, r, cmd, spec.Process.Terminal); err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, r.ID)
	var err error
	c.init, err = c.program.launch(&p.orphans, cmd, pidName)
	c.stdio.started(err == nil)
	if err == nil {
		err = c.program.do(&p.orphans, nil, "start", r.ID)
	}
	if err != nil {
		if c.init.pid != 0 { // made, and never started: nobody else waits for it
			_ = c.init.kill()
			p.wait(c.init)
		}
		return err
	}
	c.groups, err = manager.New(&cgroups.Cgroup{Path: c.group, Resources: &cgroups.Resources{SkipDevices: true}})
	return err
}

// streams gives create the container's ends of its streams.
func (g *program) streams(c *container, r shim.StartRequest, cmd *exec.Cmd, terminal bool) error {
	if terminal {
		listener, err := g.listen(consoleName)
		if err != nil {
			return err
		}
		cmd.Args = append(cmd.Args, "--console-socket", consoleName)
		cmd.Stderr = &bytes.Buffer{}
		c.stdio.begin(r)
		c.stdio.terminalFrom(listener, func() (*os.File, error) { return acceptTerminal(listener) }, c.log)
		return nil
	}
	streams := &process{}
	if err := c.stdio.open(streams, c.log, r, false); err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.Stdin, streams.Stdout, streams.Stderr
	return c.own(c.stdio.child...)
}

// listen waits for a terminal at a name in the bundle, which is short, as socket names are.
func (g *program) listen(name string) (*net.UnixListener, error) {
	dir, err := os.Open(g.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	_ = os.Remove(filepath.Join(g.dir, name)) // that of an earlier call
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	listener.SetUnlinkOnClose(false) // the name leads nowhere by then
	return listener, nil
}

// acceptTerminal takes the terminal that comes; closing the listener ends the waiting.
func acceptTerminal(listener *net.UnixListener) (*os.File, error) {
	conn, err := listener.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("no terminal came: %w", err)
	}
	defer conn.Close()
	socket, err := conn.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	return shim.ReceiveFile(socket)
}

// exec starts one more process in the container; serial tells its files from those of others.
func (g *program) exec(o *orphans, spec *specs.Process, streams *shim.Streams, serial uint64) (child, error) {
	name := "exec-" + strconv.FormatUint(serial, 10)
	encoded, err := json.Marshal(spec)
	if err != nil {
		return child{}, err
	}
	defer func() {
		for _, suffix := range []string{".json", ".pid", ".tty"} {
			_ = os.Remove(filepath.Join(g.dir, name+suffix))
		}
	}()
	if err := os.WriteFile(filepath.Join(g.dir, name+".json"), encoded, 0o600); err != nil {
		return child{}, err
	}
	cmd := g.command("exec", "--detach", "--process", filepath.Join(g.dir, name+".json"), "--pid-file", filepath.Join(g.dir, name+".pid"))
	if !spec.Terminal {
		cmd.Args = append(cmd.Args, g.id)
		giveStreams(streams, &cmd.Stdin, &cmd.Stdout, &cmd.Stderr)
		return g.launch(o, cmd, name+".pid")
	}
	listener, err := g.listen(name + ".tty")
	if err != nil {
		return child{}, err
	}
	cmd.Args = append(cmd.Args, "--console-socket", name+".tty", g.id)
	cmd.Stderr = &bytes.Buffer{}
	passed := make(chan error, 1)
	go func() { passed <- passTerminal(listener, streams.Stdin) }()
	first, err := g.launch(o, cmd, name+".pid")
	if err != nil {
		listener.Close()
	}
	err = errors.Join(err, <-passed)
	listener.Close()
	return first, err
}

// giveStreams assigns one by one: a nil file in an interface is not nil.
func giveStreams(streams *shim.Streams, stdin *io.Reader, stdout, stderr *io.Writer) {
	if streams.Stdin != nil {
		*stdin = streams.Stdin
	}
	if streams.Stdout != nil {
		*stdout = streams.Stdout
	}
	if streams.Stderr != nil {
		*stderr = streams.Stderr
	}
}

// passTerminal hands the terminal that comes to the listener on to socket.
func passTerminal(listener *net.UnixListener, socket *os.File) error {
	terminal, err := acceptTerminal(listener)
	if err != nil {
		return err
	}
	defer terminal.Close()
	conn, err := net.FileConn(socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = conn.(*net.UnixConn).WriteMsgUnix([]byte(consoleName), unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, sent)
}

// kill sends a signal to the first process, and SIGKILL to all.
func (g *program) kill(o *orphans, sig unix.Signal) error {
	args := []string{"kill", g.id, strconv.Itoa(int(sig))}
	if sig == unix.SIGKILL {
		args = []string{"kill", "--all", g.id, "KILL"}
	}
	return g.do(o, nil, args...)
}

// update gives the container other limits.
func (g *program) update(o *orphans, resources json.RawMessage) error {
	return g.do(o, resources, "update", "--resources", "-", g.id)
}

// remove takes down what the program keeps of the container; what was never made is removed.
func (g *program) remove(o *orphans) error {
	if _, err := os.Stat(filepath.Join(g.dir, pidName)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return g.do(o, nil, "delete", "--force", g.id)
}
