package main

import (
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/runtime/image"
)

func imagesCommand() *cobra.Command {
	dataDir := cluster.DefaultConfig().DataDir
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Manage the container images of this machine (also while a server runs)",
	}
	cmd.PersistentFlags().StringVar(&dataDir, "data-dir", dataDir, "the server's data directory")
	cmd.AddCommand(
		imagesVerb("load FILE", "Load the images of an archive (docker save, or an OCI layout in a tar)", cobra.ExactArgs(1), &dataDir, loadImages),
		imagesVerb("build-self", "Make "+image.SelfName+", a small image of floe's own programs for demos and tests, and load it", cobra.NoArgs, &dataDir, buildSelf),
		imagesVerb("ls", "List the images", cobra.NoArgs, &dataDir, listImages),
		imagesVerb("rm NAME", "Remove an image by name or ID", cobra.ExactArgs(1), &dataDir, removeImage),
	)
	return cmd
}

// imageAction does one thing with the images of a data directory.
type imageAction func(cmd *cobra.Command, dataDir string, store *image.Store, args []string) error

func imagesVerb(use, short string, args cobra.PositionalArgs, dataDir *string, do imageAction) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		store, err := openImages(*dataDir)
		if err != nil {
			return err
		}
		return do(cmd, *dataDir, store, args)
	}}
}

func openImages(dataDir string) (*image.Store, error) {
	programs, err := carried()
	if err != nil {
		return nil, err
	}
	shim, err := programs.Path("floe-shim", filepath.Join(dataDir, "bin"))
	if err != nil {
		return nil, err
	}
	return image.Open(image.Config{Root: filepath.Join(dataDir, "images"), Unpack: image.ShimUnpacker(shim)})
}

func loadImages(cmd *cobra.Command, _ string, store *image.Store, args []string) error {
	return load(cmd, store, args[0])
}

func load(cmd *cobra.Command, store *image.Store, file string) error {
	images, err := store.LoadFile(cmd.Context(), file)
	if err != nil {
		return fmt.Errorf("loading %s: %w", file, err)
	}
	for _, i := range images {
		fmt.Fprintf(cmd.OutOrStdout(), "loaded %s %s\n", firstOf(i.Names), i.ID)
	}
	return nil
}

func firstOf(names []string) string {
	if len(names) == 0 {
		return "<none>"
	}
	return names[0]
}

func buildSelf(cmd *cobra.Command, dataDir string, store *image.Store, _ []string) error {
	programs, err := carried()
	if err != nil {
		return err
	}
	tool, err := programs.Path("floe-tool", filepath.Join(dataDir, "bin"))
	if err != nil {
		return err
	}
	archive, err := os.CreateTemp("", "floe-self-*.tar")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	if err := image.BuildSelf(archive, tool); err != nil {
		return err
	}
	return load(cmd, store, archive.Name())
}

func listImages(cmd *cobra.Command, _ string, store *image.Store, _ []string) error {
	images, err := store.List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tIMAGE ID")
	for _, i := range images {
		names := i.Names
		if len(names) == 0 {
			names = []string{"<none>"}
		}
		for _, name := range names {
			fmt.Fprintf(w, "%s\t%.19s\n", name, i.ID)
		}
	}
	return w.Flush()
}

func removeImage(_ *cobra.Command, _ string, store *image.Store, args []string) error {
	if err := store.Remove(args[0]); err != nil {
		return err
	}
	return store.Collect()
}
