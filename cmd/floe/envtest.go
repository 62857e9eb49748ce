package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/cluster/standin"
	"github.com/floe-k8s/floe/internal/observe"
)

// standIn is the command of one of standin.Programs, when that is the name by which this program was called; nil: it is not.
func standIn(name string) *cobra.Command {
	switch name {
	case "etcd":
		return etcdCommand()
	case "kube-apiserver":
		return kubeAPIServerCommand()
	case "kubectl":
		return carriedCommand("kubectl", "floe-kubectl", "Run kubectl")
	}
	return nil
}

func envtestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "envtest DIR",
		Short: "Make a directory for KUBEBUILDER_ASSETS, with which envtest runs on floe",
		Long: `Make a directory that controller-runtime's envtest takes for KUBEBUILDER_ASSETS, and print it. etcd, kube-apiserver and kubectl in it are links to this program.

    export KUBEBUILDER_ASSETS="$(floe envtest ./bin/envtest)"
    go test ./...

The API and housekeeping run: namespaces, garbage collection, service accounts, quotas. The environment variable ` + standin.Variable + ` adds to them, as words with commas between:
workloads (all controllers of kube-controller-manager), scheduler, nodes=N, and names of controllers, with a - before them for one less.
See docs/testing.md.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := standin.Link(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), dir)
			return err
		},
	}
}

// etcdCommand is the etcd of the pair. Its flags are etcd's.
func etcdCommand() *cobra.Command {
	var member standin.Member
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Stand in for etcd: floe's kube-apiserver asks where its store is",
		Args:  cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(&cluster.Logging{Format: observe.FormatText}, &observe.Verbosity{})
			if err != nil {
				return err
			}
			member.Log = log
			return member.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&member.Place.Directory, "data-dir", "default.etcd", "directory that the server keeps everything in")
	flags.StringSliceVar(&member.ClientURLs, "listen-client-urls", []string{"http://localhost:2379"}, "URLs to listen on, http only")
	flags.BoolVar(&member.Place.Unsynced, "unsafe-no-fsync", false, "let the server not wait for its disk: what it stores survives it, but not the machine")
	refuseFlags(flags, fixedFlags("etcd", etcdTable))
	cmd.Version = versions()
	cmd.SetVersionTemplate("{{.Version}}")
	return cmd
}

// kubeAPIServerCommand is the kube-apiserver of the pair. Its flags are those of floe server, and --cert-dir.
func kubeAPIServerCommand() *cobra.Command {
	cfg, file, server := standin.DefaultConfig(), "", standin.Server{}
	cmd := &cobra.Command{
		Use:   "kube-apiserver",
		Short: "Stand in for kube-apiserver: a floe server on the store that its etcd names",
		Args:  cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if server.Choice, err = standin.ParseChoice(os.Getenv(standin.Variable)); err != nil {
				return err
			}
			unsynced, err := server.Prepare(cmd.Context(), &cfg)
			if err != nil {
				return err
			}
			env, err := environment(cmd.Flags(), &cfg, file)
			if err != nil {
				return err
			}
			env.Log.LogAttrs(cmd.Context(), slog.LevelInfo, "this kube-apiserver is floe", slog.Any("controllers", slices.Clone(cfg.Controllers.Enabled)), slog.Bool("scheduler", !cfg.Scheduler.Disabled))
			return standin.Run(cmd.Context(), env, unsynced)
		},
	}
	cmd.Flags().StringVar(&server.CertDir, "cert-dir", standin.DefaultCertDir, "directory with apiserver.crt and apiserver.key, unless --tls-cert-file names others")
	serverFlags(cmd.Flags(), &cfg, &file)
	cmd.Version = "Kubernetes " + cluster.KubernetesVersion + "\n" // as upstream's says
	cmd.SetVersionTemplate("{{.Version}}")
	return cmd
}
