package escrow_test

import (
	"errors"
	"testing"

	"filippo.io/age"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
)

// What does not fit together is found without opening anything, and so is a
// key that the recovery key, or a new escrow key, would not open.
func TestCheck(t *testing.T) {
	private, err := escrow.Hybrid().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := escrow.ParseRecovery(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := escrow.Classic().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer := escrow.NewSealer(recipient(t, private), recovery)
	k := key(t)
	deposit := func(change func(*escrow.Deposit)) escrow.Deposit {
		r, err := sealer.Seal(k)
		if err != nil {
			t.Fatal(err)
		}
		b := k.Binding()
		d := escrow.Deposit{Key: r, Certificate: cert.Record{Fingerprint: b.Cert, SPKI: b.SPKI, Holder: cert.Holder{User: b.User}, DER: k.Certificate.Raw}}
		change(&d)
		return d
	}
	whole := func(*escrow.Deposit) {}
	for name, c := range map[string]struct {
		sealer *escrow.Sealer
		change func(*escrow.Deposit)
		want   error
	}{
		"whole":                    {sealer, whole, nil},
		"fewer recipients now":     {escrow.NewSealer(recipient(t, private)), whole, nil},
		"another escrow key now":   {escrow.NewSealer(recipient(t, other), recovery), whole, escrow.ErrNoWrap},
		"no recovery wrap":         {sealer, func(d *escrow.Deposit) { d.Key.Wraps = d.Key.Wraps[:1] }, escrow.ErrNoWrap},
		"no wrap at all":           {sealer, func(d *escrow.Deposit) { d.Key.Wraps = nil }, escrow.ErrNoWrap},
		"empty wrap":               {sealer, func(d *escrow.Deposit) { d.Key.Wraps[0].Sealed = nil }, escrow.ErrDamaged},
		"wrap without enc":         {sealer, func(d *escrow.Deposit) { d.Key.Wraps[0].Enc = nil }, escrow.ErrDamaged},
		"certificate cut":          {sealer, func(d *escrow.Deposit) { d.Certificate.DER = d.Certificate.DER[:20] }, escrow.ErrDamaged},
		"another's certificate":    {sealer, func(d *escrow.Deposit) { d.Certificate.DER = key(t).Certificate.Raw }, escrow.ErrDamaged},
		"filed under another":      {sealer, func(d *escrow.Deposit) { d.Certificate.Fingerprint[0] ^= 1 }, escrow.ErrDamaged},
		"another public key":       {sealer, func(d *escrow.Deposit) { d.Certificate.SPKI[0] ^= 1 }, escrow.ErrDamaged},
		"key of another user":      {sealer, func(d *escrow.Deposit) { d.Key.User = "u-2" }, escrow.ErrDamaged},
		"key of another key":       {sealer, func(d *escrow.Deposit) { d.Key.SPKI[0] ^= 1 }, escrow.ErrDamaged},
		"certificate of a user":    {sealer, func(d *escrow.Deposit) { d.Certificate.Holder.User = "u-2" }, escrow.ErrDamaged},
		"suite of a later version": {sealer, func(d *escrow.Deposit) { d.Key.Suite = 99 }, escrow.ErrDamaged},
		"nonce cut":                {sealer, func(d *escrow.Deposit) { d.Key.Nonce = d.Key.Nonce[1:] }, escrow.ErrDamaged},
		"ciphertext gone":          {sealer, func(d *escrow.Deposit) { d.Key.Ciphertext = d.Key.Ciphertext[:16] }, escrow.ErrDamaged},
	} {
		if err := c.sealer.Check(deposit(c.change)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
