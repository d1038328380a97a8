package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// skipped is the status of a file that an earlier run has finished.
const skipped pfxconnector.Status = "skipped"

// importRun is one run of the import. It holds what became of a file only until
// that is said.
type importRun struct {
	*app
	client   *admin.Client
	flags    importFlags
	sum      tally
	seen     *foreteller // of a dry run
	finished *finished   // nil: nobody asked to write it down
	bar      *progress

	to     *escrow.Sealer // of what is sealed here
	limits pfx.Limits     // of what is opened here
}

// fileDone is what became of a file.
type fileDone struct {
	pfxconnector.FileReport
	mark mark
}

func (a *app) importPaths(c *cobra.Command, in importFlags, paths []string) (err error) {
	ctx := c.Context()
	files, err := openPFXFiles(paths)
	if err != nil {
		return err
	}
	defer files.Close()
	total, asks := 0, false
	for f := range files.all() {
		total, asks = total+1, asks || f.asks()
	}
	if asks {
		password, err := a.filesPassword(ctx, in)
		if err != nil {
			return err
		}
		defer password.Wipe()
		in.Password = password.RevealString()
	}
	run := &importRun{app: a, flags: in, sum: tally{files: total, dry: in.DryRun}, bar: a.newProgress(total)}
	if run.client, err = a.client(); err != nil {
		return err
	}
	if in.DryRun {
		run.seen = newForeteller()
	}
	if in.resume != "" {
		if run.finished, err = openFinished(in.resume, a.place()); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, run.finished.Close()) }()
	}
	if err := run.open(ctx, c); err != nil {
		return err
	}
	err = inOrder(ctx, chunks(files.all(), run.together()), run.several, func(list []fileDone) error {
		for _, d := range list {
			if err := run.tell(d); err != nil {
				return err
			}
		}
		return nil
	})
	run.bar.clear()
	if err != nil {
		return err
	}
	return run.conclude(ctx)
}

// prepared is a file that was read, with what the importer says about it.
type prepared struct {
	file pfxFile
	in   admin.NewImport
	mark mark
}

// several takes files one after the other, and gives what became of each.
func (r *importRun) several(ctx context.Context, files []pfxFile) ([]fileDone, error) {
	done := make([]fileDone, len(files))
	send := func(i int, p prepared) (err error) {
		defer clear(p.in.Data)
		done[i], err = r.send(ctx, p)
		return err
	}
	flush := func() error { return nil }
	if !r.flags.upload {
		b := &sealing{importRun: r, done: done}
		send, flush = func(i int, p prepared) error { return b.add(ctx, i, p) }, func() error { return b.flush(ctx) }
		defer b.forget()
	}
	for i, file := range files {
		p, what, err := r.prepare(ctx, file)
		if err != nil {
			return nil, err
		}
		if what != nil {
			done[i] = *what
			continue
		}
		if err := send(i, p); err != nil {
			return nil, err
		}
	}
	return done, flush()
}

// prepare reads a file, or tells what became of it without that anybody was
// asked.
func (r *importRun) prepare(ctx context.Context, file pfxFile) (prepared, *fileDone, error) {
	refused := func(code, msg, hint string) (prepared, *fileDone, error) {
		d := refusedFile(file.name, code, msg, hint)
		return prepared{}, &d, ctx.Err()
	}
	in := r.flags.NewImport
	in.File, in.User, in.Purpose = file.name, cmp.Or(file.User, in.User), cmp.Or(file.Purpose, in.Purpose)
	data, err := file.read()
	if f := fault.Of(err); f != nil {
		return refused(f.Code, f.Msg, f.Hint)
	}
	if err != nil {
		return refused(errFile.Code, errFile.Msg, err.Error())
	}
	in.Data = data
	p := prepared{file, in, markOf(in)}
	if r.finished.has(p.mark) {
		clear(data)
		return p, &fileDone{FileReport: pfxconnector.FileReport{File: file.name, Status: skipped, Identities: []pfxconnector.IdentityReport{}}}, nil
	}
	if !file.asks() {
		password, err := r.ownPassword(ctx, file, r.flags.runCommands)
		if err != nil {
			clear(data)
			return refused(errPassword.Code, errPassword.Msg, err.Error())
		}
		p.in.Password = password.RevealString()
	}
	return p, nil, nil
}

// send uploads one file. What the server refuses about the file is in the
// report; an error ends the whole run.
func (r *importRun) send(ctx context.Context, p prepared) (fileDone, error) {
	report, err := r.client.Import(ctx, p.in)
	f, ok := errors.AsType[*admin.Failure](err)
	switch {
	case ok && f.Code == httpd.ErrTooLarge.Code:
		return tooLarge(p.in.File), nil
	case ok && p.file.listed && (f.Code == directory.ErrUserUnknown.Code || f.Code == admin.ErrRequest.Code):
		return refusedFile(p.in.File, f.Code, f.Detail, f.Hint), nil
	}
	return fileDone{report, p.mark}, err
}

func refusedFile(name, code, msg, hint string) fileDone {
	return fileDone{FileReport: pfxconnector.FileReport{File: name, Status: pfxconnector.Refused, Code: &code, Message: msg, Hint: hint,
		Identities: []pfxconnector.IdentityReport{}}}
}

// tell says what became of a file, and then that it is finished.
func (r *importRun) tell(i fileDone) error {
	r.sum.add(i.FileReport)
	if r.seen != nil {
		r.seen.add(i.FileReport)
		r.sum.foresee(r.seen.sum)
	}
	if err := r.say(i.FileReport); err != nil {
		return err
	}
	r.bar.show(r.sum)
	if i.Status == skipped || i.Rejects()+i.Aside() > 0 {
		return nil
	}
	return r.finished.add(i.File, i.mark)
}

func (r *importRun) say(f pfxconnector.FileReport) (err error) {
	text := ""
	if r.output == "json" {
		text, err = fileLine(f)
	} else {
		text = fileLines(f, r.sum.files > manyFiles)
	}
	if err != nil || text == "" {
		return err
	}
	r.bar.clear()
	_, err = fmt.Fprint(r.stdout, text)
	return err
}

func (r *importRun) conclude(ctx context.Context) error {
	if r.output != "json" {
		fmt.Fprintln(r.stdout, r.sum)
	}
	if r.seen != nil {
		if err := r.foretell(ctx, r.client, r.seen); err != nil {
			return err
		}
	}
	if r.sum.refused+r.sum.aside > 0 {
		return errRejects
	}
	return nil
}
