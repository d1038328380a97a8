package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

func TestForetell(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	span := func(from, to int) pfxconnector.Span {
		return pfxconnector.Span{From: now.AddDate(from, 0, 0), To: now.AddDate(to, 0, 0)}
	}
	identity := func(user, cert, purpose string, status pfxconnector.Status, o pfxconnector.Outlook) pfxconnector.IdentityReport {
		return pfxconnector.IdentityReport{Status: status, UserID: user, Cert: cert, Purpose: purpose, Outlook: &o}
	}
	code := "pfx_password_wrong"
	f := newForeteller()
	for _, r := range []pfxconnector.FileReport{
		{Identities: []pfxconnector.IdentityReport{
			identity("a", "1", "both", pfxconnector.WouldImport, pfxconnector.Outlook{Span: span(-1, 1), Current: true}),
			identity("b", "2", "encryption", pfxconnector.WouldImport, pfxconnector.Outlook{Span: span(-5, -4)}),
			identity("b", "3", "signing", pfxconnector.WouldImport, pfxconnector.Outlook{Span: span(-4, 1)}),
			{Code: &code, Reason: "Wrong.", Hint: "Ask."}}},
		{Identities: []pfxconnector.IdentityReport{
			identity("b", "2", "encryption", pfxconnector.WouldImport, pfxconnector.Outlook{Span: span(-5, -4)}),
			identity("a", "4", "both", pfxconnector.Unchanged, pfxconnector.Outlook{Span: span(-9, -5)})}},
		{Code: &code, Message: "Wrong.", Hint: "Ask."},
	} {
		f.add(r)
	}
	user := func(id string, disabled bool) admin.User {
		return admin.User{ID: id, Mail: id + "@x", Disabled: disabled}
	}
	got := f.conclude([]admin.Coverage{
		{User: user("b", false), Spans: []pfxconnector.Span{span(-3, -2)}},
		{User: user("a", false), Spans: []pfxconnector.Span{span(-9, -5)}},
		{User: user("c", false)}, {User: user("d", false), Current: true}, {User: user("e", true)},
	}, now)
	want := forecast{Files: 3, WouldImport: 3, Unchanged: 1, Repeated: 1,
		Refused: []refusedCode{{code, "Wrong.", "Ask.", 2}},
		Users: []foretold{
			{"a@x", "a", 2, true, []pfxconnector.Span{span(-5, -1)}},
			{"b@x", "b", 3, false, []pfxconnector.Span{span(-4, -3), span(-2, 0)}}},
		WithoutCurrent: []string{"b@x", "c@x"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}
