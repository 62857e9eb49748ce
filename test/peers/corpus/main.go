// Command corpus makes, records and shows the differential corpus: what upstream's server answers to thousands of requests, good and bad ones of every kind.
//
//	corpus record OBJECTS FOLDER [NAME...]   asks the server of KUBECONFIG, and writes a packed transcript of each kind (pods.v1) and family (family-rights) to the folder
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

// script is what is recorded into one file.
type script struct {
	name   string
	alone  bool
	strict bool // what is called good must be accepted
	blocks []transcript.Block
}

func record(ctx context.Context, objects, folder string, names []string) error {
	all, err := scripts(objects)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		all = slices.DeleteFunc(all, func(s script) bool { return !slices.Contains(names, s.name) })
	}
	failed := make([]error, len(all))
	// What changes the answers to others comes after them, one by one.
	for _, turn := range []struct {
		alone bool
		limit int
	}{{false, together}, {true, 1}} {
		var g errgroup.Group
		g.SetLimit(turn.limit)
		for i, s := range all {
			if s.alone != turn.alone {
				continue
			}
			g.Go(func() error {
				if err := ask(ctx, s, filepath.Join(folder, s.name+transcript.Packed)); err != nil {
					failed[i] = fmt.Errorf("%s: %w", s.name, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// scripts are those of all kinds, then those of the families.
func scripts(objects string) ([]script, error) {
	files, err := plan.Files(objects)
	if err != nil {
		return nil, err
	}
	var out []script
	for _, file := range files {
		spec, err := plan.Read(file)
		if err != nil {
			return nil, err
		}
		blocks, err := spec.Blocks()
		if err != nil {
			return nil, err
		}
		out = append(out, script{spec.Name(), spec.Alone, spec.Verbs == nil, blocks})
	}
	for _, family := range plan.Families() {
		blocks, err := family.Blocks()
		if err != nil {
			return nil, err
		}
		out = append(out, script{family.Name, family.Alone, false, blocks})
	}
	return out, nil
}

// ask sends the requests of one script.
func ask(ctx context.Context, of script, file string) error {
	s, err := sender.Connect(os.Getenv("KUBECONFIG"), os.Getenv("ETCD"))
	if err != nil {
		return err
	}
	for i, b := range of.blocks {
		if of.blocks[i].Answer, err = s.Answer(ctx, exchange.Parse(b.Input)); err != nil {
			err = fmt.Errorf("%s: %w", strings.TrimSpace(b.Lead), err)
			return errors.Join(err, transcript.Write(file, of.blocks[:i])) // whoever mends it wants to see the others
		}
	}
	err = transcript.Write(file, of.blocks)
	if of.strict {
		err = errors.Join(err, accepted(of.blocks))
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
