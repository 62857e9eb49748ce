package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/scheduler/why"
)

func whyCommand() *cobra.Command {
	dataDir, namespace, output := cluster.DefaultConfig().DataDir, "default", "text"
	cmd := &cobra.Command{
		Use:   "why POD",
		Short: "Say why a pod has the node that it has, or none, and what would help",
		Long: "Say for every node which rule of the scheduler refuses a pod there and what change would help; and of the nodes that would do, how each plug-in ranks the best.\n" +
			"For a pod that has a node the answer is what would be chosen now.",
		Example: "  floe why web-7d4b9\n  floe why cart-0 -n shop -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "text" && output != "json" {
				return fmt.Errorf("--output %q: must be text or json", output)
			}
			report, err := cluster.Why(cmd.Context(), dataDir, namespace, args[0])
			switch {
			case err != nil:
				return err
			case output == "json":
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			return why.Write(cmd.OutOrStdout(), report)
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", dataDir, "the server's data directory")
	cmd.Flags().StringVarP(&namespace, "namespace", "n", namespace, "the pod's namespace")
	cmd.Flags().StringVarP(&output, "output", "o", output, "text or json")
	return cmd
}
