package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/image"
	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

func pullCommand(o *imageOptions) *cobra.Command {
	cmd := o.verb(&cobra.Command{
		Use: "pull NAME...", Short: "Pull images from their registries",
		Long: `Pull images from their registries, or from the mirrors that hosts.toml files name. What a broken pull has received is there for the next one.

With --user the password is read from the first line of the standard input (--password-stdin) or from the environment variable FLOE_REGISTRY_PASSWORD.`,
		Args: cobra.MinimumNArgs(1),
	}, func(cmd *cobra.Command, store *image.Store, args []string) error {
		auth, err := o.auth(cmd.InOrStdin())
		if err != nil {
			return err
		}
		for _, name := range args {
			if err := pullOne(cmd, store, o, name, auth); err != nil {
				return err
			}
		}
		return nil
	})
	registryFlag(cmd.Flags(), &o.registryConfigDir)
	cmd.Flags().BoolVar(&o.plainHTTP, "plain-http", false, "ask registries without TLS of which no hosts.toml speaks")
	cmd.Flags().StringVarP(&o.user, "user", "u", "", "who pulls")
	cmd.Flags().BoolVar(&o.passwordStdin, "password-stdin", false, "read the password from the standard input")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "write the images' IDs only")
	return cmd
}

// maxPassword bounds what is read for a password, in bytes.
const maxPassword = 64 << 10

// auth takes the password from where no other user of the machine sees it.
func (o *imageOptions) auth(stdin io.Reader) (registry.Auth, error) {
	if o.user == "" {
		if o.passwordStdin {
			return registry.Auth{}, errors.New("--password-stdin needs --user")
		}
		return registry.Auth{}, nil
	}
	password := os.Getenv("FLOE_REGISTRY_PASSWORD")
	if o.passwordStdin {
		line, err := bufio.NewReader(io.LimitReader(stdin, maxPassword)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return registry.Auth{}, fmt.Errorf("password: %w", err)
		}
		password = strings.TrimRight(line, "\r\n")
	}
	if password == "" {
		return registry.Auth{}, errors.New("--user needs a password: give --password-stdin or set FLOE_REGISTRY_PASSWORD")
	}
	return registry.Auth{Username: o.user, Password: password}, nil
}

func pullOne(cmd *cobra.Command, store *image.Store, o *imageOptions, name string, auth registry.Auth) error {
	out := cmd.OutOrStdout()
	progress := &image.Progress{}
	done := func() {}
	if f, ok := out.(*os.File); ok && !o.quiet && isTerminal(f) {
		done = showProgress(f, name, progress)
	}
	img, err := store.Pull(cmd.Context(), name, auth, progress)
	done()
	if err != nil {
		return err
	}
	if o.quiet {
		fmt.Fprintln(out, img.ID)
		return nil
	}
	fmt.Fprintf(out, "pulled %s %s\n", name, img.ID)
	return nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// showProgress writes one line over and over, until the returned function is called, which waits for its end and clears the line.
func showProgress(w io.Writer, name string, p *image.Progress) func() {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				fmt.Fprint(w, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprint(w, "\r\x1b[K"+progressLine(name, p))
			}
		}
	}()
	return func() { close(quit); <-gone }
}

func progressLine(name string, p *image.Progress) string {
	done, total := p.Bytes()
	unpacked, layers := p.Layers()
	if total == 0 {
		return name + ": asking"
	}
	return fmt.Sprintf("%s: %s of %s, %d of %d layers unpacked", name, size(done), size(total), unpacked, layers)
}
