package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api/history"
	"github.com/floe-k8s/floe/internal/cluster"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/store/backup"
)

func snapshotCommand() *cobra.Command {
	cfg, file, overwrite := cluster.DefaultConfig(), "", false
	cmd := &cobra.Command{Use: "snapshot", Short: "Save, verify and restore the state of a cluster"}
	verb := func(use, short, long string, do func(cmd *cobra.Command, env cluster.Environment, name string) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Long: long, Args: cobra.ExactArgs(1), RunE: func(cmd *cobra.Command, args []string) error {
			if err := loadConfig(cmd.Flags(), &cfg, file); err != nil {
				return err
			}
			var verbosity observe.Verbosity
			log, err := newLogger(&cfg.Logging, &verbosity)
			if err != nil {
				return err
			}
			return do(cmd, cluster.Environment{Config: cfg, Version: version, Clock: clock.RealClock{}, Log: log}, args[0])
		}}
	}
	save := verb("save FILE", "Save the newest state to a file, whether the server runs or not",
		"Save the newest state to a file, whether the server runs or not. The file appears when it is whole. It holds every object, secrets too, and is readable by its owner only.",
		func(cmd *cobra.Command, env cluster.Environment, name string) error {
			s, err := cluster.SaveSnapshot(cmd.Context(), env, name, overwrite)
			if err != nil {
				return err
			}
			return told(cmd, "saved", name, s)
		})
	save.Flags().BoolVar(&overwrite, "overwrite", overwrite, "replace FILE when it exists")
	cmd.AddCommand(save,
		verb("verify FILE", "Read a whole snapshot and say what is in it", "Read a whole snapshot, check it against its checksums, and say what is in it.",
			func(cmd *cobra.Command, _ cluster.Environment, name string) error {
				s, err := cluster.VerifySnapshot(name)
				if err != nil {
					return err
				}
				return contents(cmd, name, s)
			}),
		verb("restore FILE", "Make a snapshot the state of the cluster; the server must not run",
			"Make a snapshot the state of the cluster. The server must not run. The log that is there is put aside, not removed; an etcd has to be empty. Resource versions go on far above all that "+
				"were given out before, so that clients list again. Certificates and images are not part of a snapshot and stay as they are.",
			func(cmd *cobra.Command, env cluster.Environment, name string) error {
				r, err := cluster.RestoreSnapshot(cmd.Context(), env, name)
				if err != nil {
					return err
				}
				if err := told(cmd, "restored", name, r.Summary); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "revisions go on above %d\n", r.Base)
				if r.Replaced != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "the log that was there lies in %s: remove it when it is no longer wanted\n", r.Replaced)
				}
				return nil
			}))
	storeFlags(cmd.PersistentFlags(), &cfg, &file)
	return cmd
}

// told says in one line what was done with a snapshot.
func told(cmd *cobra.Command, what, name string, s backup.Summary) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %d objects at revision %d, %d bytes\n", what, name, s.Records, s.Revision, s.Bytes)
	return err
}

func contents(cmd *cobra.Command, name string, s backup.Summary) error {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s is whole: format %d, saved by floe %s at %s\n", name, s.Format, s.Version, s.Time.Format("2006-01-02 15:04:05 MST"))
	fmt.Fprintf(out, "%d objects at revision %d, %d bytes\n", s.Records, s.Revision, s.Bytes)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	if len(s.Collections) > 0 {
		fmt.Fprintln(w, "COLLECTION\tOBJECTS\tBYTES")
	}
	for _, c := range s.Collections {
		fmt.Fprintf(w, "%s\t%d\t%d\n", c.Prefix, c.Records, c.Bytes)
	}
	return w.Flush()
}

func historyCommand() *cobra.Command {
	dataDir, output := cluster.DefaultConfig().DataDir, "text"
	cmd := &cobra.Command{
		Use:   "history KEY",
		Short: "List what an object has been: revisions, who made them and why, and what they changed",
		Long: "List the revisions of an object that the server still knows, the oldest first, each with who made it, why, and what it changed. KEY is RESOURCE[.GROUP]/[NAMESPACE/]NAME " +
			"(without a namespace: default), or a key of the store.",
		Example: "  floe history pods/default/web\n  floe history deployments.apps/shop/cart\n  floe history nodes/n1\n  floe history /registry/configmaps/default/settings",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			versions, err := cluster.History(cmd.Context(), dataDir, args[0])
			if err != nil {
				return err
			}
			return writeHistory(cmd.OutOrStdout(), output, versions)
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", dataDir, "the server's data directory")
	cmd.Flags().StringVarP(&output, "output", "o", output, "text, or json: one version a line, whole, the newest first")
	return cmd
}

func writeHistory(w io.Writer, format string, versions []history.Version) error {
	switch format {
	case "text":
		return history.Write(w, versions)
	case "json":
		return history.WriteJSON(w, versions)
	}
	return fmt.Errorf("--output %q: must be text or json", format)
}
