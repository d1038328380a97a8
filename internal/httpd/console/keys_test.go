package console_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/pfxconnector"
)

var (
	keyCert = strings.Repeat("ab", 32)
	keyPath = "/admin/users/alice@example.com/keys/" + keyCert
)

// keys has one certificate of everybody, one in quarantine, and takes files by
// their names.
type keys struct {
	admin.Keys
	pinned bool
	done   []string // what was done
}

func (k *keys) List(context.Context, subject.User) ([]pfxconnector.Item, error) {
	return []pfxconnector.Item{{Cert: keyCert, Subject: nasty, Issuer: nasty, Undelivered: nasty, Addresses: []string{nasty}, Purpose: "both", Says: "encryption",
		Source: "imported", Place: cert.Past, Reason: nasty, Pinned: k.pinned}}, nil
}

func (k *keys) Import(_ context.Context, _ journal.Actor, f pfxconnector.File) (pfxconnector.FileReport, error) {
	who := ""
	if f.User != nil {
		who = f.User.Mail
	}
	k.done = append(k.done, fmt.Sprintf("%s %q %s %q %s %v %v", f.Name, f.Data, f.Password.RevealString(), who, f.Purpose, f.AllowSigning, f.DryRun))
	code := "pfx_password_wrong"
	if strings.HasPrefix(f.Name, "bad") {
		return pfxconnector.FileReport{File: f.Name, Status: pfxconnector.Refused, Code: &code, Message: "The password does not open it.", Hint: "Look at the keyboard.",
			Identities: []pfxconnector.IdentityReport{}}, nil
	}
	not := "pfx_not_encryption"
	return pfxconnector.FileReport{File: f.Name, Status: pfxconnector.Imported, Identities: []pfxconnector.IdentityReport{
		{Status: pfxconnector.Imported, User: "alice@example.com", Purpose: "encryption", Warnings: []string{"A warning."}},
		{Status: "not_encryption", Code: &not, Reason: "It signs only.", Hint: "A hint."},
		{Status: pfxconnector.Quarantined, Purpose: "both", Quarantine: &pfxconnector.Aside{ID: "q-1", Code: "pfx_no_user_match", Message: nasty}}}}, nil
}

func (k *keys) Repurpose(_ context.Context, _ journal.Actor, u subject.User, _ cert.Fingerprint, d pfxconnector.Decision) (cert.Use, error) {
	k.done = append(k.done, fmt.Sprintf("purpose %s %s %v", u.Mail, d.Purpose, d.AllowSigning))
	return cert.Both, nil
}

func (k *keys) Pin(_ context.Context, _ journal.Actor, u subject.User, f cert.Fingerprint) error {
	k.done, k.pinned = append(k.done, fmt.Sprintf("pin %s %.4s", u.Mail, f)), true
	return nil
}

func (k *keys) Unpin(_ context.Context, _ journal.Actor, u subject.User) error {
	k.done, k.pinned = append(k.done, "unpin "+u.Mail), false
	return nil
}

func (k *keys) waiting() pfxconnector.Waiting {
	return pfxconnector.Waiting{ID: "q-1", Cert: keyCert, Subject: nasty, Issuer: nasty, Addresses: []string{nasty}, File: nasty, Code: "pfx_no_user_match",
		Reason: "Nobody.", Candidates: []string{nasty}, Holders: []string{"u-9"}, State: "waiting", Failure: "escrow_tampered"}
}

func (k *keys) Waiting(context.Context, string, int) ([]pfxconnector.Waiting, error) {
	return []pfxconnector.Waiting{k.waiting()}, nil
}

func (k *keys) WaitingOne(_ context.Context, id string) (pfxconnector.Waiting, error) {
	if id != "q-1" {
		return pfxconnector.Waiting{}, pfxconnector.ErrQuarantineUnknown
	}
	return k.waiting(), nil
}

func (k *keys) Assign(_ context.Context, by journal.Actor, id string, u subject.User) error {
	if u.Mail == "mallory@example.com" {
		return pfxconnector.ErrAssign
	}
	k.done = append(k.done, "assign "+id+" "+u.Mail+" "+by.ID)
	return nil
}

func (k *keys) Discard(_ context.Context, _ journal.Actor, id string) error {
	k.done = append(k.done, "discard "+id)
	return nil
}

// part is a field of a form with files.
type part struct{ field, file, value string }

// upload sends a form as a browser does.
func (b browser) upload(parts ...part) (*http.Response, string) {
	b.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, p := range parts {
		to, err := w.CreateFormField(p.field)
		if p.field == "files" {
			to, err = w.CreateFormFile(p.field, p.file)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		io.WriteString(to, p.value)
	}
	w.Close()
	return b.post("/admin/import", nil, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
		r.Header.Set("Content-Type", w.FormDataContentType())
	})
}

const canary = "canary-password-7"

func TestUpload(t *testing.T) {
	w := newWorld(t)
	w.token(access.Approver, "alice") // who is a user
	b, _ := w.signedIn(access.Admin, "")
	if res, page := b.get("/admin/import"); res.StatusCode != http.StatusOK || !strings.Contains(page, `enctype="multipart/form-data"`) || !strings.Contains(page, "1024 KiB") {
		t.Errorf("got %s %s", res.Status, page)
	}
	res, page := b.upload(part{"files", "a.p12", "\x00\xffA"}, part{"files", `bad"><img src=x onerror=alert(1)>`, "B"}, part{"password", "", canary}, part{"user", "", " alice@example.com "},
		part{"purpose", "", "both"}, part{"signing", "", "1"}, part{"look", "", "1"})
	if res.StatusCode != http.StatusOK {
		t.Fatalf("got %s %s", res.Status, page)
	}
	want := []string{`a.p12 "\x00\xffA" ` + canary + ` "alice@example.com" both true true`, `"B" ` + canary}
	if len(w.keys.done) != 2 || w.keys.done[0] != want[0] || !strings.Contains(w.keys.done[1], want[1]) {
		t.Errorf("got %q, want %q", w.keys.done, want)
	}
	for _, says := range []string{"imported", "alice@example.com", "A warning.", "pfx_not_encryption", "It signs only.", "A hint.", "quarantined", "pfx_no_user_match",
		"/admin/quarantine/q-1", "pfx_password_wrong", "The password does not open it.", "Look at the keyboard.", "Nothing was changed"} {
		if !strings.Contains(page, says) {
			t.Errorf("the page does not say %q", says)
		}
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, "<img") {
		t.Errorf("a name became markup:\n%s", page)
	}
	if strings.Contains(page+w.log.String(), canary) {
		t.Error("the password is on the page or in the log")
	}
}

func TestUploadRefused(t *testing.T) {
	w := newWorld(t)
	b, _ := w.signedIn(access.Admin, "")
	file := part{"files", "a.p12", "A"}
	for name, c := range map[string]struct {
		parts  []part
		status int
		says   string
	}{
		"no file":          {[]part{{"password", "", canary}}, 400, "upload_invalid"},
		"an empty choice":  {[]part{{"files", "", ""}, {"password", "", canary}}, 400, "upload_invalid"},
		"too many":         {slices.Repeat([]part{file}, 21), 400, "upload_invalid"},
		"too many fields":  {append(slices.Repeat([]part{{"x", "", "y"}}, 50), file), 400, "upload_invalid"},
		"a large file":     {[]part{{"files", "a.p12", strings.Repeat("x", 1<<20+1)}}, 413, "body_too_large"},
		"a large upload":   {slices.Repeat([]part{{"files", "a.p12", strings.Repeat("x", 1<<20)}}, 5), 413, "body_too_large"},
		"a large password": {[]part{file, {"password", "", strings.Repeat(canary, 1<<10)}}, 413, "body_too_large"},
		"nobody":           {[]part{file, {"password", "", canary}, {"user", "", "nobody@example.com"}}, 404, "user_unknown"},
		"a purpose":        {[]part{file, {"password", "", canary}, {"purpose", "", "identity"}}, 400, "request_invalid"},
	} {
		if res, page := b.upload(c.parts...); res.StatusCode != c.status || !strings.Contains(page, c.says) || strings.Contains(page, canary) {
			t.Errorf("%s: got %s, want %d %s", name, res.Status, c.status, c.says)
		}
	}
	if res, _ := b.post("/admin/import", url.Values{"password": {canary}}); res.StatusCode != http.StatusBadRequest {
		t.Errorf("another form: got %s", res.Status)
	}
	if len(w.keys.done) != 0 || strings.Contains(w.log.String(), canary) {
		t.Errorf("done %q; or the log has the password", w.keys.done)
	}
	for _, role := range []access.Role{access.Auditor, access.Helpdesk, access.Approver} {
		other, _ := w.signedIn(role, "")
		if res, _ := other.upload(file); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %s", role, res.Status)
		}
	}
}

func TestKeyPages(t *testing.T) {
	w := newWorld(t)
	w.token(access.Approver, "alice")
	w.token(access.Approver, "mallory")
	b, token := w.signedIn(access.Admin, "")
	look, _ := w.signedIn(access.Auditor, "")
	if _, page := look.get(keyPath); !strings.Contains(page, "the certificate says encryption") || strings.Contains(page, "<form class") {
		t.Error("an auditor is offered to decide, or is not told what there is")
	}
	if _, page := look.get("/admin/quarantine/q-1"); !strings.Contains(page, "pfx_no_user_match") || strings.Contains(page, "<form class") {
		t.Error("an auditor is offered to assign, or is not told what there is")
	}
	for _, c := range []struct {
		path string
		form url.Values
		want int
		to   string
	}{
		{keyPath + "/pin", nil, 303, keyPath},
		{keyPath + "/unpin", nil, 303, keyPath},
		{keyPath + "/purpose", url.Values{"purpose": {"certificate"}}, 303, keyPath},
		{keyPath + "/purpose", url.Values{"purpose": {"signing"}, "signing": {"1"}}, 303, keyPath},
		{keyPath + "/purpose", url.Values{"purpose": {"identity"}}, 400, ""},
		{"/admin/quarantine/q-1/assign", url.Values{"user": {" alice@example.com "}}, 303, "/admin/quarantine"},
		{"/admin/quarantine/q-1/assign", url.Values{"user": {"mallory@example.com"}}, 403, ""},
		{"/admin/quarantine/q-1/assign", url.Values{"user": {"nobody@example.com"}}, 404, ""},
		{"/admin/quarantine/q-1/discard", nil, 303, "/admin/quarantine/q-1"},
		{"/admin/quarantine/q-1/discard", url.Values{"sure": {"1"}}, 303, "/admin/quarantine"},
	} {
		if res, _ := look.post(c.path, c.form); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s by an auditor: got %s", c.path, res.Status)
		}
		res, page := b.post(c.path, c.form)
		if res.StatusCode != c.want || res.Header.Get("Location") != c.to {
			t.Errorf("%s %v: got %s to %q, want %d to %q\n%s", c.path, c.form, res.Status, res.Header.Get("Location"), c.want, c.to, page)
		}
	}
	want := []string{"pin alice@example.com abab", "unpin alice@example.com", "purpose alice@example.com unknown false", "purpose alice@example.com signing true",
		"assign q-1 alice@example.com " + token.ID, "discard q-1"}
	if !slices.Equal(w.keys.done, want) {
		t.Errorf("got %q, want %q", w.keys.done, want)
	}
	for path, want := range map[string]int{"/admin/quarantine": 200, "/admin/quarantine/q-2": 404, "/admin/users/alice@example.com/keys/" + strings.Repeat("0", 64): 404} {
		if res, _ := b.get(path); res.StatusCode != want {
			t.Errorf("%s: got %s, want %d", path, res.Status, want)
		}
	}
}
