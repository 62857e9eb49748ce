package floetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/pki"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// drain is how long calls in flight have to end with a control plane: nobody waits for their answers any more, and a second for idle connections, as servers
// leave them, would be most of a test.
const drain = 10 * time.Millisecond

// ControlPlane is a cluster that runs in this process. It is safe for concurrent use.
type ControlPlane struct {
	admin  cluster.Administrator
	client *kubernetes.Clientset
	stop   func() error
}

// Start starts a control plane and returns when it takes requests and its initial namespaces are there. It ends when the test and its subtests have ended. Where it
// cannot start, the test fails at once; an option that is out of range is named.
func Start(t testing.TB, options ...Option) *ControlPlane {
	t.Helper()
	c, err := start(options)
	if err != nil {
		t.Fatalf("floetest: %v", err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("floetest: the control plane ended with an error: %v", err)
		}
	})
	return c
}

// start is Start without a test.
func start(options []Option) (_ *ControlPlane, err error) {
	s := defaults()
	for _, option := range options {
		option(&s)
	}
	s.config.AddNodes(s.config.Simulation.Nodes)
	if s.config.DataDir, err = os.MkdirTemp(fleeting(), "floetest-"); err != nil {
		return nil, err
	}
	if err := s.config.Complete(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.config.DataDir))
	}
	c := &ControlPlane{}
	if err := c.run(s); err != nil {
		return nil, err
	}
	if c.client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// run starts the server and waits until it is ready. What it wrote goes with it.
func (c *ControlPlane) run(s settings) error {
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	env := cluster.Environment{
		Config: s.config, Version: "floetest", Clock: clock.RealClock{}, Log: s.log, Files: pebble.Memory(), Drain: drain,
		Ready: func(admin cluster.Administrator) {
			c.admin = admin
			close(ready)
		},
	}
	go func() {
		err := cluster.Run(ctx, env)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = nil
		}
		ended <- errors.Join(err, os.RemoveAll(s.config.DataDir))
	}()
	c.stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		return err
	})
	select {
	case <-ready:
		return nil
	case err := <-ended:
		cancel()
		return fmt.Errorf("the control plane does not start: %w", err)
	}
}

// fleeting is where the few small files of a control plane lie: memory, where the machine has such a folder, since half of a start would be waiting for a disk.
func fleeting() string {
	const memory = "/dev/shm"
	probe, err := os.CreateTemp(memory, "floetest-")
	if err != nil {
		return "" // the folder of temporary files
	}
	if errors.Join(probe.Close(), os.Remove(probe.Name())) != nil {
		return ""
	}
	return memory
}

// Config is how the cluster's administrator (kubernetes-admin, of group system:masters) reaches the API, without a limit of requests. It is the caller's own.
func (c *ControlPlane) Config() *rest.Config {
	return &rest.Config{
		Host: c.admin.URL, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{
			ServerName: c.admin.ServerName, CAData: slices.Clone(c.admin.Authority),
			CertData: slices.Clone(c.admin.Identity.CertPEM), KeyData: slices.Clone(c.admin.Identity.KeyPEM),
		},
	}
}

// Client is a client of Config. All calls return the same one.
func (c *ControlPlane) Client() kubernetes.Interface { return c.client }

// Kubeconfig is Config as the content of a kubeconfig file, for programs that a test runs. It holds the administrator's key.
func (c *ControlPlane) Kubeconfig() []byte {
	data, err := pki.Kubeconfig("floetest", c.admin.URL, c.admin.ServerName, c.admin.Authority, c.admin.Identity)
	if err != nil {
		panic(fmt.Sprintf("floetest: a kubeconfig file of strings cannot be written: %v", err))
	}
	return data
}

// Stop ends the control plane before the test ends, and returns when nothing of it is left. Further calls do nothing and return the same.
func (c *ControlPlane) Stop() error { return c.stop() }
