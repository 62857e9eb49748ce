// Command floe-bench measures any Kubernetes API that a kubeconfig names, as `floe bench` runs it.
//
// This package binds flags to the options of internal/bench, prints, and chooses the exit code: 0 when all scenarios ran, 1 when one could
// not, the server died, nothing at all succeeded, or --fail-on-errors was given and an operation failed. It is carried in the floe program, not linked into it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "floe bench:", err)
		os.Exit(1)
	}
}
