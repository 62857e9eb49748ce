package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/floe-k8s/floe/internal/cluster"
)

func controllersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "controllers",
		Short: "Print what each controller reads and writes",
		Long: "Print what each controller reads and writes, a line each: what wakes it (reads), what it looks at besides (looks at), and the fields that it alone writes.\n" +
			"An asterisk stands for every resource, custom ones included.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			graph, err := cluster.ControllerGraph()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), graph)
			return err
		},
	}
}
