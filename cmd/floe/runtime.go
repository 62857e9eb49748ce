package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/observe"
)

func runtimeCommand() *cobra.Command {
	cfg := cluster.DefaultRuntimeConfig()
	cmd := &cobra.Command{
		Use:   "runtime",
		Short: "Serve the container runtime alone (CRI v1) to crictl and other kubelets",
		Long: "Serve the container runtime alone: CRI v1 on a unix socket, for crictl and other kubelets.\n\n" +
			"Containers go on when this program ends, and are found again by the next one. Another floe may not use the same state directory meanwhile.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var verbosity observe.Verbosity
			log, err := newLogger(&cfg.Logging, &verbosity)
			if err != nil {
				return err
			}
			programs, err := carried()
			if err != nil {
				return err
			}
			return cluster.RunRuntime(cmd.Context(), cluster.RuntimeEnvironment{
				Config: cfg, Version: version, Clock: clock.RealClock{}, Log: log, Programs: programs,
			})
		},
	}
	runtimeFlags(cmd.Flags(), &cfg)
	return cmd
}

// runtimeFlags binds the flags of floe runtime to the fields of its configuration.
func runtimeFlags(flags *pflag.FlagSet, cfg *cluster.RuntimeConfig) {
	flags.StringVar(&cfg.DataDir, "data-dir", cfg.DataDir, "directory that holds everything that the next two flags do not place elsewhere")
	flags.StringVar(&cfg.Root, "root", cfg.Root, "directory of images and writable layers (default DATA-DIR/images)")
	flags.StringVar(&cfg.State, "state", cfg.State, "directory of what runs, which only root may enter (default DATA-DIR/run/pods)")
	flags.StringVar(&cfg.Listen, "listen", cfg.Listen, "socket to serve CRI v1 on, for root alone")
	flags.StringVar(&cfg.CgroupParent, "cgroup-parent", cfg.CgroupParent, "cgroup of sandboxes whose request names none")
	flags.StringVar(&cfg.PodCIDR, "pod-cidr", cfg.PodCIDR, "range of IPv4 addresses that pods get; a kubelet must be given the same")
	flags.StringVar(&cfg.StreamAddress, "stream-address", cfg.StreamAddress, "address of the loopback that exec, attach and port-forward are served on; port 0 takes a free one")
	registryFlag(flags, &cfg.RegistryConfigDir)
	handlersFlag(flags, &cfg.RuntimeHandlers)
	devicesFlag(flags, &cfg.CDISpecDirs)
	pluginFlags(flags, &cfg.CNIConfDir, &cfg.CNIBinDir)
	loggingFlags(flags, &cfg.Logging)
}

// handlersFlag binds the flag of other OCI runtimes.
func handlersFlag(flags *pflag.FlagSet, handlers *[]string) {
	flags.StringSliceVar(handlers, "runtime-handler", *handlers,
		"another OCI runtime (crun, runc, runsc) for pods whose RuntimeClass has the handler NAME, as NAME=PATH of its program; may be given again")
}

// devicesFlag binds the flag of where devices are described.
func devicesFlag(flags *pflag.FlagSet, dirs *string) {
	flags.StringVar(dirs, "cdi-spec-dirs", *dirs, "directories (with colons between) whose files describe devices that containers may have by name (CDI)")
}

// pluginFlags binds the flags of the network's plug-ins.
func pluginFlags(flags *pflag.FlagSet, conf, bin *string) {
	flags.StringVar(conf, "cni-conf-dir", *conf, "directory of CNI network configurations, such as /etc/cni/net.d, whose plug-ins attach pods in place of the built-in network")
	flags.StringVar(bin, "cni-bin-dir", *bin, "directories (with colons between) of CNI plug-ins")
}
