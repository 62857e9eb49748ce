// Command corpus makes, records and shows the differential corpus: what upstream's server answers to thousands of requests, good and bad ones of every kind.
//
//	corpus record OBJECTS FOLDER [NAME...]   asks the server of KUBECONFIG, and writes a packed transcript of each kind (pods.v1) to the folder
//	corpus show FILE [WORD...]               prints a packed transcript, or those of its requests that have all the words in their names
//	corpus requests FILE                     prints the requests that follow from a specification
//
// `make compare` records; package plan makes the requests, and a test of internal/api/wire sends them to floe.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/floe-k8s/floe/test/peers/corpus/plan"
	"github.com/floe-k8s/floe/test/peers/exchange"
	"github.com/floe-k8s/floe/test/peers/sender"
	"github.com/floe-k8s/floe/test/peers/transcript"
)

var errUsage = errors.New("usage: corpus record OBJECTS FOLDER [NAME...] | show FILE [WORD...] | requests FILE")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	switch {
	case args[0] == "record" && len(args) > 2:
		return record(ctx, args[1], args[2], args[3:])
	case args[0] == "show":
		return show(args[1], args[2:])
	case args[0] == "requests":
		spec, err := plan.Read(args[1])
		if err != nil {
			return err
		}
		blocks, err := spec.Blocks()
		if err == nil {
			_, err = os.Stdout.WriteString(transcript.Format(blocks))
		}
		return err
	}
	return errUsage
}

// show prints the blocks whose names have all the words.
func show(file string, words []string) error {
	blocks, err := transcript.Read(file)
	if err != nil {
		return err
	}
	blocks = slices.DeleteFunc(blocks, func(b transcript.Block) bool {
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(b.Lead, w) })
	})
	_, err = os.Stdout.WriteString(transcript.Format(blocks))
	return err
}

// together is how many kinds are recorded at once: most of the time a server's watches wait for their end.
const together = 8

func record(ctx context.Context, objects, folder string, names []string) error {
	files, err := plan.Files(objects)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(together)
	failed := make([]error, len(files))
	for i, file := range files {
		spec, err := plan.Read(file)
		if err != nil {
			failed[i] = err
			continue
		}
		if len(names) > 0 && !slices.Contains(names, spec.Name()) {
			continue
		}
		g.Go(func() error {
			if err := ask(ctx, spec, filepath.Join(folder, spec.Name()+transcript.Packed)); err != nil {
				failed[i] = fmt.Errorf("%s: %w", spec.Name(), err)
			}
			return nil
		})
	}
	return errors.Join(g.Wait(), errors.Join(failed...))
}

// ask sends the requests of one kind.
func ask(ctx context.Context, spec *plan.Spec, file string) error {
	s, err := sender.Connect(os.Getenv("KUBECONFIG"), os.Getenv("ETCD"))
	if err != nil {
		return err
	}
	blocks, err := spec.Blocks()
	if err != nil {
		return err
	}
	for i, b := range blocks {
		if blocks[i].Answer, err = s.Answer(ctx, exchange.Parse(b.Input)); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(b.Lead), err)
		}
	}
	err = transcript.Write(file, blocks)
	if spec.Verbs == nil {
		err = errors.Join(err, accepted(blocks))
	}
	return err
}

// good names the requests that create what the specification calls good.
var good = regexp.MustCompile(`^# create \d+\n`)

// accepted says which of the good objects the server has refused.
func accepted(blocks []transcript.Block) error {
	var refused error
	for _, b := range blocks {
		if good.MatchString(b.Lead) && !strings.HasPrefix(b.Answer, "201 ") {
			refused = errors.Join(refused, fmt.Errorf("%s is refused:\n%s", strings.TrimSpace(b.Lead), b.Answer))
		}
	}
	return refused
}
