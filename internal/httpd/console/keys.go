package console

import (
	"net/url"

	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/pfxconnector"
)

// purposes are those that an administrator can say.
var purposes = []struct{ Name, Words string }{
	{"certificate", "what the certificate says"},
	{"encryption", "encryption"},
	{"both", "encryption and signing"},
	{"signing", "signing"},
}

// key shows a certificate whose key is in escrow, and why it stands where it
// does.
func (v visit) key() error {
	u, err := v.api.User(v.r.Context(), v.named("user"))
	if err != nil {
		return err
	}
	keys, err := v.api.Keys(v.r.Context(), u.ID)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Cert == v.named("cert") {
			return v.page("key", "Imported certificate", "users", map[string]any{
				"K": k, "User": u.User, "Decides": v.may("pinKey"), "Purposes": purposes})
		}
	}
	return pfxconnector.ErrKeyUnknown
}

// keyPage is where a key is shown.
func (v visit) keyPage() string {
	return "users/" + url.PathEscape(v.named("user")) + "/keys/" + url.PathEscape(v.named("cert"))
}

// pin makes a certificate the current one.
func (v visit) pin() error {
	if err := v.api.PinKey(v.r.Context(), v.named("user"), v.named("cert")); err != nil {
		return err
	}
	return v.to(v.keyPage())
}

// unpin leaves that to the rules again.
func (v visit) unpin() error {
	if err := v.api.UnpinKeys(v.r.Context(), v.named("user")); err != nil {
		return err
	}
	return v.to(v.keyPage())
}

// repurpose says what a certificate is for.
func (v visit) repurpose() error {
	n := admin.NewPurpose{Purpose: v.r.PostForm.Get("purpose"), AllowSigningEscrow: v.r.PostForm.Get("signing") != ""}
	if _, err := v.api.RepurposeKey(v.r.Context(), v.named("user"), v.named("cert"), n); err != nil {
		return err
	}
	return v.to(v.keyPage())
}

// quarantine lists the keys whose users are not known.
func (v visit) quarantine() error {
	list, next, err := v.api.QuarantinePart(v.r.Context(), v.asked("after"))
	if err != nil {
		return err
	}
	return v.page("quarantine", "Quarantine", "quarantine", map[string]any{"List": list, "Next": v.next(next)})
}

// waiting shows one of them.
func (v visit) waiting() error {
	w, err := v.api.Quarantined(v.r.Context(), v.named("id"))
	if err != nil {
		return err
	}
	var holders []admin.User
	for _, id := range w.Holders {
		u, err := v.who(id)
		if err != nil {
			return err
		}
		holders = append(holders, u)
	}
	to, err := v.who(w.To)
	if err != nil {
		return err
	}
	return v.page("waiting", "Key in quarantine", "quarantine", map[string]any{
		"W": w, "Holders": holders, "To": to, "Decides": v.may("assignKey") && w.State == "waiting"})
}

// assign says whose it is; the keeper does the rest.
func (v visit) assign() error {
	if _, err := v.api.AssignKey(v.r.Context(), v.named("id"), v.asked("user")); err != nil {
		return err
	}
	return v.to("quarantine")
}

// discard destroys it, when that is meant.
func (v visit) discard() error {
	if v.asked("sure") == "" {
		return v.to("quarantine/" + url.PathEscape(v.named("id")))
	}
	if err := v.api.DiscardKey(v.r.Context(), v.named("id")); err != nil {
		return err
	}
	return v.to("quarantine")
}
