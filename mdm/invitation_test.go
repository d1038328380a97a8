package mdm_test

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/mdm"
)

func (w *world) invite() (inv mdm.Invitation, token, code seal.Secret) {
	w.t.Helper()
	inv, link, code, err := w.Invite(w.t.Context(), admin, w.user("alice@example.com"))
	w.must(err)
	return inv, tokenOf(link), code
}

func tokenOf(link seal.Secret) seal.Secret {
	_, token, _ := strings.Cut(link.RevealString(), "/enroll/")
	return seal.SecretString(token)
}

func TestInvite(t *testing.T) {
	w := newWorld(t)
	inv, link, code, err := w.Invite(t.Context(), admin, w.user("alice@example.com"))
	w.must(err)
	if !regexp.MustCompile(`^https://mdm\.example\.org/enroll/[A-Z2-7]{26}$`).MatchString(link.RevealString()) {
		t.Error("the link has another form")
	}
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{5}-[BCDFGHJKLMNPQRSTVWXZ]{5}$`).MatchString(code.RevealString()) {
		t.Error("the code has another form")
	}
	d, err := w.Device(t.Context(), string(inv.Device.ID))
	if err != nil || d.State != mdm.Invited || d.Owner != "alice@example.com" || d.UDID != "" {
		t.Errorf("device: got %+v, %v", d.Device, err)
	}
	if n := w.entries(journal.DeviceInvited, "", ""); n != 1 {
		t.Errorf("journal has %d invitations, want 1", n)
	}
	for _, file := range []string{w.path, w.path + "-wal"} {
		dump, err := os.ReadFile(file)
		w.must(err)
		for _, s := range []string{tokenOf(link).RevealString(), code.RevealString(), strings.ReplaceAll(code.RevealString(), "-", "")} {
			if strings.Contains(string(dump), s) {
				t.Errorf("%s holds link or code", file)
			}
		}
	}
}

func TestCodeAsTyped(t *testing.T) {
	for name, typed := range map[string]func(string) string{
		"as shown":      func(s string) string { return s },
		"small letters": strings.ToLower,
		"without dash":  func(s string) string { return strings.ReplaceAll(s, "-", "") },
		"with spaces":   func(s string) string { return " " + strings.ReplaceAll(s, "-", " – ") + " " },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, token, code := w.invite()
			_, err := w.Redeem(t.Context(), token, seal.SecretString(typed(code.RevealString())), "192.0.2.7")
			wants(t, "Redeem", err, nil)
		})
	}
}

func TestWrongCodeFiveTimes(t *testing.T) {
	w := newWorld(t)
	inv, token, code := w.invite()
	for i := range 5 {
		want := mdm.ErrCode
		if i == 4 {
			want = mdm.ErrInvitationOver
		}
		_, err := w.Redeem(t.Context(), token, seal.SecretString("BBBBB-BBBBB"), "192.0.2.7")
		wants(t, "wrong code", err, want)
	}
	_, err := w.Redeem(t.Context(), token, code, "192.0.2.7")
	wants(t, "right code afterwards", err, mdm.ErrInvitationOver)
	_, err = w.Download(t.Context(), inv.Device.ID, "192.0.2.7")
	wants(t, "Download", err, mdm.ErrInvitation)
	if n := w.entries(journal.InvitationRefused, "", ""); n != 5 {
		t.Errorf("journal has %d refusals, want 5", n)
	}
}

// Guessing in parallel does not buy more guesses.
func TestGuessesAtOnce(t *testing.T) {
	w := newWorld(t)
	_, token, code := w.invite()
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, err := w.Redeem(t.Context(), token, seal.SecretString("x"), ""); err == nil {
				t.Error("a wrong code was taken")
			}
		})
	}
	wg.Wait()
	_, err := w.Redeem(t.Context(), token, code, "")
	wants(t, "right code", err, mdm.ErrInvitationOver)
}

func TestRedeemedOnce(t *testing.T) {
	w := newWorld(t)
	_, token, code := w.invite()
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			if _, err := w.Redeem(t.Context(), token, code, ""); err == nil {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || w.entries(journal.InvitationRedeemed, "", "") != 1 {
		t.Errorf("redeemed %d times, journal %d; want 1", won.Load(), w.entries(journal.InvitationRedeemed, "", ""))
	}
	_, err := w.Redeem(t.Context(), token, code, "")
	wants(t, "again", err, mdm.ErrInvitationOver)
}

func TestInvitationEnds(t *testing.T) {
	disable := func(w *world, inv mdm.Invitation) {
		u := inv.User
		u.Disabled = true
		w.must(w.db.Directory().UserSaved(w.t.Context(), u, journal.Entry{At: w.now, Actor: admin, Action: journal.UserChanged}))
	}
	for name, end := range map[string]func(*world, mdm.Invitation){
		"expired":        func(w *world, _ mdm.Invitation) { w.now = w.now.Add(7*24*time.Hour + time.Second) },
		"user disabled":  disable,
		"device removed": func(w *world, inv mdm.Invitation) { w.must(w.Remove(w.t.Context(), admin, inv.Device.ID, false)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			inv, token, code := w.invite()
			end(w, inv)
			_, err := w.Redeem(t.Context(), token, code, "")
			wants(t, "Redeem", err, mdm.ErrInvitationOver)
		})
	}
	t.Run("last day", func(t *testing.T) {
		w := newWorld(t)
		_, token, code := w.invite()
		w.now = w.now.Add(7 * 24 * time.Hour)
		_, err := w.Redeem(t.Context(), token, code, "")
		wants(t, "Redeem", err, nil)
	})
	t.Run("unknown link", func(t *testing.T) {
		w := newWorld(t)
		_, err := w.Redeem(t.Context(), seal.Random(), seal.SecretString("x"), "")
		wants(t, "Redeem", err, mdm.ErrInvitation)
	})
	t.Run("disabled user is not invited", func(t *testing.T) {
		w := newWorld(t)
		u := w.user("alice@example.com")
		u.Disabled = true
		_, _, _, err := w.Invite(t.Context(), admin, u)
		wants(t, "Invite", err, mdm.ErrUserDisabled)
	})
}

func TestLabNeedsNoCode(t *testing.T) {
	w := newWorld(t, func(c *mdm.Config) { c.Lab = true })
	_, token, code := w.invite()
	if !code.Empty() {
		t.Error("a code was made in lab mode")
	}
	t.Run("not on another server", func(t *testing.T) {
		strict := mdm.New(mdm.Config{Store: w.Store, BaseURL: w.BaseURL, Topic: fixed(topic), Now: w.Now})
		_, err := strict.Redeem(t.Context(), token, seal.Secret{}, "")
		wants(t, "Redeem", err, mdm.ErrInvitationOver)
	})
	_, err := w.Redeem(t.Context(), token, seal.SecretString("anything"), "")
	wants(t, "Redeem", err, nil)
}

// A code that was made is needed, whatever the server's mode is later.
func TestLabServerKeepsCodes(t *testing.T) {
	w := newWorld(t)
	_, token, _ := w.invite()
	lab := mdm.New(mdm.Config{Store: w.Store, BaseURL: w.BaseURL, Topic: fixed(topic), Now: w.Now, Lab: true})
	_, err := lab.Redeem(t.Context(), token, seal.Secret{}, "")
	wants(t, "Redeem without code", err, mdm.ErrCode)
}

func TestDownload(t *testing.T) {
	w := newWorld(t)
	inv, token, code := w.invite()
	_, err := w.Download(t.Context(), inv.Device.ID, "")
	wants(t, "before the code", err, mdm.ErrInvitation)
	_, err = w.Redeem(t.Context(), token, code, "")
	w.must(err)
	for range 2 {
		got, err := w.Download(t.Context(), inv.Device.ID, "192.0.2.7")
		if err != nil || got.User.Mail != "alice@example.com" || got.Device.ID != inv.Device.ID {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if n := w.entries(journal.ProfileDownloaded, "", ""); n != 2 {
		t.Errorf("journal has %d downloads, want 2", n)
	}
	p := &iphone{w: w, id: w.identity(inv.User.ID, inv.Device.ID), udid: "U-1"}
	w.must(p.checkIn("Authenticate", nil))
	_, err = w.Download(t.Context(), inv.Device.ID, "")
	wants(t, "while enrolling", err, nil)
	w.must(p.checkIn("TokenUpdate", tokens))
	_, err = w.Download(t.Context(), inv.Device.ID, "")
	wants(t, "after enrollment", err, mdm.ErrInvitationOver)
}
