package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// maxDocuments bounds the file that is applied; the server's own limit is lower.
const maxDocuments = 8 << 20

func (a *app) applyCommand() *cobra.Command {
	var file string
	var dryRun bool
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make policies, users and groups be as a file says",
		Long: `Applies a file of YAML or JSON documents, each a Policy, a User or a Group, and
shows what that changes. What the file does not name stays as it is; applying
the same file again changes nothing.`,
		Example: "  signet apply -f policies.yaml --dry-run\n  signet apply -f - < policies.yaml",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("which file? give it with -f; - is standard input")
			}
			docs, err := a.read(file, maxDocuments)
			if err != nil {
				return err
			}
			if len(docs) == 0 {
				return errors.New(file + " is empty")
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			diff, err := client.Apply(c.Context(), docs, dryRun)
			if err != nil {
				return err
			}
			return a.show(diff, func(w io.Writer) {
				fmt.Fprint(w, diff)
				if dryRun {
					fmt.Fprintln(w, "Nothing was changed.")
				}
			})
		},
	}
	c.Flags().StringVarP(&file, "file", "f", "", "`FILE` to apply; - for standard input")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "show what would change, but change nothing")
	return c
}
