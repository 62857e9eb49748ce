package main

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/observe"
)

func serverCommand() *cobra.Command {
	cfg, file := cluster.DefaultConfig(), ""
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a cluster on this machine: API, controllers, scheduler and node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			env, err := environment(cmd.Flags(), &cfg, file)
			if err != nil {
				return err
			}
			return cluster.Run(cmd.Context(), env)
		},
	}
	serverFlags(cmd.Flags(), &cfg, &file)
	cmd.Version = versions() // --version
	cmd.SetVersionTemplate("{{.Version}}")
	return cmd
}

// environment is what a server runs in that flags have configured.
func environment(flags *pflag.FlagSet, cfg *cluster.Config, file string) (env cluster.Environment, err error) {
	if err := loadConfig(flags, cfg, file); err != nil {
		return env, err
	}
	var verbosity observe.Verbosity
	log, err := newLogger(&cfg.Logging, &verbosity)
	if err != nil {
		return env, err
	}
	programs, err := carried()
	if err != nil {
		return env, err
	}
	env = cluster.Environment{Config: *cfg, Version: version, Clock: clock.RealClock{}, Log: log, Programs: programs, SetVerbosity: verbosity.Set}
	env.Flags = func() map[string]string { return flagValues(flags) }
	env.SetBlockProfileRate = runtime.SetBlockProfileRate
	env.Collector.Release = debug.FreeOSMemory
	env.Collector.Settle = func() {
		if err := releaseCode(); err != nil {
			log.Debug("the program's pages stay in memory", "err", err)
		}
	}
	if os.Getenv("GOGC") == "" { // else whoever set it knows better
		env.Collector.SetPercent = debug.SetGCPercent
	}
	return env, nil
}

// flagValues are all flags but those that cannot be chosen, and what each is. None is a secret: a test holds that.
func flagValues(flags *pflag.FlagSet) map[string]string {
	out := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			out[f.Name] = f.Value.String()
		}
	})
	return out
}

// newLogger is the program's log, on standard error.
func newLogger(cfg *cluster.Logging, verbosity *observe.Verbosity) (*slog.Logger, error) {
	verbosity.Set(cfg.Verbosity)
	modules, err := observe.ParseModules(cfg.VModule)
	if err != nil {
		return nil, fmt.Errorf("logging.vmodule: %w", err)
	}
	return observe.NewLogger(os.Stderr, cfg.Format, verbosity, modules)
}

// loadConfig reads file below the flags that were given: it is loaded over everything, then those flags are set again.
func loadConfig(flags *pflag.FlagSet, cfg *cluster.Config, file string) error {
	if file != "" {
		given := map[string][]string{}
		flags.Visit(func(f *pflag.Flag) { given[f.Name] = values(f) })
		if err := cfg.LoadFile(file); err != nil {
			return err
		}
		for name, list := range given {
			if err := set(flags.Lookup(name), list); err != nil {
				return err
			}
		}
	}
	return cfg.Complete()
}

// values are what a flag was given, one string for each of a list.
func values(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

func set(f *pflag.Flag, list []string) error {
	if v, ok := f.Value.(pflag.SliceValue); ok {
		return v.Replace(list)
	}
	return f.Value.Set(list[0])
}
