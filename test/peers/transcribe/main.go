// Command transcribe sends the requests of transcripts to the server of KUBECONFIG and writes its answers below them. Arguments: the transcripts.
// The request COMPACT is for the server's etcd, which ETCD names.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/floe-k8s/floe/test/peers/exchange"
	"github.com/floe-k8s/floe/test/peers/sender"
	"github.com/floe-k8s/floe/test/peers/transcript"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "transcribe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string) error {
	s, err := sender.Connect(os.Getenv("KUBECONFIG"), os.Getenv("ETCD"))
	if err != nil {
		return err
	}
	for _, file := range files {
		blocks, err := transcript.Read(file)
		if err != nil {
			return err
		}
		for i := range blocks {
			if blocks[i].Answer, err = s.Answer(ctx, exchange.Parse(blocks[i].Input)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		if err := transcript.Write(file, blocks); err != nil {
			return err
		}
	}
	return nil
}
