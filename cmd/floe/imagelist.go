package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/floe-k8s/floe/internal/runtime/image"
)

func listImagesCommand(o *imageOptions) *cobra.Command {
	cmd := o.verb(&cobra.Command{
		Use: "ls", Aliases: []string{"list"}, Short: "List the images",
		Long: "List the images, the eldest first: names, ID, size of what was downloaded, and age. -o json tells digests and layers too.",
		Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, store *image.Store, _ []string) error {
		images, err := store.List()
		if err != nil {
			return err
		}
		switch o.output {
		case "":
			return writeImageTable(cmd.OutOrStdout(), images, time.Now())
		case "json":
			return writeJSON(cmd.OutOrStdout(), images)
		}
		return fmt.Errorf("--output %q: it must be json, or left out", o.output)
	})
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "json, or a table when left out")
	return cmd
}

// writeJSON writes a list, [] when there is nothing.
func writeJSON(w io.Writer, images []*image.Image) error {
	if images == nil {
		images = []*image.Image{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(images)
}

func writeImageTable(out io.Writer, images []*image.Image, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tIMAGE ID\tSIZE\tAGE")
	for _, i := range images {
		names := i.Names
		if len(names) == 0 {
			names = []string{"<none>"}
		}
		for _, name := range names {
			fmt.Fprintf(w, "%s\t%.19s\t%s\t%s\n", name, i.ID, size(i.Size), duration.HumanDuration(now.Sub(time.Unix(0, i.LoadedAt))))
		}
	}
	return w.Flush()
}

// size writes bytes with three digits or so: 12M, 345k.
func size(bytes int64) string {
	q := resource.NewQuantity(bytes, resource.DecimalSI)
	for scale := resource.Giga; scale >= resource.Kilo; scale -= 3 {
		if rounded := q.ScaledValue(scale); rounded >= 10 {
			return resource.NewScaledQuantity(rounded, scale).String()
		}
	}
	return q.String()
}
