package main

import (
	"os"
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
			if err := loadConfig(cmd.Flags(), &cfg, file); err != nil {
				return err
			}
			var verbosity observe.Verbosity
			verbosity.Set(cfg.Logging.Verbosity)
			log, err := observe.NewLogger(os.Stderr, cfg.Logging.Format, &verbosity)
			if err != nil {
				return err
			}
			programs, err := carried()
			if err != nil {
				return err
			}
			env := cluster.Environment{Config: cfg, Version: version, Clock: clock.RealClock{}, Log: log, Programs: programs, SetVerbosity: verbosity.Set}
			if os.Getenv("GOGC") == "" { // else whoever set it knows better
				env.SetGCPercent = debug.SetGCPercent
			}
			return cluster.Run(cmd.Context(), env)
		},
	}
	flags := cmd.Flags()
	storeFlags(flags, &cfg, &file)
	flags.StringVar(&cfg.BindAddress, "bind-address", cfg.BindAddress, "address that the API listens on; 0.0.0.0 or :: means all")
	flags.IntVar(&cfg.SecurePort, "secure-port", cfg.SecurePort, "port of the API; 0 takes a free one")
	flags.StringVar(&cfg.WriteKubeconfig, "write-kubeconfig", cfg.WriteKubeconfig, "file for a copy of the administrator's kubeconfig (DATA-DIR/admin.kubeconfig is always written)")
	apiFlags(flags, &cfg.API)
	networkFlags(flags, &cfg.Network)
	flags.BoolVar(&cfg.Node.Disabled, "no-node", cfg.Node.Disabled, "run no pods on this machine")
	flags.IntVar(&cfg.Logging.Verbosity, "v", cfg.Logging.Verbosity, "how much the log says: 0 information, each step more shows more")
	flags.StringVar(&cfg.Logging.Format, "logging-format", cfg.Logging.Format, "text or json")
	return cmd
}

// storeFlags are those of every command that opens the cluster's state.
func storeFlags(flags *pflag.FlagSet, cfg *cluster.Config, file *string) {
	flags.StringVar(&cfg.DataDir, "data-dir", cfg.DataDir, "directory that holds everything the server keeps")
	flags.StringVar(file, "config", *file, "configuration file (config.floe.dev/v1alpha1, kind ServerConfiguration); flags that are given win over it")
	etcd := &cfg.Store.Etcd
	flags.StringSliceVar(&etcd.Servers, "etcd-servers", etcd.Servers, "client URLs of an etcd that holds the cluster's state instead of the data directory")
	flags.StringVar(&etcd.CAFile, "etcd-cafile", etcd.CAFile, "authority of etcd's certificates")
	flags.StringVar(&etcd.CertFile, "etcd-certfile", etcd.CertFile, "client certificate for etcd")
	flags.StringVar(&etcd.KeyFile, "etcd-keyfile", etcd.KeyFile, "key of the client certificate for etcd")
}

// apiFlags have kube-apiserver's names and meanings.
func apiFlags(flags *pflag.FlagSet, cfg *cluster.API) {
	flags.Var(&cfg.FeatureGates, "feature-gates", "upstream's features to switch on or off; a name that is unknown, or that floe does not have in that state, is an error")
	flags.Var(&cfg.RuntimeConfig, "runtime-config", "API versions to switch on or off: GROUP/VERSION, GROUP/VERSION/RESOURCE, api/all, api/ga, api/beta, api/alpha (the core group is /v1)")
	flags.StringSliceVar(&cfg.EnableAdmissionPlugins, "enable-admission-plugins", nil, "admission plug-ins to switch on besides those that are on by default")
	flags.StringSliceVar(&cfg.DisableAdmissionPlugins, "disable-admission-plugins", nil, "admission plug-ins to switch off, also those that are on by default")
	flags.IntVar(&cfg.MaxRequestsInflight, "max-requests-inflight", cfg.MaxRequestsInflight, "requests in flight that change nothing, at most; 0 bounds nothing")
	flags.IntVar(&cfg.MaxMutatingRequestsInflight, "max-mutating-requests-inflight", cfg.MaxMutatingRequestsInflight, "requests in flight that change something, at most; 0 bounds nothing")
	flags.DurationVar(&cfg.RequestTimeout.Duration, "request-timeout", cfg.RequestTimeout.Duration, "how long a request may take that is no watch and follows nothing")
	flags.IntVar(&cfg.HTTP2MaxStreamsPerConnection, "http2-max-streams-per-connection", cfg.HTTP2MaxStreamsPerConnection, "requests at once on one HTTP/2 connection")
	flags.BoolVar(cfg.Profiling, "profiling", *cfg.Profiling, "serve /debug/pprof and /debug/flags to administrators")
	flags.IntVar(&cfg.MinRequestTimeout, "min-request-timeout", cfg.MinRequestTimeout, "seconds that a watch lasts at least")
}

// networkFlags have the names of kube-apiserver's and kube-controller-manager's.
func networkFlags(flags *pflag.FlagSet, n *cluster.Network) {
	const ranges = "where services' addresses come from: one range, or one of each family, separated by a comma"
	flags.StringSliceVar(&n.ServiceClusterIPRange, "service-cluster-ip-range", n.ServiceClusterIPRange, ranges)
	flags.StringSliceVar(&n.ServiceClusterIPRange, "service-cidr", n.ServiceClusterIPRange, "the same as --service-cluster-ip-range")
	flags.StringVar(&n.ServiceNodePortRange, "service-node-port-range", n.ServiceNodePortRange, "where services' ports on nodes come from")
	flags.StringSliceVar(&n.ClusterCIDR, "cluster-cidr", n.ClusterCIDR, "where pods' addresses come from: one range, or one of each family")
	flags.StringVar(&n.ClusterDomain, "cluster-domain", n.ClusterDomain, "DNS domain of the cluster")
	flags.StringVar(&n.AdvertiseAddress, "advertise-address", n.AdvertiseAddress,
		"address at which other machines and pods reach the API; by default --bind-address, or the host's first address")
	flags.StringVar(&n.EndpointReconcilerType, "endpoint-reconciler-type", n.EndpointReconcilerType, "who keeps the endpoints of the service default/kubernetes: lease or none")
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
