package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (e *env) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which kvctl this is",
		Long: `Version prints the version of kvctl, the revision of the source that it was built
from, as far as the build knows them, and the version of Go. kvctl --version does the
same.`,
		Example: `  kvctl version`,
		Args:    argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(e.out, version())
			return err
		},
	}
}

// version says what kvctl was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "kvctl, version not known, " + runtime.Version()
	}
	text := "kvctl " + info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text += ", revision " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			text += " with changes"
		}
	}
	return text + ", " + info.GoVersion
}
