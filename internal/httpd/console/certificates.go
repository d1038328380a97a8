package console

import (
	"net/url"
	"strings"

	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// reasons are those of RFC 5280 that the API takes, in words.
var reasons = []struct{ Name, Words string }{
	{"unspecified", "no reason is given"},
	{"keyCompromise", "somebody else may have the key, or the device was stolen"},
	{"affiliationChanged", "the user has left, or has another name now"},
	{"superseded", "another certificate has taken its place"},
	{"cessationOfOperation", "it is not needed any more"},
	{"privilegeWithdrawn", "the user may not have it any more"},
}

// states are how a certificate can stand.
var states = []string{"good", "revoked", "expired"}

// certificates lists what was issued, or leads to the one that is looked for.
func (v visit) certificates() error {
	look, f := v.asked("q"), admin.CertificateFilter{User: v.asked("user"), Device: v.asked("device"), State: v.asked("state")}
	if key := digits(look); key != "" {
		return v.to("certificates/" + key)
	}
	if look != "" {
		f.User = look
	}
	list, next, err := v.api.CertificatePart(v.r.Context(), f, v.asked("after"))
	switch {
	case look != "" && fault.Code(told(err)) == directory.ErrUserUnknown.Code && v.may("listUsers"):
		return v.to("users?" + url.Values{"q": {look}}.Encode()) // a part of a name, perhaps
	case err != nil:
		return err
	}
	return v.page("certificates", "Certificates", "certificates", map[string]any{
		"List": list, "Next": v.next(next), "Look": look, "User": f.User, "Device": f.Device, "State": f.State, "States": states})
}

// digits reads a SHA-256 or a serial number as programs print them; empty for
// what is neither.
func digits(text string) string {
	d := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	if len(d) < 30 || len(d) > 64 || strings.Trim(d, "0123456789abcdef") != "" {
		return ""
	}
	return d
}

// certificate shows one.
func (v visit) certificate() error {
	c, err := v.api.Certificate(v.r.Context(), v.named("cert"))
	if err != nil {
		return err
	}
	user, err := v.who(c.User)
	if err != nil {
		return err
	}
	return v.page("certificate", "Certificate", "certificates", map[string]any{
		"C": c, "User": user, "Revoke": c.State == "good" && v.may("revoke")})
}

// askRevoke says what comes of it before anything does.
func (v visit) askRevoke() error {
	c, err := v.api.Certificate(v.r.Context(), v.named("cert"))
	if err != nil {
		return err
	}
	return v.page("revoke", "Revoke a certificate", "certificates", map[string]any{"C": c, "Reasons": reasons})
}

// revoke revokes and publishes that.
func (v visit) revoke() error {
	key := v.named("cert")
	if _, err := v.api.Revoke(v.r.Context(), key, v.r.PostForm.Get("reason")); err != nil {
		return err
	}
	return v.to("certificates/" + url.PathEscape(key))
}
