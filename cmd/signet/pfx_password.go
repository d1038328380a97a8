package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// errPassword is the refusal of a file whose own password cannot be had.
var errPassword = fault.New(fault.Invalid, "pfx_password_unreadable",
	"The password of the file cannot be had.", "Check what the list says about it.")

// errCommand is why the command of a list is not run.
var errCommand = errors.New("commands in lists are run with --run-commands only")

// commandTime is how long a command may take to print a password.
const commandTime = time.Minute

// filesPassword is the password of all files that have none of their own: of
// the command or the file, or a person is asked for it.
func (a *app) filesPassword(ctx context.Context, in importFlags) (seal.Secret, error) {
	switch {
	case in.passwordCommand != "":
		return a.secretCommand(ctx, in.passwordCommand, "")
	case in.passwordFile != "":
		return a.secretFile(in.passwordFile)
	case !a.terminal(a.stdin):
		return seal.Secret{}, usagef("there is nobody to ask for the password: give --password-file or --password-command; an empty file is an empty password")
	}
	return a.askSecret("Password of the files: ")
}

// ownPassword is the password that a list has for the file.
func (a *app) ownPassword(ctx context.Context, f pfxFile, run bool) (seal.Secret, error) {
	switch {
	case f.PasswordFile != "":
		return a.secretFile(f.PasswordFile)
	case f.PasswordCommand == "":
		return f.Password, nil
	case !run:
		return seal.Secret{}, errCommand
	}
	return a.secretCommand(ctx, f.PasswordCommand, f.name)
}

// secretCommand runs a program, without a shell, and gives the first line that
// it prints. SIGNET_FILE tells it which file the password is for.
func (a *app) secretCommand(ctx context.Context, command, file string) (seal.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	words := strings.Fields(command)
	if len(words) == 0 {
		return seal.Secret{}, errors.New("the command is empty")
	}
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Env, c.Stderr, c.WaitDelay = append(os.Environ(), "SIGNET_FILE="+file), a.stderr, time.Second
	out := &bounded{left: maxSecretFile}
	c.Stdout = out
	defer func() { clear(out.Bytes()) }()
	if err := c.Run(); err != nil {
		return seal.Secret{}, fmt.Errorf("running the password command: %w", err)
	}
	line, _, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	return seal.SecretString(strings.TrimSuffix(string(line), "\r")), nil
}

// bounded keeps what is written, and refuses more than it may.
type bounded struct {
	bytes.Buffer
	left int
}

// Write implements [io.Writer].
func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("it prints too much")
	}
	return b.Buffer.Write(p)
}
