package main

import (
	"context"
	"encoding/hex"
	"iter"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// tooLarge is the refusal of a file that the server would not take.
func tooLarge(name string) fileDone {
	return refusedFile(name, httpd.ErrTooLarge.Code, "The file is larger than the server takes.", "See limits.import_file_kib.")
}

// How much is judged and stored in one go.
const (
	manyIdentities = 100
	manyBytes      = 512 << 10 // of files, which hold what travels
	mostTogether   = 50        // files
)

// open asks the server whom keys are sealed to, and makes sure that it is whom
// the administrator means.
func (r *importRun) open(ctx context.Context, c *cobra.Command) error {
	if r.flags.upload {
		return nil
	}
	to, err := r.client.Recipients(ctx)
	if err != nil {
		return err
	}
	r.limits = pfx.Default
	r.limits.FileBytes = int(min(to.MaxFile, maxImport))
	if !r.flags.DryRun {
		r.to, err = r.trusted(c, to, r.flags.escrowKey)
	}
	return err
}

// together is how many files are taken together, so that every core has some.
func (r *importRun) together() int {
	return max(1, min(mostTogether, r.sum.files/(4*runtime.GOMAXPROCS(0))))
}

// chunks cuts a sequence into pieces of n.
func chunks[T any](all iter.Seq[T], n int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		var piece []T
		for v := range all {
			if piece = append(piece, v); len(piece) < n {
				continue
			}
			if !yield(piece) {
				return
			}
			piece = nil
		}
		if len(piece) > 0 {
			yield(piece)
		}
	}
}

// sealing is some files that were opened here, until their keys are sealed and
// stored.
type sealing struct {
	*importRun
	done   []fileDone
	opened []opened
	keys   int
	bytes  int
}

// opened is one of them.
type opened struct {
	*pfxconnector.Opened
	prepared
	said pfxconnector.File // by the importer
	at   int               // its place among those that are done
}

// add opens a file.
func (s *sealing) add(ctx context.Context, at int, p prepared) error {
	defer clear(p.in.Data)
	said, bad := saidOf(p.in)
	switch {
	case bad != nil && !p.file.listed:
		return bad
	case bad != nil:
		s.done[at] = refusedFile(p.in.File, bad.Code, bad.Msg, bad.Hint)
		return nil
	case len(p.in.Data) > s.limits.FileBytes:
		s.done[at] = tooLarge(p.in.File)
		return nil
	}
	defer said.Password.Wipe()
	o, err := pfxconnector.Open(ctx, said, s.limits)
	if err != nil {
		return err
	}
	if len(s.opened) > 0 && (s.keys+len(o.Identities) > manyIdentities || s.bytes+len(p.in.Data) > manyBytes) {
		if err := s.flush(ctx); err != nil {
			o.Wipe()
			return err
		}
	}
	s.keys, s.bytes = s.keys+len(o.Identities), s.bytes+len(p.in.Data)
	p.in.Data, said.Data = nil, nil
	s.opened = append(s.opened, opened{o, p, said, at})
	return nil
}

// saidOf is what the importer says of a file, in the form of who opens it.
func saidOf(in admin.NewImport) (pfxconnector.File, *fault.Error) {
	f := pfxconnector.File{Name: in.File, Data: in.Data, AllowSigning: in.AllowSigningEscrow, AllowWeak: in.AllowWeak, AllowNoMAC: in.AllowNoMAC, DryRun: in.DryRun}
	use, err := cert.ParseUse(in.Purpose)
	if in.Purpose != "" && (err != nil || use == cert.Unknown) || len(in.User) > maxAddress {
		return f, admin.ErrRequest
	}
	if in.Purpose != "" {
		f.Purpose = use
	}
	f.Password = seal.SecretString(in.Password)
	return f, nil
}

// maxAddress bounds how users are named.
const maxAddress = 320

// flush has the certificates judged, seals the keys that are wanted, and hands
// them in.
func (s *sealing) flush(ctx context.Context) error {
	defer s.forget()
	if len(s.opened) == 0 {
		return nil
	}
	offers := make([]pfxconnector.Offer, len(s.opened))
	for i, o := range s.opened {
		offers[i] = o.offer(o.Offer())
	}
	j, err := s.client.Judge(ctx, offers)
	if err != nil {
		return err
	}
	if !judgesAll(j, offers) {
		return admin.ErrAnswer
	}
	if err := s.deposit(ctx, j); err != nil {
		return err
	}
	for i, o := range s.opened {
		if s.done[o.at], err = o.report(j.Files[i]); err != nil {
			return err
		}
	}
	return nil
}

// forget wipes what is left.
func (s *sealing) forget() {
	for _, o := range s.opened {
		o.Wipe()
	}
	s.opened, s.keys, s.bytes = nil, 0, 0
}

// judgesAll tells whether there is a judgement of each.
func judgesAll(j admin.Judgement, offers []pfxconnector.Offer) bool {
	if len(j.Files) != len(offers) {
		return false
	}
	for i, f := range j.Files {
		if f.Code == nil && len(f.Identities) != len(offers[i].Identities) {
			return false
		}
	}
	return true
}

func (o opened) offer(list []pfxconnector.Offered) pfxconnector.Offer {
	name := o.in.File
	if len(name) > pfxconnector.MostName {
		name = name[:pfxconnector.MostName]
	}
	return pfxconnector.Offer{File: strings.ToValidUTF8(name, "?"), Source: hex.EncodeToString(o.Source[:]), User: o.in.User, Purpose: o.in.Purpose,
		AllowSigningEscrow: o.in.AllowSigningEscrow, AllowWeak: o.in.AllowWeak, NoQuarantine: o.in.NoQuarantine, DryRun: o.in.DryRun, Identities: list}
}

// report joins what was seen here and what the server said.
func (o opened) report(j pfxconnector.Judged) (fileDone, error) {
	if j.Code != nil {
		if o.file.listed {
			return refusedFile(o.in.File, *j.Code, j.Message, j.Hint), nil
		}
		return fileDone{}, refusalOf(j)
	}
	var items []pfxconnector.IdentityReport
	for _, i := range j.Identities {
		items = append(items, i.IdentityReport)
	}
	return fileDone{o.Report(items), o.mark}, nil
}

// refusalOf gives why the server does not look at a file.
func refusalOf(j pfxconnector.Judged) error {
	return &fault.Error{Kind: fault.Invalid, Code: *j.Code, Msg: j.Message, Hint: j.Hint}
}

// deposit seals what is wanted and hands it in; what became of it is put into j.
func (s *sealing) deposit(ctx context.Context, j admin.Judgement) error {
	in := admin.Offers{Ticket: j.Ticket}
	var places [][]*pfxconnector.JudgedIdentity
	for i, o := range s.opened {
		list, at, err := s.seal(o, j.Files[i].Identities)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			in.Files, places = append(in.Files, o.offer(list)), append(places, at)
		}
	}
	if len(in.Files) == 0 {
		return nil
	}
	stored, err := s.client.Deposit(ctx, in)
	if err != nil {
		return err
	}
	if !judgesAll(stored, in.Files) {
		return admin.ErrAnswer
	}
	for i, f := range stored.Files {
		if f.Code != nil { // such as that the user is gone since
			return refusalOf(f)
		}
		for k, identity := range f.Identities {
			*places[i][k] = identity
		}
	}
	return nil
}

// seal seals those keys of a file that are wanted, and says where in the
// judgement each one stands.
func (s *sealing) seal(o opened, judged []pfxconnector.JudgedIdentity) (list []pfxconnector.Offered, at []*pfxconnector.JudgedIdentity, err error) {
	for i := range judged {
		if judged[i].Record == "" {
			continue
		}
		id := o.Identities[i]
		if s.to == nil {
			return nil, nil, admin.ErrAnswer // of a dry run nothing is wanted
		}
		if bad := o.said.Unfit(id.Certificate); bad != nil {
			judged[i].Refused(bad)
			continue
		}
		sealed, err := pfxconnector.SealFor(s.to, id, judged[i].Record, subject.UserID(judged[i].For))
		if bad := fault.Of(err); bad != nil {
			judged[i].Refused(bad)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		list, at = append(list, sealed), append(at, &judged[i])
	}
	return list, at, nil
}
