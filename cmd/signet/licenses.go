package main

import (
	_ "embed"
	"io"

	"github.com/spf13/cobra"
)

//go:embed THIRD_PARTY_LICENSES
var licenses string

func (a *app) licensesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "licenses",
		Short: "Print the licences of everything in this program that is not ours",
		Args:  takes(),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.stdout, licenses)
			return err
		},
	}
}
