// Command decide says what kube-scheduler decides: it reads cases of test/peers/scheduling, a JSON document each, from its standard input, and
// writes an answer for each pod that a case asks for, a JSON document a line, to its standard output.
//
// The scheduler is upstream's own, made by scheduler.New with the case's KubeSchedulerConfiguration on a clientset that holds the case's objects; it
// looks at all nodes (percentageOfNodesToScore: 100), one after the other. Nothing is bound and nothing evicted: each pod is decided on the case as
// it was written. Upstream picks by chance among equal nodes; so an answer has the scores of all of them, and all nodes that preemption finds
// equally good.
//
// The file case.go says what cases and answers look like. Package answers of the main module, which must not require k8s.io/kubernetes, has the same
// shapes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	"k8s.io/klog/v2"
)

func main() {
	workers := flag.Int("workers", 4, "how many cases are decided at once: making a scheduler is mostly waiting for its informers")
	times := flag.Bool("measure", false, "read workloads instead, and write how long decisions take")
	flag.Parse()
	klog.SetLogger(klog.NewKlogr().V(1))
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	err := error(nil)
	if *times {
		err = measure(context.Background(), os.Stdin, os.Stdout)
	} else {
		err = run(context.Background(), *workers, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "decide:", err)
		os.Exit(1)
	}
}

// task is a case on its way, and where its answers go: they are written in the order of the cases.
type task struct {
	c       Case
	answers chan []Answer
	failed  chan error
}

func run(ctx context.Context, workers int, in io.Reader, out io.Writer) error {
	todo := make(chan *task)
	order := make(chan *task, 8*workers) // what is decided and not yet written
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for t := range todo {
				answers, err := decide(ctx, t.c)
				t.answers <- answers
				t.failed <- err
			}
		})
	}
	var readErr error
	group.Go(func() {
		defer close(order)
		defer close(todo)
		readErr = read(in, func(t *task) { order <- t; todo <- t })
	})
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var failed error
	for t := range order {
		for _, a := range <-t.answers {
			failed = errors.Join(failed, enc.Encode(a))
		}
		if err := <-t.failed; err != nil {
			failed = errors.Join(failed, fmt.Errorf("case %s: %w", t.c.Name, err))
		}
	}
	group.Wait()
	return errors.Join(failed, readErr, w.Flush())
}

// read calls do for each case of the input.
func read(in io.Reader, do func(*task)) error {
	dec := json.NewDecoder(in)
	for {
		t := &task{answers: make(chan []Answer, 1), failed: make(chan error, 1)}
		if err := dec.Decode(&t.c); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("read a case: %w", err)
		}
		do(t)
	}
}
