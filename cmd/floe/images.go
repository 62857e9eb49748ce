package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/runtime/image"
	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

// imageOptions are the flags of floe images; each verb has those it needs.
type imageOptions struct {
	dataDir, registryConfigDir string
	plainHTTP                  bool
	user                       string
	passwordStdin              bool
	output                     string
	file                       string
	format                     string
	quiet                      bool
}

func imagesCommand() *cobra.Command {
	o := &imageOptions{dataDir: cluster.DefaultConfig().DataDir, registryConfigDir: cluster.DefaultRegistryConfigDir, format: string(image.FormatOCI)}
	cmd := &cobra.Command{
		Use:   "images",
		Short: "Manage the container images of this machine (also while a server runs)",
		Long: `Manage the container images of this machine, also while a server runs: both work on the same directory, DATA-DIR/images.

Names are completed as Docker does: nginx is docker.io/library/nginx:latest. An image is also known by ID, by the ID's 64 digits, and by NAME@DIGEST.`,
	}
	cmd.PersistentFlags().StringVar(&o.dataDir, "data-dir", o.dataDir, "the server's data directory")
	cmd.AddCommand(
		listImagesCommand(o), pullCommand(o), loadCommand(o), saveCommand(o),
		o.verb(&cobra.Command{
			Use: "rm NAME...", Short: "Remove images, by name or ID, with all their names",
			Long: "Remove images, by name or ID, with all their names, and the content that nothing needs any more. Layers that a container uses stay until it is removed.",
			Args: cobra.MinimumNArgs(1),
		}, removeImages),
		o.verb(&cobra.Command{
			Use: "prune", Short: "Remove what no image and no container needs",
			Long: "Remove content that no image, no container and no pull under way needs: what removed images left, what crashes left, and blobs that arrived in part.",
			Args: cobra.NoArgs,
		}, func(_ *cobra.Command, store *image.Store, _ []string) error { return store.Prune() }),
		pinCommand(o, "pin", "Ask the node never to remove images to make room", true),
		pinCommand(o, "unpin", "Let the node remove images to make room again", false),
		o.verb(&cobra.Command{
			Use: "build-self", Short: "Make " + image.SelfName + ", a small image of floe's own programs for demos and tests, and load it", Args: cobra.NoArgs,
		}, func(cmd *cobra.Command, store *image.Store, _ []string) error {
			return buildSelf(cmd, o.dataDir, store)
		}),
	)
	return cmd
}

// verb makes cmd do one thing with the images of the data directory.
func (o *imageOptions) verb(cmd *cobra.Command, do func(*cobra.Command, *image.Store, []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, err := o.open()
		if err != nil {
			return err
		}
		return do(cmd, store, args)
	}
	return cmd
}

func (o *imageOptions) open() (*image.Store, error) {
	programs, err := carried()
	if err != nil {
		return nil, err
	}
	shim, err := programs.Path("floe-shim", filepath.Join(o.dataDir, "bin"))
	if err != nil {
		return nil, err
	}
	return image.Open(image.Config{
		Root: filepath.Join(o.dataDir, "images"), Unpack: image.ShimUnpacker(shim),
		Registry: registry.New(registry.Config{HostsDir: o.registryConfigDir, PlainHTTP: o.plainHTTP}),
	})
}

// registryFlag is the same for the server and for floe images pull.
func registryFlag(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "registry-config-dir", *dir,
		"directories (with colons between) that hold hosts.toml files for registries, as containerd has them: REGISTRY/hosts.toml, or _default/hosts.toml")
}

func loadCommand(o *imageOptions) *cobra.Command {
	return o.verb(&cobra.Command{
		Use: "load FILE|DIRECTORY|-", Short: "Load the images of an archive, or of all archives in a directory",
		Long: `Load the images of an archive: what docker save writes, or an OCI layout in a tar; plain, gzip or zstd. "-" is the standard input. Of a directory, all
*.tar, *.tar.gz, *.tgz, *.tar.zst and *.tzst files are loaded that have changed since they were loaded last.`,
		Args: cobra.ExactArgs(1),
	}, func(cmd *cobra.Command, store *image.Store, args []string) error { return load(cmd, store, args[0]) })
}

func load(cmd *cobra.Command, store *image.Store, from string) error {
	images, err := loadFrom(cmd, store, from)
	for _, i := range images {
		fmt.Fprintf(cmd.OutOrStdout(), "loaded %s %s\n", firstOf(i.Names), i.ID)
	}
	if err != nil {
		return fmt.Errorf("loading %s: %w", from, err)
	}
	return nil
}

func loadFrom(cmd *cobra.Command, store *image.Store, from string) ([]*image.Image, error) {
	if from == "-" {
		return store.Load(cmd.Context(), cmd.InOrStdin())
	}
	info, err := os.Stat(from)
	if err == nil && info.IsDir() {
		return store.LoadDir(cmd.Context(), from)
	}
	return store.LoadFile(cmd.Context(), from)
}

func firstOf(names []string) string {
	if len(names) == 0 {
		return "<none>"
	}
	return names[0]
}

func buildSelf(cmd *cobra.Command, dataDir string, store *image.Store) error {
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

func saveCommand(o *imageOptions) *cobra.Command {
	cmd := o.verb(&cobra.Command{
		Use: "save NAME...", Short: "Write images into an archive",
		Long: `Write images into an archive, their layers as they came. Images that are asked for by name have that name in the archive, those by ID have none.`,
		Args: cobra.MinimumNArgs(1),
	}, func(cmd *cobra.Command, store *image.Store, args []string) error {
		return saveImages(cmd.Context(), store, o, args)
	})
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "file to write; - is the standard output")
	cmd.Flags().StringVar(&o.format, "format", o.format, "oci: an OCI image layout in a tar; docker: what docker save writes")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err) // there is no such flag
	}
	return cmd
}

// saveImages writes the archive beside its place first, so that there is a whole one or none.
func saveImages(ctx context.Context, store *image.Store, o *imageOptions, refs []string) error {
	format := image.Format(o.format)
	if !slices.Contains([]image.Format{image.FormatOCI, image.FormatDocker}, format) {
		return fmt.Errorf("--format %q: it must be oci or docker", o.format)
	}
	if o.file == "-" {
		return store.Save(ctx, os.Stdout, format, refs...)
	}
	f, err := os.CreateTemp(filepath.Dir(o.file), "."+filepath.Base(o.file)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails after the rename, which is fine
	err = store.Save(ctx, f, format, refs...)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), o.file)
}

func pinCommand(o *imageOptions, name, short string, pinned bool) *cobra.Command {
	return o.verb(&cobra.Command{Use: name + " NAME...", Short: short, Args: cobra.MinimumNArgs(1)}, func(_ *cobra.Command, store *image.Store, refs []string) error {
		var errs []error
		for _, ref := range refs {
			errs = append(errs, store.SetPinned(ref, pinned))
		}
		return errors.Join(errs...)
	})
}

func removeImages(_ *cobra.Command, store *image.Store, refs []string) error {
	var errs []error
	for _, ref := range refs {
		errs = append(errs, store.Remove(ref))
	}
	return errors.Join(errs...)
}
