// Command scheduling asks kube-scheduler for decisions on random clusters, and records them.
//
//	scheduling record PROGRAM FOLDER [FAMILY...]  asks PROGRAM, built from test/peers/upstream/decide, and writes a file of answers for each family
//	scheduling measure PROGRAM FILE               asks it how long decisions take on the clusters of package workloads, and writes that
//	scheduling floe FILE                          measures floe's decisions on the same clusters, and writes that
//	scheduling bound FILE PODS [WORKLOAD...]      measures pods from created to bound on a server (server.go), and writes that
//	scheduling cases FAMILY [NUMBER...]           prints cases, a JSON document a line
//	scheduling show FILE [CASE...]                prints recorded answers, a JSON document a line
//
// `make compare` records; a test of internal/scheduler/differential holds floe's decisions against what is recorded.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"

	"github.com/floe-k8s/floe/test/peers/scheduling/answers"
	"github.com/floe-k8s/floe/test/peers/scheduling/cases"
	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

var errUsage = errors.New("usage: scheduling record PROGRAM FOLDER [FAMILY...] | measure PROGRAM FILE | floe FILE | bound FILE PODS [WORKLOAD...] | cases FAMILY [NUMBER...] | show FILE [CASE...]")

// version is that of the module which PROGRAM is built from.
const version = "v1.36.3"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "scheduling:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	switch {
	case args[0] == "record" && len(args) > 2:
		return record(ctx, args[1], args[2], args[3:])
	case args[0] == "measure" && len(args) == 3:
		return measure(args[2], func(w workloads.Workload) (workloads.Result, error) { return upstream(ctx, args[1], w) })
	case args[0] == "floe":
		return measure(args[1], floe)
	case args[0] == "bound" && len(args) > 2:
		return bound(ctx, args[1], args[2], args[3:])
	case args[0] == "cases":
		return print(args[1], args[2:])
	case args[0] == "show":
		return show(args[1], args[2:])
	}
	return errUsage
}

func record(ctx context.Context, program, folder string, names []string) error {
	for _, f := range cases.Families() {
		if len(names) > 0 && !slices.Contains(names, f.Name) {
			continue
		}
		var sum cases.Sum
		send := func(enc *json.Encoder) error {
			return write(f, nil, func(c cases.Case) error { return errors.Join(sum.Add(c), enc.Encode(c)) })
		}
		list, err := ask(exec.CommandContext(ctx, program), send, answers.Decode[answers.Answer])
		if err != nil {
			return fmt.Errorf("family %s: %w", f.Name, err)
		}
		if err := answers.Write(answers.File(folder, f.Name), answers.Header{Version: version, Sum: sum.String()}, list); err != nil {
			return err
		}
		fmt.Println(summary(f.Name, list))
	}
	return nil
}

// ask runs a program, sends it what it asks for, and reads what it says.
func ask[T any](cmd *exec.Cmd, send func(*json.Encoder) error, read func(*json.Decoder) ([]T, error)) ([]T, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	go func() { sent <- errors.Join(send(json.NewEncoder(in)), in.Close()) }()
	list, err := read(json.NewDecoder(out))
	return list, errors.Join(err, cmd.Wait(), <-sent)
}

// write does something with the family's cases of some numbers, or with all.
func write(f cases.Family, numbers []int, do func(cases.Case) error) error {
	for n := range f.Count() {
		if len(numbers) > 0 && !slices.Contains(numbers, n) {
			continue
		}
		c, err := f.Case(n)
		if err != nil {
			return err
		}
		if err := do(c); err != nil {
			return fmt.Errorf("case %s: %w", c.Name, err)
		}
	}
	return nil
}

// summary counts what was decided.
func summary(family string, list []answers.Answer) string {
	var fits, unfit, gated, failed, preempt int
	for _, a := range list {
		switch {
		case a.Gated != nil:
			gated++
		case a.Error != "":
			failed++
		case len(a.Best) > 0:
			preempt++
		case len(a.Feasible) > 0:
			fits++
		default:
			unfit++
		}
	}
	return fmt.Sprintf("%-20s %4d pods: %4d fit, %4d fit nowhere, %4d preempt, %4d gated, %4d fail", family, len(list), fits, unfit, preempt, gated,
		failed)
}

func print(family string, args []string) error {
	var numbers []int
	for _, a := range args {
		n, err := strconv.Atoi(a)
		if err != nil {
			return fmt.Errorf("number %q: %w", a, err)
		}
		numbers = append(numbers, n)
	}
	i := slices.IndexFunc(cases.Families(), func(f cases.Family) bool { return f.Name == family })
	if i < 0 {
		return fmt.Errorf("there is no family %q", family)
	}
	enc := json.NewEncoder(os.Stdout)
	return write(cases.Families()[i], numbers, func(c cases.Case) error { return enc.Encode(c) })
}

func show(file string, names []string) error {
	_, list, err := answers.Read(file)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(os.Stdout)
	enc.SetEscapeHTML(false)
	for _, a := range list {
		if len(names) == 0 || slices.Contains(names, a.Case) {
			if err := enc.Encode(a); err != nil {
				return err
			}
		}
	}
	return nil
}

// The size of what is measured.
const (
	nodes     = 5000
	decisions = 300
)

// measure writes how long the decisions of each workload take, one workload after the other.
func measure(file string, decide func(workloads.Workload) (workloads.Result, error)) error {
	var all []workloads.Result
	for _, name := range workloads.Names() {
		w, err := workloads.Make(name, nodes, decisions)
		if err != nil {
			return err
		}
		r, err := decide(w)
		if err != nil {
			return fmt.Errorf("workload %s: %w", name, err)
		}
		fmt.Printf("%-28s %9.1f µs of CPU a decision; %9.1f µs, p50 %9.1f, p99 %9.1f\n", r.Name, r.CPU, r.Mean, r.P50, r.P99)
		all = append(all, r)
	}
	return save(file, all)
}

func save(file string, all any) error {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// upstream asks the program for kube-scheduler's times.
func upstream(ctx context.Context, program string, w workloads.Workload) (workloads.Result, error) {
	send := func(enc *json.Encoder) error { return enc.Encode(w) }
	results, err := ask(exec.CommandContext(ctx, program, "-measure"), send, answers.Decode[workloads.Result])
	if err == nil && len(results) != 1 {
		err = fmt.Errorf("%d results", len(results))
	}
	if err != nil {
		return workloads.Result{}, err
	}
	return results[0], nil
}
