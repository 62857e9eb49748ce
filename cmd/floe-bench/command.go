package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/bench"
)

// settings are the flags that are not options of a scenario as they stand.
type settings struct {
	options      bench.Options
	kubeconfig   string
	context      string
	output       string
	processes    []string
	failOnErrors bool
}

func command() *cobra.Command {
	s := &settings{}
	cmd := &cobra.Command{
		Use:         "floe-bench SCENARIO... [flags]",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "floe bench"},
		Short:       "Measure a Kubernetes API",
		Long: "Measure a Kubernetes API: latencies, rates, errors, and the CPU and memory of its processes on this machine.\n\nScenarios:\n" +
			scenarioList() + "\nall: every one of them but ready.",
		Example: `  floe bench create get --kubeconfig admin.kubeconfig --pid floe=4711
  floe bench list --objects 10000 --encoding json --gzip --count 20
  floe bench pod-start --clients 40 --count 40 --output json
  floe bench bound --nodes 5000 --count 5000
  floe bench ready --exec "floe server --data-dir {dir}" --kubeconfig {dir}/admin.kubeconfig`,
		Args:          cobra.MinimumNArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, args []string) error { return s.run(cmd, args) },
	}
	s.bind(cmd)
	cmd.AddCommand(floodWorker())
	return cmd
}

// floodWorker is the second process of scenario flood. It is started by it, and of no use to people.
func floodWorker() *cobra.Command {
	return &cobra.Command{Use: bench.FloodCommand, Hidden: true, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return bench.RunFlood(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), clock.RealClock{})
	}}
}

func (s *settings) bind(cmd *cobra.Command) {
	o, flags := &s.options, cmd.Flags()
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "kubeconfig file of the server ($KUBECONFIG or ~/.kube/config unless given); in ready, {dir} is the start's directory")
	flags.StringVar(&s.context, "context", "", "context of the kubeconfig (its current one unless given)")
	flags.IntVar(&o.Clients, "clients", 0, "workers, each with a connection of its own; in watch, the watchers (0: the scenario's default)")
	flags.IntVar(&o.Count, "count", 0, "operations; in watch, objects that are created (0: the scenario's default, or no limit with --duration)")
	flags.DurationVar(&o.Duration, "duration", 0, "how long operations are begun (0: until --count)")
	flags.DurationVar(&o.Timeout, "timeout", time.Minute, "limit of one request, and of one wait for a pod or a start")
	flags.DurationVar(&o.Rest, "rest", time.Minute, "how long memory lets the server rest before it looks for the last time")
	flags.StringVar(&o.Namespace, "namespace", "", "namespace to work in; one is made and removed unless given")
	flags.StringVar(&o.Kind, "kind", "pods", "what create, get, list and patch use: pods (that no scheduler takes) or configmaps")
	flags.IntVar(&o.Objects, "objects", 0, "objects that get, list and patch find (0: the scenario's default)")
	flags.StringVar(&o.Encoding, "encoding", "protobuf", "of bodies and answers: protobuf or json")
	flags.BoolVar(&o.Gzip, "gzip", false, "ask for compressed answers")
	flags.StringVar(&o.Image, "image", "floe.dev/self:v1", "image of pods")
	flags.StringSliceVar(&o.Args, "args", []string{"sleep", "1h"}, "arguments of pods' containers, separated by commas")
	flags.IntVar(&o.Nodes, "nodes", 0, "Node objects that bound makes for itself, and removes (0: the nodes that are there)")
	flags.StringVar(&o.Exec, "exec", "", "command that ready starts: words without quoting; {dir} is a new empty directory each time")
	flags.StringVar(&o.ReadyURL, "url", "", "server that ready asks without credentials, such as https://127.0.0.1:6443 (unless given: that of --kubeconfig)")
	flags.StringArrayVar(&s.processes, "pid", nil, "NAME=PID of a local server process whose CPU and memory are reported; may be repeated")
	flags.StringVarP(&s.output, "output", "o", "table", "table or json")
	flags.BoolVar(&s.failOnErrors, "fail-on-errors", false, "exit 1 when any operation failed")
}

func scenarioList() string {
	var text strings.Builder
	for _, s := range bench.Scenarios() {
		fmt.Fprintf(&text, "  %-10s %s\n", s.Name, s.Summary)
	}
	return text.String()
}

func (s *settings) run(cmd *cobra.Command, names []string) error {
	scenarios, err := choose(names)
	if err != nil {
		return err
	}
	if s.output != "table" && s.output != "json" {
		return fmt.Errorf("output %q: want table or json", s.output)
	}
	if err := s.complete(scenarios); err != nil {
		return err
	}
	s.options.OnProgress = func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), step+" …") }
	reports, err := s.measure(cmd.Context(), scenarios)
	if printErr := s.print(cmd.OutOrStdout(), reports); printErr != nil {
		return errors.Join(err, printErr)
	}
	for _, r := range reports {
		switch {
		case r.Failed > 0 && r.Operations == 0:
			err = errors.Join(err, fmt.Errorf("%s: not one operation succeeded", r.Scenario))
		case s.failOnErrors && r.Failed > 0:
			err = errors.Join(err, fmt.Errorf("%s: %d operations failed", r.Scenario, r.Failed))
		}
	}
	return err
}

func (s *settings) complete(scenarios []bench.Scenario) error {
	s.options.Clock = clock.RealClock{}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	s.options.Program = program
	for _, text := range s.processes {
		p, err := bench.ParseProcess(text)
		if err != nil {
			return err
		}
		s.options.Processes = append(s.options.Processes, p)
	}
	s.options.ReadyFrom = s.kubeconfig
	for _, scenario := range scenarios {
		if scenario.Name == "ready" {
			if s.options.ReadyURL == "" && s.kubeconfig == "" {
				return errors.New("ready needs --url or --kubeconfig to know where to ask")
			}
			continue
		}
		if s.options.Target == nil {
			target, err := bench.LoadTarget(s.kubeconfig, s.context)
			if err != nil {
				return err
			}
			s.options.Target = target
		}
	}
	return nil
}

// measure runs the scenarios one after another, and stops at the first that could not run to its end.
func (s *settings) measure(ctx context.Context, scenarios []bench.Scenario) ([]*bench.Report, error) {
	reports := []*bench.Report{} // never null in JSON
	base := strconv.FormatInt(time.Now().UnixMilli(), 36) + strconv.FormatInt(int64(os.Getpid()), 36)
	for i, scenario := range scenarios {
		s.options.RunID = base + strconv.Itoa(i)
		report, err := bench.Measure(ctx, scenario, s.options)
		if report != nil {
			reports = append(reports, report)
		}
		if err != nil {
			return reports, err
		}
	}
	return reports, nil
}

func (s *settings) print(to io.Writer, reports []*bench.Report) error {
	if s.output == "json" {
		encoder := json.NewEncoder(to)
		encoder.SetIndent("", "  ")
		return encoder.Encode(reports)
	}
	if len(reports) == 0 {
		return nil
	}
	return bench.WriteTable(to, reports)
}

func choose(names []string) ([]bench.Scenario, error) {
	var chosen []bench.Scenario
	for _, name := range names {
		if name == "all" {
			for _, s := range bench.Scenarios() {
				if s.Name != "ready" {
					chosen = append(chosen, s)
				}
			}
			continue
		}
		s, ok := bench.ScenarioNamed(name)
		if !ok {
			return nil, fmt.Errorf("scenario %q is none of these:\n%s", name, scenarioList())
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}
