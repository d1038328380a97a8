// Command signet enrolls iPhones and iPads and delivers S/MIME certificates to
// them: server, command line and demonstration in one program. It wires the
// rooms together and holds no rules of its own.
//
// Each sub-command stands in a file of its name; root.go has what they share.
// Those that work on a running server speak the admin API, over the socket in
// the data directory or, with --server and --token-file, from anywhere.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
