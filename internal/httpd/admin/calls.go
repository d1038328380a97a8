package admin

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/pfxconnector"
)

// Each method below is the operation of the same name; a refusal is a
// [*Failure].

// Users lists the users.
func (c *Client) Users(ctx context.Context) ([]User, error) { return items[User](ctx, c, "/users") }

// UserPart is that part of the users whose name, address or UPN has search in it
// which follows after, of 50 at most; next is where it goes on, empty at the end.
func (c *Client) UserPart(ctx context.Context, search, after string) (part []User, next string, err error) {
	return partial[User](ctx, c, "/users", after, "search", search)
}

// AddUser adds a user.
func (c *Client) AddUser(ctx context.Context, u NewUser) (User, error) {
	return send[User](ctx, c, http.MethodPost, "/users", u)
}

// User shows a user.
func (c *Client) User(ctx context.Context, key string) (UserDetail, error) {
	return get[UserDetail](ctx, c, at("users", key))
}

// UpdateUser changes a user.
func (c *Client) UpdateUser(ctx context.Context, key string, u UserChange) (UserDetail, error) {
	return send[UserDetail](ctx, c, http.MethodPatch, at("users", key), u)
}

// Groups lists the groups.
func (c *Client) Groups(ctx context.Context) ([]Group, error) { return items[Group](ctx, c, "/groups") }

// SetGroup gives a group exactly these members.
func (c *Client) SetGroup(ctx context.Context, name string, members []string) (Group, error) {
	return send[Group](ctx, c, http.MethodPut, at("groups", name), map[string][]string{"members": append([]string{}, members...)})
}

// Invite invites a user to enroll a device.
func (c *Client) Invite(ctx context.Context, user string) (Invitation, error) {
	return send[Invitation](ctx, c, http.MethodPost, at("users", user, "invitations"), nil)
}

// DeviceFilter says which devices to list; zero for all.
type DeviceFilter struct {
	User       string
	State      string
	SeenBefore time.Time // only enrolled ones that have said nothing since then
	EndsBefore time.Time // only enrolled ones that use a certificate which expires before then
}

// Devices lists devices, newest first.
func (c *Client) Devices(ctx context.Context, f DeviceFilter) ([]Device, error) {
	return items[Device](ctx, c, "/devices", "user", f.User, "state", f.State, "seenBefore", optional(f.SeenBefore),
		"expiresBefore", optional(f.EndsBefore))
}

// optional gives an instant as a parameter, "" for none.
func optional(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Device shows a device.
func (c *Client) Device(ctx context.Context, key string) (DeviceDetail, error) {
	return get[DeviceDetail](ctx, c, at("devices", key))
}

// RefreshDevice asks a device about itself and its certificates again; with renew
// it gets other certificates.
func (c *Client) RefreshDevice(ctx context.Context, key string, renew bool) error {
	return c.do(ctx, http.MethodPost, with(at("devices", key, "refresh"), "renew", yes(renew)), nil, nil)
}

// RemoveDevice ends the management of a device; many confirms that more are
// removed within the hour than one would expect.
func (c *Client) RemoveDevice(ctx context.Context, key string, many bool) error {
	return c.do(ctx, http.MethodDelete, with(at("devices", key), "many", yes(many)), nil, nil)
}

// yes gives a switch as a parameter, "" when it is off.
func yes(on bool) string {
	if on {
		return "true"
	}
	return ""
}

// Import takes a PKCS#12 file into escrow.
func (c *Client) Import(ctx context.Context, n NewImport) (pfxconnector.FileReport, error) {
	return send[pfxconnector.FileReport](ctx, c, http.MethodPost, "/imports", n)
}

// Keys lists the imported certificates of a user.
func (c *Client) Keys(ctx context.Context, user string) ([]pfxconnector.Item, error) {
	return items[pfxconnector.Item](ctx, c, at("users", user, "keys"))
}

// RemoveKey destroys an imported key for ever.
func (c *Client) RemoveKey(ctx context.Context, user, cert string) error {
	return c.do(ctx, http.MethodDelete, at("users", user, "keys", cert), nil, nil)
}

// Tokens lists the API tokens.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return items[Token](ctx, c, "/tokens")
}

// CreateToken makes an API token.
func (c *Client) CreateToken(ctx context.Context, n NewToken) (MadeToken, error) {
	return send[MadeToken](ctx, c, http.MethodPost, "/tokens", n)
}

// RevokeToken revokes an API token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, at("tokens", id), nil, nil)
}

// Journal lists at most limit things that were done, newest first.
func (c *Client) Journal(ctx context.Context, limit int, user, device string) ([]Entry, error) {
	return atMost[Entry](ctx, c, limit, "/journal", "user", user, "device", device)
}

// JournalPart is that part of the journal which follows after, of 50 lines at
// most; next is where it goes on, empty at the end.
func (c *Client) JournalPart(ctx context.Context, user, after string) (part []Entry, next string, err error) {
	return partial[Entry](ctx, c, "/journal", after, "user", user)
}

// Apply makes users, groups and policies be as the documents say.
func (c *Client) Apply(ctx context.Context, docs []byte, dryRun bool) (appconfig.Diff, error) {
	path := "/apply"
	if dryRun {
		path += "?dryRun=true"
	}
	return send[appconfig.Diff](ctx, c, http.MethodPost, path, docs)
}

// Status says how far the delivery to a user's devices is.
func (c *Client) Status(ctx context.Context, user string) (Status, error) {
	return get[Status](ctx, c, at("users", user, "status"))
}

// CreateChallenge makes a one-time challenge for a SCEP client.
func (c *Client) CreateChallenge(ctx context.Context, n NewChallenge) (Challenge, error) {
	return send[Challenge](ctx, c, http.MethodPost, "/challenges", n)
}

// CertificateFilter says which certificates to list; zero for all.
type CertificateFilter struct{ User, Device, Profile, State string }

// Certificates lists the certificates that we issued, newest first, up to limit
// of them; 0 is all.
func (c *Client) Certificates(ctx context.Context, f CertificateFilter, limit int) ([]Certificate, error) {
	if limit <= 0 {
		limit = math.MaxInt
	}
	return atMost[Certificate](ctx, c, limit, "/certificates", "user", f.User, "device", f.Device, "profile", f.Profile, "state", f.State)
}

// CertificatePart is that part of the certificates which follows after, of 50
// at most; next is where it goes on, empty at the end.
func (c *Client) CertificatePart(ctx context.Context, f CertificateFilter, after string) (part []Certificate, next string, err error) {
	return partial[Certificate](ctx, c, "/certificates", after, "user", f.User, "device", f.Device, "profile", f.Profile, "state", f.State)
}

// Certificate shows one that we issued, by SHA-256 or serial number.
func (c *Client) Certificate(ctx context.Context, key string) (CertificateDetail, error) {
	return get[CertificateDetail](ctx, c, at("certificates", key))
}

// Revoke revokes a certificate that we issued, by SHA-256 or serial number.
func (c *Client) Revoke(ctx context.Context, cert, reason string) (RevokedOne, error) {
	return send[RevokedOne](ctx, c, http.MethodPost, at("certificates", cert, "revocation"), map[string]string{"reason": reason})
}

// RevokeAll revokes all certificates of a user or of a device.
func (c *Client) RevokeAll(ctx context.Context, r Revocation) (RevokedAll, error) {
	return send[RevokedAll](ctx, c, http.MethodPost, "/revocations", r)
}

// Explain says what holds for a user, and why.
func (c *Client) Explain(ctx context.Context, user string) (appconfig.Explanation, error) {
	return get[appconfig.Explanation](ctx, c, at("users", user, "policy"))
}

// Authorities lists the CAs.
func (c *Client) Authorities(ctx context.Context) ([]CA, error) {
	all, err := get[list[CA]](ctx, c, "/authorities")
	return all.Items, err
}

// RequestPush makes a key and a request for a push certificate.
func (c *Client) RequestPush(ctx context.Context) (PushRequest, error) {
	return send[PushRequest](ctx, c, http.MethodPost, "/push/requests", nil)
}

// ImportPush takes a push certificate that Apple made.
func (c *Client) ImportPush(ctx context.Context, n NewPushCertificate) (ImportedPush, error) {
	return send[ImportedPush](ctx, c, http.MethodPost, "/push/certificates", n)
}

// PushCertificates lists the push certificates.
func (c *Client) PushCertificates(ctx context.Context) ([]PushCertificate, error) {
	all, err := get[list[PushCertificate]](ctx, c, "/push/certificates")
	return all.Items, err
}
