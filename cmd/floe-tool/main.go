// Command floe-tool is the one program in floe's self-made image, for demos and tests: it can echo, serve HTTP, look names up, sleep, fail,
// use up memory, fetch a page and print its environment. It is static and imports nothing of Kubernetes.
//
//	floe-tool echo WORD…            prints the words
//	floe-tool serve [--port 8080]   answers HTTP with its host name, addresses and the path; /healthz says ok
//	floe-tool lookup NAME           prints the addresses of a name
//	floe-tool get URL               prints what a GET answers; fails unless the status is 2xx
//	floe-tool sleep DURATION        sleeps (1m, 10s, or seconds); "forever" is a duration too
//	floe-tool fail [--code 1]       ends with a code
//	floe-tool burn --memory BYTES   uses that much memory and keeps it
//	floe-tool print env             prints the environment
//	floe-tool print terminal        prints the size of its terminal, WIDTHxHEIGHT, now and whenever it changes
//	floe-tool cat [FILE…]           copies files, or its input until that ends, to its output
//	floe-tool fill BYTES [FILE]     writes that many bytes to a file, or to its output
//	floe-tool links PATH            prints where a link leads, or that a path is none
//	floe-tool fork DURATION         starts another of itself that sleeps, and sleeps itself
//
// SIGTERM and SIGINT end serve, sleep, fork and burn at once, with code 0.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// command is one subcommand: what it needs, and what it does with the words after its name.
type command struct {
	usage string
	run   func(ctx context.Context, args []string) error
}

// exitCode is an error that only carries a code.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// errUsage says that the words after the subcommand make no sense.
var errUsage = errors.New("wrong arguments")

func commands() map[string]command {
	return map[string]command{
		"echo":   {"echo WORD…", echo},
		"serve":  {"serve [--port 8080]", serve},
		"lookup": {"lookup NAME", lookup},
		"get":    {"get URL", get},
		"sleep":  {"sleep DURATION", sleep},
		"fail":   {"fail [--code 1]", fail},
		"burn":   {"burn --memory BYTES", burn},
		"print":  {"print env|terminal", printFacts},
		"cat":    {"cat [FILE…]", cat},
		"fill":   {"fill BYTES [FILE]", fill},
		"links":  {"links PATH", links},
		"fork":   {"fork DURATION", fork},
	}
}

func main() {
	// As PID 1 of a container this process gets no default actions: a signal that nobody handles does nothing.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx, os.Args[1:])
	var code exitCode
	switch {
	case err == nil:
		return
	case errors.As(err, &code):
		os.Exit(int(code))
	}
	fmt.Fprintln(os.Stderr, "floe-tool:", err)
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("which? " + names())
	}
	c, ok := commands()[args[0]]
	if !ok {
		return fmt.Errorf("%q is none of %s", args[0], names())
	}
	err := c.run(ctx, args[1:])
	if errors.Is(err, errUsage) {
		return fmt.Errorf("%w; usage: floe-tool %s", err, c.usage)
	}
	return err
}

func names() string {
	return strings.Join([]string{"echo", "serve", "lookup", "get", "sleep", "fail", "burn", "print", "cat", "fill", "links", "fork"}, ", ")
}
