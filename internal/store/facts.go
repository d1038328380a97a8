package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// Facts implements [delivery.Store].
func (s Delivery) Facts(ctx context.Context, devices []subject.DeviceID) ([]plan.Facts, error) {
	if len(devices) == 0 {
		return []plan.Facts{}, nil
	}
	l := loader{ctx: ctx, q: s.db.read, in: ` IN (` + marks(len(devices)) + `)`, ids: args(devices), at: map[subject.DeviceID]*plan.Facts{}}
	for _, load := range []func() error{l.devices, l.groups, l.certificates, l.parcels, l.questions, l.held, l.refusals} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	return l.facts, nil
}

// loader loads the facts of a batch, one statement each kind.
type loader struct {
	ctx   context.Context
	q     queryer
	in    string // the batch in SQL
	ids   []any
	facts []plan.Facts
	at    map[subject.DeviceID]*plan.Facts
}

func (l *loader) devices() (err error) {
	l.facts, err = all(l.ctx, l.q, scanFacts, `SELECT `+deviceColumns+`, `+userColumns+`, d.id, d.user_id, d.state, d.enrolled_at,
		d.renew_at, d.lost_at > 0, d.seen_at, COALESCE(t.certs, ''), COALESCE(t.signs, 0),
		COALESCE(i.certificates_at, 0), COALESCE(i.apps_at, 0), COALESCE(i.information_at, 0),
		COALESCE(a.state, ''), COALESCE(a.has_configuration, 0), COALESCE(e.identity, ''), COALESCE(e.identity_at, 0), COALESCE(e.topic, ''),
		COALESCE(l.identifiers, '[]'), COALESCE(l.at, 0),
		(SELECT COUNT(*) FROM command c WHERE c.device_id = d.id AND c.done_at = 0)
		FROM device d JOIN users u ON u.id = d.user_id LEFT JOIN device_inventory i ON i.device_id = d.id
		LEFT JOIN enrollment e ON e.device_id = d.id LEFT JOIN told t ON t.device_id = d.id
		LEFT JOIN device_profiles l ON l.device_id = d.id
		LEFT JOIN device_app a ON a.device_id = d.id AND a.bundle_id = ? WHERE d.id`+l.in+` ORDER BY d.id`,
		append([]any{appconfig.OutlookBundle}, l.ids...)...)
	if err != nil {
		return fmt.Errorf("reading devices: %w", err)
	}
	for i := range l.facts {
		l.at[l.facts[i].Device.ID] = &l.facts[i]
	}
	return nil
}

func scanFacts(row scanner) (plan.Facts, error) {
	var f plan.Facts
	var state mdm.State
	var identity, profiles, told string
	var signs bool
	var enrolled, renew, seen, certificates, apps, information, identityAt, listed int64
	d, u := &f.Device, &f.User
	err := row.Scan(append(append(deviceFields(d), userFields(u)...), &d.ID, &d.User, &state, &enrolled, &renew, &f.Lost, &seen, &told, &signs,
		&certificates, &apps, &information, &f.App.State, &f.App.Configured, &identity, &identityAt, &f.Topic, &profiles, &listed, &f.Open)...)
	if err != nil {
		return f, err
	}
	u.ID = d.User
	f.Enrolled, f.Removed = state == mdm.Enrolled, state == mdm.Removed
	f.EnrolledAt, f.RenewAt = instant(enrolled), instant(renew)
	f.Seen, f.HeldAt, f.AppsAt, f.InformedAt = instant(seen), instant(certificates), instant(apps), instant(information)
	f.IdentityAt, f.ProfilesAt = instant(identityAt), instant(listed)
	if err := json.Unmarshal([]byte(profiles), &f.Profiles); err != nil {
		return f, fmt.Errorf("reading profiles: %w", err)
	}
	if f.Identity, err = parseFingerprint(identity); err != nil || told == "" {
		return f, err
	}
	f.Told = &plan.Told{Signs: signs}
	f.Told.Certs, err = parseFingerprints(told)
	return f, err
}

func (l *loader) groups() error {
	type member struct {
		device subject.DeviceID
		group  subject.GroupID
	}
	scan := func(row scanner) (m member, err error) {
		err = row.Scan(&m.device, &m.group)
		return m, err
	}
	list, err := all(l.ctx, l.q, scan, `SELECT d.id, m.group_id FROM device d JOIN membership m ON m.user_id = d.user_id
		WHERE d.id`+l.in+` ORDER BY m.group_id`, l.ids...)
	if err != nil {
		return fmt.Errorf("reading memberships: %w", err)
	}
	for _, m := range list {
		f := l.at[m.device]
		f.User.Groups = append(f.User.Groups, m.group)
	}
	return nil
}

// certificates reads those of the users whose keys are in escrow, and those that
// were issued to the devices.
func (l *loader) certificates() error {
	list, err := all(l.ctx, l.q, scanCertificate, selectCertificate+` WHERE `+inEscrow+`
		AND user_id IN (SELECT user_id FROM device WHERE id`+l.in+`) ORDER BY not_before DESC, fingerprint`, l.ids...)
	if err != nil {
		return fmt.Errorf("reading certificates in escrow: %w", err)
	}
	for i := range l.facts {
		for _, r := range list {
			if r.Holder.User == l.facts[i].User.ID {
				l.facts[i].Records = append(l.facts[i].Records, r)
			}
		}
	}
	issued, err := all(l.ctx, l.q, scanCertificate, selectCertificate+` WHERE device_id`+l.in+` ORDER BY not_before DESC, fingerprint`, l.ids...)
	if err != nil {
		return fmt.Errorf("reading issued certificates: %w", err)
	}
	for _, r := range issued {
		f := l.at[r.Holder.Device]
		f.Records = append(f.Records, r)
	}
	return nil
}

func (l *loader) parcels() error {
	type row struct {
		device subject.DeviceID
		parcel plan.Parcel
	}
	scan := func(r scanner) (v row, err error) {
		v.parcel, err = scanParcel(r, &v.device)
		return v, err
	}
	list, err := all(l.ctx, l.q, scan, `SELECT p.device_id, p.id, p.kind, p.identifier, p.digest, p.label, p.certs, p.signs,
		p.frame <> '', p.needs_key, p.wants_seal, p.sealed IS NOT NULL, p.sealed_at, p.on_device, p.attempts, p.failure, p.failed_at, p.created_at,
		`+commandFacts("c")+`, `+commandFacts("r")+` FROM parcel p LEFT JOIN command c ON c.uuid = p.command_uuid
		LEFT JOIN command r ON r.uuid = p.removal_uuid WHERE p.ended_at = 0 AND p.device_id`+l.in+` ORDER BY p.id`, l.ids...)
	if err != nil {
		return fmt.Errorf("reading parcels: %w", err)
	}
	for _, r := range list {
		f := l.at[r.device]
		f.Parcels = append(f.Parcels, r.parcel)
	}
	return nil
}

func commandFacts(t string) string {
	return fmt.Sprintf(`COALESCE(%[1]s.uuid, ''), COALESCE(%[1]s.state, ''), COALESCE(%[1]s.sent_at, 0), COALESCE(%[1]s.done_at, 0),
		COALESCE(%[1]s.not_before, 0), COALESCE(%[1]s.error_chain, '[]')`, t)
}

func scanParcel(row scanner, device *subject.DeviceID) (plan.Parcel, error) {
	var p plan.Parcel
	var certs string
	var sealedAt, failedAt, created int64
	var command, removal commandRow
	into := append([]any{device, &p.ID, &p.Kind, &p.Identifier, &p.Digest, &p.Label, &certs, &p.Signs, &p.Profile, &p.NeedsKey,
		&p.WantsSeal, &p.Sealed, &sealedAt, &p.OnDevice, &p.Attempts, &p.Failure, &failedAt, &created}, command.into()...)
	if err := row.Scan(append(into, removal.into()...)...); err != nil {
		return p, err
	}
	p.SealedAt, p.FailedAt, p.CreatedAt = instant(sealedAt), instant(failedAt), instant(created)
	var err error
	if p.Certs, err = parseFingerprints(certs); err != nil {
		return p, err
	}
	if p.Command, err = command.facts(); err != nil {
		return p, err
	}
	p.Removal, err = removal.facts()
	return p, err
}

func parseFingerprints(text string) (list []cert.Fingerprint, err error) {
	var hex []string
	if err := json.Unmarshal([]byte(text), &hex); err != nil {
		return nil, fmt.Errorf("reading fingerprints: %w", err)
	}
	for _, h := range hex {
		f, err := cert.ParseFingerprint(h)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

// commandRow is what a plan wants to know of a command.
type commandRow struct {
	command               plan.Command
	sent, done, notBefore int64
	chain                 string
}

func (c *commandRow) into() []any {
	return []any{&c.command.UUID, &c.command.State, &c.sent, &c.done, &c.notBefore, &c.chain}
}

func (c *commandRow) facts() (plan.Command, error) {
	var chain []mdm.ErrorItem
	if err := json.Unmarshal([]byte(c.chain), &chain); err != nil {
		return c.command, fmt.Errorf("reading error chain: %w", err)
	}
	c.command.SentAt, c.command.DoneAt, c.command.Refused = instant(c.sent), instant(c.done), c.notBefore > 0
	if len(chain) > 0 {
		c.command.Odd = chain[0].Domain == mdm.OwnDomain && chain[0].Code == mdm.CodeFormat
		c.command.Error = failure(chain)
	}
	return c.command, nil
}

// failure says what failed and, innermost, why.
func failure(chain []mdm.ErrorItem) string {
	words := func(e mdm.ErrorItem) string { return fmt.Sprintf("%s (%s %d)", e.Description, e.Domain, e.Code) }
	if last := len(chain) - 1; last > 0 {
		return words(chain[0]) + ": " + words(chain[last])
	}
	return words(chain[0])
}

func (l *loader) questions() error {
	type row struct {
		device subject.DeviceID
		asked  plan.Asked
	}
	scan := func(r scanner) (v row, err error) {
		var done int64
		err = r.Scan(&v.device, &v.asked.Question, &v.asked.Open, &done)
		v.asked.DoneAt = instant(done)
		return v, err
	}
	list, err := all(l.ctx, l.q, scan, `SELECT device_id, request_type, MIN(done_at) = 0, MAX(done_at) FROM command
		WHERE request_type IN (?, ?, ?, ?) AND device_id`+l.in+` GROUP BY device_id, request_type`,
		append([]any{plan.Information, plan.Certificates, plan.Profiles, plan.Apps}, l.ids...)...)
	if err != nil {
		return fmt.Errorf("reading questions: %w", err)
	}
	for _, r := range list {
		f := l.at[r.device]
		f.Asked = append(f.Asked, r.asked)
	}
	return nil
}

// refusals reads why the newest challenge of a device was refused that gave no
// certificate yet.
func (l *loader) refusals() error {
	type row struct {
		device subject.DeviceID
		why    string
	}
	scan := func(r scanner) (v row, err error) {
		err = r.Scan(&v.device, &v.why)
		return v, err
	}
	list, err := all(l.ctx, l.q, scan, `SELECT device_id, refusal FROM scep_challenge
		WHERE refusal <> '' AND used_at = 0 AND voided_at = 0 AND device_id`+l.in+` ORDER BY created_at`, l.ids...)
	if err != nil {
		return fmt.Errorf("reading refused challenges: %w", err)
	}
	for _, r := range list {
		l.at[r.device].Refusal = r.why
	}
	return nil
}

func (l *loader) held() error {
	type row struct {
		device subject.DeviceID
		held   plan.Held
	}
	scan := func(r scanner) (v row, err error) {
		var fp string
		if err = r.Scan(&v.device, &fp, &v.held.Identity); err != nil {
			return v, err
		}
		v.held.Fingerprint, err = cert.ParseFingerprint(fp)
		return v, err
	}
	list, err := all(l.ctx, l.q, scan, `SELECT device_id, fingerprint, is_identity FROM device_certificate WHERE device_id`+l.in, l.ids...)
	if err != nil {
		return fmt.Errorf("reading what devices hold: %w", err)
	}
	for _, r := range list {
		f := l.at[r.device]
		f.Held = append(f.Held, r.held)
	}
	return nil
}
