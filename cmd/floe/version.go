package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/floe-k8s/floe/internal/cluster"
)

// versions is what floe version prints, and floe server --version.
func versions() string {
	return fmt.Sprintf("floe %s\nKubernetes API %s\n%s %s/%s\n", version, cluster.KubernetesVersion, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print floe's version and that of the Kubernetes API it serves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versions())
			return err
		},
	}
}
