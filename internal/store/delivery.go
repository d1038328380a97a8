package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/scep"
)

// Delivery is the facet of who is due, of plans and of parcels.
type Delivery struct{ db *DB }

// Delivery gives the facet.
func (db *DB) Delivery() Delivery { return Delivery{db} }

var (
	_ delivery.Store   = Delivery{}
	_ delivery.Parcels = Delivery{}
)

// DevicesLeased implements [delivery.Store].
func (s Delivery) DevicesLeased(ctx context.Context, now, until time.Time, limit int) (leases []delivery.Lease, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		leases = nil // f may run again
		scan := func(row scanner) (l delivery.Lease, err error) { return l, row.Scan(&l.Device, &l.Rev) }
		due, err := all(ctx, tx, scan, `SELECT id, due_rev FROM device WHERE due_rev > done_rev AND lease_until <= ?
			ORDER BY lease_until, id LIMIT ?`, micros(now), limit)
		if err != nil {
			return fmt.Errorf("looking for due devices: %w", err)
		}
		for _, l := range due {
			n, err := changed(ctx, tx, `UPDATE device SET lease_until = ? WHERE id = ? AND due_rev = ? AND due_rev > done_rev AND lease_until <= ?`,
				micros(until), l.Device, l.Rev, micros(now))
			if err != nil {
				return fmt.Errorf("leasing device: %w", err)
			}
			if n == 1 {
				l.Until = instant(micros(until))
				leases = append(leases, l)
			}
		}
		return nil
	})
	return leases, err
}

// DevicesOf implements [delivery.Store].
func (s Delivery) DevicesOf(ctx context.Context, user subject.UserID) ([]subject.DeviceID, error) {
	scan := func(row scanner) (id subject.DeviceID, err error) { return id, row.Scan(&id) }
	return all(ctx, s.db.read, scan, `SELECT id FROM device WHERE user_id = ? AND state = 'enrolled' ORDER BY created_at DESC, id DESC`, user)
}

// Planned implements [delivery.Store].
func (s Delivery) Planned(ctx context.Context, d delivery.Decision, e journal.Entry) error {
	return s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE device SET lease_until = 0, done_rev = CASE WHEN ? THEN due_rev ELSE done_rev END
			WHERE id = ? AND due_rev = ? AND lease_until = ?`, d.Empty(), d.Device, d.Rev, micros(d.Until))
		if err != nil {
			return fmt.Errorf("giving the lease back: %w", err)
		}
		if n == 0 {
			return delivery.ErrStale
		}
		if d.Empty() {
			return setClock(ctx, tx, d.Device, d.Next)
		}
		return carryOut(ctx, tx, d, e)
	})
}

func setClock(ctx context.Context, tx *sql.Tx, id subject.DeviceID, next time.Time) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM delivery_clock WHERE device_id = ?`, id); err != nil {
		return fmt.Errorf("clearing the clock: %w", err)
	}
	if next.IsZero() {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO delivery_clock (device_id, at) VALUES (?, ?)`, id, micros(next)); err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	return nil
}

func carryOut(ctx context.Context, tx *sql.Tx, d delivery.Decision, e journal.Entry) error {
	for _, m := range d.Moves {
		if err := move(ctx, tx, m, e.At); err != nil {
			return fmt.Errorf("%s parcel %s: %w", m.Do, m.Parcel, err)
		}
	}
	for _, r := range d.Revoke {
		done, err := revokeCertificate(ctx, tx, r.Cert, scep.Reason(r.Reason), e.At)
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		revoked := e
		revoked.Action, revoked.Cert, revoked.Detail = journal.CertificateRevoked, r.Cert, map[string]string{"reason": r.Reason}
		if err := record(ctx, tx, revoked); err != nil {
			return err
		}
	}
	return record(ctx, tx, e)
}

// move carries out one move; its command comes last.
func move(ctx context.Context, tx *sql.Tx, m delivery.Move, at time.Time) (err error) {
	switch m.Do {
	case delivery.Ask:
	case plan.Replace:
		m.New.OnDevice, err = endParcel(ctx, tx, m.Parcel, "superseded", at)
		if err == nil {
			err = insertParcel(ctx, tx, *m.New)
		}
	case plan.Send:
		err = insertParcel(ctx, tx, *m.New)
	case plan.Again:
		err = again(ctx, tx, m)
	case plan.Reseal:
		err = update(ctx, tx, m.Parcel, `sealed = NULL, wants_seal = 1, lease_until = 0`)
	case plan.Drop:
		err = dropBytes(ctx, tx, m.Parcel)
	case plan.Withdraw:
		err = withdraw(ctx, tx, m, at)
	case plan.End:
		err = lose(ctx, tx, m.Parcel, at)
	default:
		err = fmt.Errorf("no such move")
	}
	if err == nil && m.Command != nil {
		err = insertCommand(ctx, tx, *m.Command)
	}
	return err
}

// update sets columns of a parcel that is not over; its being so is a stale
// plan.
func update(ctx context.Context, tx *sql.Tx, id, set string, args ...any) error {
	n, err := changed(ctx, tx, `UPDATE parcel SET `+set+` WHERE id = ? AND ended_at = 0`, append(args, id)...)
	if err != nil {
		return fmt.Errorf("updating parcel: %w", err)
	}
	if n == 0 {
		return delivery.ErrStale
	}
	return nil
}

// again makes a parcel anew after a failure.
func again(ctx context.Context, tx *sql.Tx, m delivery.Move) error {
	touched, err := touched(ctx, tx, m.Parcel)
	if err != nil {
		return err
	}
	err = update(ctx, tx, m.Parcel, `attempts = attempts + 1, failure = '', failed_at = 0, lease_until = 0, sealed = NULL,
		wants_seal = CASE WHEN frame = '' THEN 0 ELSE 1 END, on_device = ?`, touched)
	if err == nil && m.Command != nil {
		err = update(ctx, tx, m.Parcel, `command_uuid = ?`, m.Command.UUID)
	}
	return err
}

// dropBytes forgets them. How old they were matters only while the device has
// not taken them.
func dropBytes(ctx context.Context, tx *sql.Tx, id string) error {
	return update(ctx, tx, id, `sealed = NULL, wants_seal = 0, sealed_at = CASE WHEN EXISTS
		(SELECT 1 FROM command c WHERE c.uuid = parcel.command_uuid AND c.done_at > 0) THEN 0 ELSE sealed_at END`)
}

// withdraw counts the tries of a removal from its first on.
func withdraw(ctx context.Context, tx *sql.Tx, m delivery.Move, at time.Time) error {
	if err := cancelCommands(ctx, tx, m.Parcel, at); err != nil {
		return err
	}
	return update(ctx, tx, m.Parcel, `attempts = CASE WHEN removal_uuid = '' THEN 0 ELSE attempts + 1 END, removal_uuid = ?,
		sealed = NULL, wants_seal = 0, failure = '', failed_at = 0`, m.Command.UUID)
}

// lose ends a parcel that the device does not have. One that it fetched in this
// moment makes the plan stale.
func lose(ctx context.Context, tx *sql.Tx, id string, at time.Time) error {
	var open int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM parcel p JOIN command c ON c.uuid = p.command_uuid
		WHERE p.id = ? AND c.done_at = 0 AND c.sent_at > 0 AND p.removal_uuid = ''`, id).Scan(&open)
	if err != nil {
		return fmt.Errorf("looking whether it was fetched: %w", err)
	}
	if open > 0 {
		return delivery.ErrStale
	}
	_, err = endParcel(ctx, tx, id, "removed", at)
	return err
}

// endParcel is over with a parcel: it is not brought and not removed any more.
// It tells whether the device may have something of it.
func endParcel(ctx context.Context, tx *sql.Tx, id, why string, at time.Time) (onDevice bool, err error) {
	if onDevice, err = touched(ctx, tx, id); err != nil {
		return false, err
	}
	if err := cancelCommands(ctx, tx, id, at); err != nil {
		return false, err
	}
	return onDevice, update(ctx, tx, id, `ended_at = ?, ending = ?, sealed = NULL, wants_seal = 0, lease_until = 0`, micros(at), why)
}

// touched tells whether the device may have something of a parcel's identifier.
func touched(ctx context.Context, tx *sql.Tx, id string) (yes bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT p.on_device = 1 OR COALESCE(c.sent_at, 0) > 0 FROM parcel p
		LEFT JOIN command c ON c.uuid = p.command_uuid WHERE p.id = ?`, id).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("looking whether the device has it: %w", err)
	}
	return yes, nil
}

// cancelCommands calls off what brings a parcel, and what removes it.
func cancelCommands(ctx context.Context, tx *sql.Tx, id string, at time.Time) error {
	for _, column := range []string{"command_uuid", "removal_uuid"} {
		_, err := tx.ExecContext(ctx, `UPDATE command SET state = 'cancelled', done_at = ?, lease_until = 0 WHERE done_at = 0
			AND uuid = (SELECT `+column+` FROM parcel WHERE id = ?)`, micros(at), id)
		if err != nil {
			return fmt.Errorf("cancelling commands: %w", err)
		}
	}
	return nil
}

func insertParcel(ctx context.Context, tx *sql.Tx, p delivery.Parcel) error {
	certs, err := json.Marshal(texts(p.Certs))
	if err != nil {
		return fmt.Errorf("encoding certificates: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO parcel (id, device_id, user_id, kind, identifier, digest, label, certs, signs, frame,
		needs_key, wants_seal, sealed, sealed_at, lease_until, on_device, attempts, failure, failed_at, command_uuid, removal_uuid,
		created_at, ended_at, ending) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0, 0, ?, 0, '', 0, ?, '', ?, 0, '')`,
		p.ID, p.Device, p.User, p.Kind, p.Identifier, p.Digest, p.Label, string(certs), p.Signs, string(p.Frame),
		p.NeedsKey, p.WantsSeal, p.OnDevice, p.Command.UUID, micros(p.CreatedAt))
	if err != nil {
		return fmt.Errorf("inserting parcel: %w", err)
	}
	return nil
}

func texts(list []cert.Fingerprint) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.String()
	}
	return out
}

// Ticked implements [delivery.Store].
func (s Delivery) Ticked(ctx context.Context, now, stale, forget time.Time) (n int, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		woken, err := changed(ctx, tx, `UPDATE device SET due_rev = due_rev + 1
			WHERE id IN (SELECT device_id FROM delivery_clock WHERE at <= ?)`, micros(now))
		if err != nil {
			return fmt.Errorf("making devices due: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM delivery_clock WHERE at <= ?`, micros(now)); err != nil {
			return fmt.Errorf("clearing clocks: %w", err)
		}
		spoke, err := changed(ctx, tx, `UPDATE device SET due_rev = due_rev + 1 WHERE due_rev = done_rev AND state = 'enrolled' AND EXISTS (
			SELECT 1 FROM parcel p JOIN command c ON c.uuid = p.command_uuid WHERE p.device_id = device.id AND p.ended_at = 0
			AND p.sealed_at > 0 AND p.sealed_at <= ? AND p.sealed IS NULL AND p.wants_seal = 0 AND p.failed_at = 0
			AND p.removal_uuid = '' AND c.done_at = 0 AND device.seen_at > p.sealed_at + ?)`, micros(stale), micros(now)-micros(stale))
		if err != nil {
			return fmt.Errorf("looking who spoke again: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM parcel WHERE ended_at > 0 AND ended_at <= ?`, micros(forget)); err != nil {
			return fmt.Errorf("forgetting parcels: %w", err)
		}
		n = int(woken + spoke)
		return nil
	})
	return n, err
}

// ParcelsLeased implements [delivery.Parcels].
func (s Delivery) ParcelsLeased(ctx context.Context, now, until time.Time, limit int) (list []delivery.Unsealed, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		list = nil // f may run again
		waiting, err := all(ctx, tx, scanUnsealed, `SELECT p.id, p.frame, p.needs_key, d.id, d.user_id, COALESCE(d.udid, ''), d.serial,
			d.model, d.name, d.os_version, u.id, u.upn, u.mail, u.name, u.given_name, u.surname, u.disabled
			FROM parcel p JOIN device d ON d.id = p.device_id JOIN users u ON u.id = d.user_id
			WHERE p.wants_seal = 1 AND p.lease_until <= ? ORDER BY p.id LIMIT ?`, micros(now), limit)
		if err != nil {
			return fmt.Errorf("looking for parcels: %w", err)
		}
		for _, u := range waiting {
			n, err := changed(ctx, tx, `UPDATE parcel SET lease_until = ? WHERE id = ? AND wants_seal = 1 AND lease_until <= ?`,
				micros(until), u.ID, micros(now))
			if err != nil {
				return fmt.Errorf("leasing parcel: %w", err)
			}
			if n == 1 {
				u.Until = instant(micros(until))
				list = append(list, u)
			}
		}
		return nil
	})
	return list, err
}

func scanUnsealed(row scanner) (delivery.Unsealed, error) {
	var u delivery.Unsealed
	var frame string
	d := &u.Device
	err := row.Scan(&u.ID, &frame, &u.NeedsKey, &d.ID, &d.User, &d.UDID, &d.Serial, &d.Model, &d.Name, &d.OSVersion,
		&u.User.ID, &u.User.UPN, &u.User.Mail, &u.User.Name, &u.User.GivenName, &u.User.Surname, &u.User.Disabled)
	u.Frame = []byte(frame)
	return u, err
}

// ParcelSealed implements [delivery.Parcels].
func (s Delivery) ParcelSealed(ctx context.Context, p delivery.SealedParcel, e journal.Entry) (stored bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE parcel SET sealed = ?, sealed_at = ?, wants_seal = 0, lease_until = 0
			WHERE id = ? AND wants_seal = 1 AND lease_until = ?`, p.Bytes, micros(p.At), p.ID, micros(p.Until))
		if stored = n == 1; err != nil || !stored {
			return err
		}
		if err := wantWake(ctx, tx, p.Device, p.At); err != nil {
			return err
		}
		return record(ctx, tx, e)
	})
	return stored && err == nil, err
}

// ParcelFailed implements [delivery.Parcels].
func (s Delivery) ParcelFailed(ctx context.Context, f delivery.FailedParcel, e journal.Entry) (stored bool, err error) {
	err = s.db.tx(ctx, func(tx *sql.Tx) error {
		n, err := changed(ctx, tx, `UPDATE parcel SET failure = ?, failed_at = ?, wants_seal = 0, lease_until = 0
			WHERE id = ? AND wants_seal = 1 AND lease_until = ?`, f.Reason, micros(f.At), f.ID, micros(f.Until))
		if stored = n == 1; err != nil || !stored {
			return err
		}
		return record(ctx, tx, e)
	})
	return stored && err == nil, err
}

// Facts implements [delivery.Store].
func (s Delivery) Facts(ctx context.Context, devices []subject.DeviceID) ([]plan.Facts, error) {
	if len(devices) == 0 {
		return []plan.Facts{}, nil
	}
	l := loader{ctx: ctx, q: s.db.read, in: ` IN (` + marks(len(devices)) + `)`, ids: args(devices), at: map[subject.DeviceID]*plan.Facts{}}
	for _, load := range []func() error{l.devices, l.groups, l.certificates, l.parcels, l.questions, l.held} {
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
	l.facts, err = all(l.ctx, l.q, scanFacts, `SELECT d.id, d.user_id, d.state, COALESCE(d.udid, ''), d.serial, d.model, d.name,
		d.os_version, d.seen_at, u.upn, u.mail, u.name, u.given_name, u.surname, u.disabled,
		COALESCE(i.certificates_at, 0), COALESCE(i.apps_at, 0), COALESCE(i.information_at, 0),
		COALESCE(a.state, ''), COALESCE(a.has_configuration, 0),
		(SELECT COUNT(*) FROM command c WHERE c.device_id = d.id AND c.done_at = 0)
		FROM device d JOIN users u ON u.id = d.user_id LEFT JOIN device_inventory i ON i.device_id = d.id
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
	var seen, certificates, apps, information int64
	d, u := &f.Device, &f.User
	err := row.Scan(&d.ID, &d.User, &state, &d.UDID, &d.Serial, &d.Model, &d.Name, &d.OSVersion, &seen,
		&u.UPN, &u.Mail, &u.Name, &u.GivenName, &u.Surname, &u.Disabled,
		&certificates, &apps, &information, &f.App.State, &f.App.Configured, &f.Open)
	u.ID = d.User
	f.Enrolled, f.Removed = state == mdm.Enrolled, state == mdm.Removed
	f.Seen, f.HeldAt, f.AppsAt, f.InformedAt = instant(seen), instant(certificates), instant(apps), instant(information)
	return f, err
}

func (l *loader) groups() error {
	type member struct {
		device subject.DeviceID
		group  subject.GroupID
	}
	scan := func(row scanner) (m member, err error) { return m, row.Scan(&m.device, &m.group) }
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

// certificates reads those that were imported for the users, and those that
// were issued to the devices.
func (l *loader) certificates() error {
	list, err := all(l.ctx, l.q, scanCertificate, selectCertificate+` WHERE source = 'imported'
		AND user_id IN (SELECT user_id FROM device WHERE id`+l.in+`) ORDER BY not_before DESC, fingerprint`, l.ids...)
	if err != nil {
		return fmt.Errorf("reading imported certificates: %w", err)
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
		c.command.Error = fmt.Sprintf("%s (%s %d)", chain[0].Description, chain[0].Domain, chain[0].Code)
	}
	return c.command, nil
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
		WHERE request_type IN (?, ?, ?) AND device_id`+l.in+` GROUP BY device_id, request_type`,
		append([]any{plan.Information, plan.Certificates, plan.Apps}, l.ids...)...)
	if err != nil {
		return fmt.Errorf("reading questions: %w", err)
	}
	for _, r := range list {
		f := l.at[r.device]
		f.Asked = append(f.Asked, r.asked)
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
