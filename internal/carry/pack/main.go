// Command pack appends programs to a linked floe: pack FLOE PROGRAM... It is run by `make build` after linking, and replaces
// the file whole or not at all.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/floe-k8s/floe/internal/carry"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: pack FLOE PROGRAM...")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(floe string, programs []string) error {
	in, err := os.Open(floe)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(floe+".packed", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	linked, err := io.Copy(out, in)
	if err == nil {
		err = carry.Append(out, linked, programs)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), floe)
}
