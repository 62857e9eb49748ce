// Command definitions measures what a thousand real CustomResourceDefinitions cost a floe server: those of cert-manager, Cluster API and the Prometheus operator,
// as their Go modules have them, copied under groups of their own.
//
//	go run ./test/definitions -floe bin/floe -copies 1000
//
// It starts the server on a directory of its own, writes and deletes some config maps, so that the log's memory tables and the rings of events are as full as those of any server
// that is used, lets it rest, makes the definitions one after the other, and lets it rest again. It prints what the server
// holds at each step, and how long a write of another kind takes before and after. It fails when the definitions cost more than -most MB of resident memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type settings struct {
	floe   string        // the program
	copies int           // definitions that are made
	most   int           // MB of resident memory that they may cost at rest
	rest   time.Duration // before it is looked
	heap   string        // where the server's heap profile is written in the end; "": nowhere
}

func main() {
	var cfg settings
	flag.StringVar(&cfg.floe, "floe", "bin/floe", "the program to measure")
	flag.IntVar(&cfg.copies, "copies", 1000, "definitions to make")
	flag.IntVar(&cfg.most, "most", 100, "MB of resident memory that they may cost; 0: any")
	flag.DurationVar(&cfg.rest, "rest", 2*time.Minute, "how long the server rests before it is looked at what it holds")
	flag.StringVar(&cfg.heap, "heap", "", "a file that the server's heap profile is written to in the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "definitions:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, cfg settings) (err error) {
	all, err := definitions(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "floe-definitions")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := start(ctx, cfg.floe, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := s.rest(ctx, "fresh", 0); err != nil {
		return err
	}
	if err := s.use(ctx); err != nil {
		return err
	}
	before, err := s.rest(ctx, "before", cfg.rest)
	if err != nil {
		return err
	}
	began, size := time.Now(), 0
	for i := range cfg.copies {
		text, err := copyOf(all[i%len(all)], i/len(all))
		if err != nil {
			return err
		}
		size += len(text)
		if err := s.create(ctx, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", text); err != nil {
			return fmt.Errorf("definition %d: %w", i, err)
		}
	}
	fmt.Printf("%d definitions of %d kinds, %d MB of JSON, made in %v\n", cfg.copies, len(all), size/1e6, time.Since(began).Round(time.Second))
	if _, err := s.rest(ctx, "created", 0); err != nil {
		return err
	}
	after, err := s.rest(ctx, "rested", cfg.rest)
	if err != nil {
		return err
	}
	if cfg.heap != "" {
		if err := s.profile(ctx, cfg.heap); err != nil {
			return err
		}
	}
	cost := (after - before) / 1e6
	fmt.Printf("cost at rest: %d MB resident\n", cost)
	if cfg.most > 0 && cost > cfg.most {
		return fmt.Errorf("the definitions cost %d MB, more than %d", cost, cfg.most)
	}
	return nil
}
