package main

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/utils/clock"
)

// member is an etcd of one member, run as a child.
type member struct {
	cmd     *exec.Cmd
	address string // of its clients
	tool    string // its benchmark's program
	log     string // where it complains
}

// startEtcd starts the etcd of a directory of programs with its data in dir, and returns when it answers.
func startEtcd(ctx context.Context, c clock.Clock, programs, dir string) (*member, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	m := &member{address: ports[0], tool: filepath.Join(programs, "etcd-benchmark"), log: filepath.Join(dir, "etcd.log")}
	log, err := os.Create(m.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	client, peer := "http://"+ports[0], "http://"+ports[1]
	m.cmd = exec.Command(filepath.Join(programs, "etcd"), "--data-dir", filepath.Join(dir, "etcd"), "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	for end := c.Now().Add(time.Minute); ; c.Sleep(50 * time.Millisecond) {
		err := m.ask(ctx, "range", map[string][]byte{"key": []byte("k")})
		if err == nil {
			return m, nil
		}
		if ctx.Err() != nil || c.Now().After(end) {
			said, _ := os.ReadFile(m.log)
			return nil, errors.Join(fmt.Errorf("etcd does not answer: %w; it said: %s", err, bytes.TrimSpace(said)), m.stop())
		}
	}
}

// freePorts returns loopback addresses that nobody listens on.
func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// stop ends the member.
func (m *member) stop() error {
	// It may have ended already: an interrupt goes to all of a terminal's processes.
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	// It ends by the signal that it was sent.
	if err := m.cmd.Wait(); err != nil && m.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// ask sends one request to the member's JSON gateway. The answer is not looked at.
func (m *member) ask(ctx context.Context, verb string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.address+"/v3/kv/"+verb, bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", verb, resp.Status, said)
	}
	return err
}

// fill puts the objects that are read later under the keys that floe's log has too. The tool makes its own keys, which no argument can name.
func (m *member) fill(ctx context.Context) error {
	type put struct {
		Put map[string][]byte `json:"requestPut"`
	}
	const each = 100 // etcd takes 128 in a transaction
	for i := 0; i < keySpace; i += each {
		var puts []put
		for j := i; j < i+each; j++ {
			value := make([]byte, valueBytes)
			crand.Read(value) // never fails
			puts = append(puts, put{map[string][]byte{"key": []byte(keyOf(j)), "value": value}})
		}
		if err := m.ask(ctx, "txn", map[string][]put{"success": puts}); err != nil {
			return err
		}
	}
	return nil
}

// call is one run of the tool.
type call struct {
	name           string
	clients, total int
	words          []string
}

// callLimit is far above what a call takes. The tool would wait for ever for a member that has ended.
const callLimit = 5 * time.Minute

// conns is how many connections the tool's clients share, as in etcd's own documentation of its performance.
const conns = 16

func calls(n size) []call {
	put := []string{"put", "--key-size=" + strconv.Itoa(len(keyOf(0))), "--val-size=" + strconv.Itoa(valueBytes),
		"--key-space-size=" + strconv.Itoa(keySpace), "--sequential-keys"}
	one, end := keyOf(keySpace/2), prefix[:len(prefix)-1]+"0" // "0" follows "/"
	return []call{
		{"put-one", 1, n.lonePuts, put},
		{"put-many", manyPuts, n.puts, put},
		{"get-one", 1, n.gets / 10, []string{"range", one}},
		{"get", manyPuts, n.gets, []string{"range", one}},
		{"get-serializable", manyPuts, n.gets, []string{"range", "--consistency=s", one}},
		{"range", 1, n.ranges, []string{"range", prefix, end}},
	}
}

// measure runs the tool once and returns what it and the member showed.
func (m *member) measure(ctx context.Context, c call) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	before, err := cpuOf(m.cmd.Process.Pid)
	if err != nil {
		return result{}, err
	}
	words := append([]string{"--endpoints=" + m.address, "--precise", "--clients=" + strconv.Itoa(c.clients),
		"--conns=" + strconv.Itoa(min(c.clients, conns))}, c.words...)
	tool := exec.CommandContext(ctx, m.tool, append(words, "--total="+strconv.Itoa(c.total))...)
	var complaints bytes.Buffer
	tool.Stderr = &complaints // mostly its progress bar
	out, err := tool.Output()
	if err != nil {
		return result{}, fmt.Errorf("%s: %w: %s", strings.Join(tool.Args, " "), err, complaints.String())
	}
	after, err := cpuOf(m.cmd.Process.Pid)
	if err != nil {
		return result{}, err
	}
	r, err := readReport(string(out))
	if err != nil {
		return result{}, fmt.Errorf("%s: %w", strings.Join(tool.Args, " "), err)
	}
	resident, err := memoryOf(strconv.Itoa(m.cmd.Process.Pid), "VmRSS")
	used := tool.ProcessState.UserTime() + tool.ProcessState.SystemTime()
	r.Scenario, r.Clients, r.Operations = c.name, c.clients, c.total
	r.Processes = []process{
		{"etcd", milliseconds(after-before) / float64(c.total), resident},
		{"etcd-benchmark", milliseconds(used) / float64(c.total), 0},
	}
	return r, err
}

// measureEtcd runs every scenario on a new etcd with its data in dir.
func measureEtcd(ctx context.Context, c clock.Clock, programs, dir string, n size) (results []result, err error) {
	m, err := startEtcd(ctx, c, programs, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	if err := m.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill etcd: %w", err)
	}
	for _, call := range calls(n) {
		r, err := m.measure(ctx, call)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
