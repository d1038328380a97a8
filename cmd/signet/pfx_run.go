package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
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
}

// fileDone is what became of a file.
type fileDone struct {
	pfxconnector.FileReport
	mark mark
}

func (a *app) importPaths(ctx context.Context, in importFlags, paths []string) (err error) {
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
	err = inOrder(ctx, files.all(), run.file, run.tell)
	run.bar.clear()
	if err != nil {
		return err
	}
	return run.conclude(ctx)
}

// file sends one file. What the server refuses about the file is in the report;
// an error ends the whole run.
func (r *importRun) file(ctx context.Context, file pfxFile) (fileDone, error) {
	in := r.flags.NewImport
	in.File, in.User, in.Purpose = file.name, cmp.Or(file.User, in.User), cmp.Or(file.Purpose, in.Purpose)
	data, err := file.read()
	if f := fault.Of(err); f != nil {
		return refusedFile(file.name, f.Code, f.Msg, f.Hint), nil
	}
	if err != nil {
		return refusedFile(file.name, errFile.Code, errFile.Msg, err.Error()), nil
	}
	defer clear(data)
	in.Data = data
	mark := markOf(in)
	if r.finished.has(mark) {
		return fileDone{FileReport: pfxconnector.FileReport{File: file.name, Status: skipped, Identities: []pfxconnector.IdentityReport{}}}, nil
	}
	if !file.asks() {
		password, err := r.ownPassword(ctx, file, r.flags.runCommands)
		if err != nil {
			return refusedFile(file.name, errPassword.Code, errPassword.Msg, err.Error()), ctx.Err()
		}
		in.Password = password.RevealString()
	}
	return r.send(ctx, file, in, mark)
}

func (r *importRun) send(ctx context.Context, file pfxFile, in admin.NewImport, m mark) (fileDone, error) {
	report, err := r.client.Import(ctx, in)
	f, ok := errors.AsType[*admin.Failure](err)
	switch {
	case ok && f.Code == "body_too_large":
		return refusedFile(file.name, f.Code, "The file is larger than the server takes.", "See limits.import_file_kib."), nil
	case ok && file.listed && (f.Code == directory.ErrUserUnknown.Code || f.Code == admin.ErrRequest.Code):
		return refusedFile(file.name, f.Code, f.Detail, f.Hint), nil
	}
	return fileDone{report, m}, err
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
