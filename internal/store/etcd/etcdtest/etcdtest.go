// Package etcdtest starts real etcd members on loopback for tests, and ends them.
//
// The program is upstream's etcd, built from its Go module; the environment variable FLOE_TEST_ETCD says where it is. A test
// that needs it fails when it is missing, with the command that builds it. Each cluster has free ports and a directory of its own, which is
// removed when the test passes and kept, with the members' logs, when it fails.
//
// A Cluster is used by one goroutine at a time. What members do when they die, such as losing answers, is what the tests of the
// package etcd are about: Kill is a kill -9, Freeze leaves the connections open.
package etcdtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Variable names the environment variable that says where etcd is.
const Variable = "FLOE_TEST_ETCD"

// startLimit is how long members may take to answer.
const startLimit = 60 * time.Second

// NoFsync is the argument for tests that lose no power: without it every write waits for the disk.
const NoFsync = "--unsafe-no-fsync"

// Cluster is one etcd cluster.
type Cluster struct {
	t       testing.TB
	dir     string
	args    []string
	client  *clientv3.Client
	members []*member
}

type member struct {
	name         string
	peer, client string // host:port
	cmd          *exec.Cmd
	exited       chan struct{} // closed when cmd has ended
}

// Program returns the path of etcd, or ends the test and says how to get it.
func Program(t testing.TB) string {
	t.Helper()
	path := os.Getenv(Variable)
	const build = "build it with: cd test/peers/etcd && CGO_ENABLED=0 go build -o ../../../bin/peers/etcd . ; then set it to that file's path"
	if path == "" {
		t.Fatalf("%s is not set, it names the etcd to test with; %s", Variable, build)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s: %v; %s", Variable, err, build)
	}
	return path
}

// Start starts a cluster of n members with further arguments of etcd, waits until each answers, and ends it with the test.
func Start(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	Program(t)
	dir, err := os.MkdirTemp("", "etcdtest-")
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{t: t, dir: dir, args: args}
	ports := freePorts(t, 2*n)
	for i := range n {
		c.members = append(c.members, &member{name: fmt.Sprint("m", i), peer: ports[2*i], client: ports[2*i+1]})
	}
	t.Cleanup(c.end)
	for _, m := range c.members {
		c.run(m, "new")
	}
	c.client = c.Client()
	for i := range c.members {
		c.Await(i)
	}
	return c
}

// freePorts returns loopback addresses that nobody listens on. They are taken all at once, so that they differ.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().String()
	}
	return ports
}

// run starts a member's process. state is new or existing.
func (c *Cluster) run(m *member, state string) {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, m.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	var cluster []string
	for _, o := range c.members {
		cluster = append(cluster, o.name+"=http://"+o.peer)
	}
	cmd := exec.Command(Program(c.t), append([]string{
		"--name=" + m.name, "--data-dir=" + filepath.Join(c.dir, m.name),
		"--listen-peer-urls=http://" + m.peer, "--initial-advertise-peer-urls=http://" + m.peer,
		"--listen-client-urls=http://" + m.client, "--advertise-client-urls=http://" + m.client,
		"--initial-cluster=" + strings.Join(cluster, ","), "--initial-cluster-state=" + state,
	}, c.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that crashes leaves no member behind
	if err := cmd.Start(); err != nil {
		c.t.Fatalf("start etcd member %s: %v", m.name, err)
	}
	m.cmd, m.exited = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(m.exited)
	}()
}

// end ends every member and the client.
func (c *Cluster) end() {
	if c.client != nil {
		c.client.Close()
	}
	for _, m := range c.members {
		c.kill(m)
	}
	if !c.t.Failed() {
		os.RemoveAll(c.dir)
		return
	}
	c.t.Logf("etcd's data and logs are kept in %s", c.dir)
	for _, m := range c.members {
		if log, err := os.ReadFile(filepath.Join(c.dir, m.name+".log")); err == nil {
			lines := bytes.Split(bytes.TrimSpace(log), []byte("\n"))
			c.t.Logf("the last of member %s:\n%s", m.name, bytes.Join(lines[max(len(lines)-5, 0):], []byte("\n")))
		}
	}
}

// Endpoints returns the members' client URLs.
func (c *Cluster) Endpoints() []string {
	var urls []string
	for _, m := range c.members {
		urls = append(urls, "http://"+m.client)
	}
	return urls
}

// Client returns a client of the whole cluster, closed with the test.
func (c *Cluster) Client() *clientv3.Client { return c.clientOf(c.Endpoints()...) }

func (c *Cluster) clientOf(endpoints ...string) *clientv3.Client {
	c.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop(), DialOptions: []grpc.DialOption{
		// A member that starts is met soon; the default waits a second after the first refusal.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.3, MaxDelay: time.Second}}),
	}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { client.Close() })
	return client
}

// Await waits until member i answers with the agreement of a quorum.
func (c *Cluster) Await(i int) {
	c.t.Helper()
	m := c.members[i]
	client := c.clientOf("http://" + m.client)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	go func() { // a member that has ended will not answer
		select {
		case <-m.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		try, end := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := client.Get(try, "x")
		end()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("etcd member %s does not answer: %v", m.name, err)
		}
	}
}

// Kill ends member i as kill -9 does.
func (c *Cluster) Kill(i int) { c.kill(c.members[i]) }

func (c *Cluster) kill(m *member) {
	if m.cmd != nil {
		_ = m.cmd.Process.Kill() // fails only when it has ended already
		<-m.exited
	}
}

// Freeze stops member i without ending it; its connections stay. Thaw lets it go on.
func (c *Cluster) Freeze(i int) { c.signal(i, syscall.SIGSTOP) }

// Thaw lets a member that was frozen go on.
func (c *Cluster) Thaw(i int) { c.signal(i, syscall.SIGCONT) }

func (c *Cluster) signal(i int, s syscall.Signal) {
	c.t.Helper()
	if err := c.members[i].cmd.Process.Signal(s); err != nil {
		c.t.Fatalf("etcd member %s: %v", c.members[i].name, err)
	}
}

// Restart starts member i again, with what it had on disk.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	c.run(c.members[i], "existing")
	c.Await(i)
}

// Replace puts a new member with an empty directory in the place of one that was killed, at the same addresses.
func (c *Cluster) Replace(ctx context.Context, i int) {
	c.t.Helper()
	m := c.members[i]
	list, err := c.client.MemberList(ctx)
	if err != nil {
		c.t.Fatalf("list etcd's members: %v", err)
	}
	for _, old := range list.Members {
		if old.Name == m.name {
			c.reconfigure(ctx, "remove member "+m.name, func() error {
				_, err := c.client.MemberRemove(ctx, old.ID)
				return err
			})
		}
	}
	m.name += "x"
	c.reconfigure(ctx, "add member "+m.name, func() error {
		_, err := c.client.MemberAdd(ctx, []string{"http://" + m.peer})
		return err
	})
	c.run(m, "existing")
	c.Await(i)
}

// reconfigure repeats a change of the members while etcd refuses it: it wants all others to have been connected for some seconds; and a
// member's identity is made of its address and the second in which it is added, so that the same address cannot come twice in one.
func (c *Cluster) reconfigure(ctx context.Context, what string, change func() error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		err := change()
		if err == nil {
			return
		}
		if ctx.Err() != nil || !errors.Is(err, rpctypes.ErrUnhealthy) && !errors.Is(err, rpctypes.ErrMemberNotFound) {
			c.t.Fatalf("etcd: %s: %v", what, err)
		}
		again, end := context.WithTimeout(ctx, 100*time.Millisecond)
		<-again.Done()
		end()
	}
}

// Leader waits until a member leads, and returns which.
func (c *Cluster) Leader(ctx context.Context) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for ctx.Err() == nil {
		for i, m := range c.members {
			try, end := context.WithTimeout(ctx, time.Second)
			status, err := c.client.Status(try, "http://"+m.client)
			end()
			if err == nil && status.Leader == status.Header.MemberId {
				return i
			}
		}
	}
	c.t.Fatalf("no member of etcd's leads: %v", ctx.Err())
	return -1
}
