// Command floe is a whole Kubernetes in one program: server, node and command line.
//
// This package binds subcommands and flags to the configuration of the parts; it decides nothing itself. Programs that a
// server does not need stand behind it in the same file (package carry) and are run from there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// version is floe's own, set at link time; a plain go build says dev.
var version = "dev"

func main() {
	cmd := root()
	if called := standIn(filepath.Base(os.Args[0])); called != nil {
		cmd = called
	}
	if err := cmd.ExecuteContext(untilSignal()); err != nil {
		fmt.Fprintln(os.Stderr, "floe:", err)
		os.Exit(1)
	}
}

// untilSignal returns a context that ends when the program is told to end. Whoever says it twice does not want to wait: it ends at once then.
func untilSignal() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	told := make(chan os.Signal, 2) // both, should nobody look meanwhile
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() { // until the program ends
		<-told
		stop()
		<-told
		os.Exit(1)
	}()
	return ctx
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "floe",
		Short:         "A whole Kubernetes in one program",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(serverCommand(), runtimeCommand(), snapshotCommand(), historyCommand(), whyCommand(), imagesCommand(), controllersCommand(), envtestCommand(), versionCommand(),
		carriedCommand("kubectl", "floe-kubectl", "Run kubectl (against this machine's cluster, unless told otherwise)"),
		carriedCommand("bench", "floe-bench", "Measure a Kubernetes API: create, get, list, watch, leases, patches, pod start"))
	return cmd
}
