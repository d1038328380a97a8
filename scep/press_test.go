package scep_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/store/sqlitetest"
	"github.com/signet-mdm/signet/scep"
	"github.com/signet-mdm/signet/scep/ca"
)

// stuck is a key in a security module that answers nothing while its gate is shut.
type stuck struct {
	crypto.Signer
	mu    sync.Mutex
	gate  chan struct{} // nil: open
	calls int
}

func (s *stuck) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.mu.Lock()
	s.calls++
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	return s.Signer.Sign(rand, digest, opts)
}

func (s *stuck) shut(gate chan struct{}) { s.mu.Lock(); defer s.mu.Unlock(); s.gate, s.calls = gate, 0 }

func (s *stuck) called() int { s.mu.Lock(); defer s.mu.Unlock(); return s.calls }

// A key that hangs keeps nobody from what was published before, holds nobody
// for long, and is not called again meanwhile.
func TestSignerThatHangs(t *testing.T) {
	h, path := theHouse(), filepath.Join(t.TempDir(), "signet.db")
	sqlitetest.Put(t, path)
	key := &stuck{Signer: ecKey(elliptic.P256())}
	own := must(ca.NewMailCA(h.root, key.Public(), ca.Names{CommonName: "Example CA in a module"}, start))(t)
	issuer := must(ca.NewIssuer("smime", key, []*x509.Certificate{own, h.root.Certificate()}, ca.URLsBelow("http://mdm.example.com", "smime")))(t)
	synctest.Test(t, func(t *testing.T) {
		db := must(store.OpenSQLite(t.Context(), path))(t)
		defer db.Close()
		w := &world{t: t, now: start}
		keeper := scep.NewCertifier(scep.CertifierConfig{Store: db.SCEP(), Seats: []scep.Seat{{Issuer: issuer}, {Issuer: h.device.Issuer}}, Profiles: scep.Fixed{}, Log: slog.New(slog.DiscardHandler), Now: w.clock})
		s := must(scep.New(scep.Config{Store: db.SCEP(), Keeper: keeper, Profiles: scep.Fixed{}, URL: "https://mdm.example.com/scep", Log: slog.New(slog.DiscardHandler), Now: w.clock,
			Authorities: []scep.Authority{{Issuer: issuer.Public}, {Issuer: h.device.Issuer.Public}}}))(t)
		certs := madeUp(t, db, 2)
		old := must(s.CRL(t.Context(), "smime", ""))(t)
		question := func(n int) []byte {
			serial, _ := new(big.Int).SetString(string(certs[n].serial), 16)
			return must(ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, own, &ocsp.RequestOptions{Hash: crypto.SHA256}))(t)
		}
		w.sleep(5 * time.Hour)
		good := must(s.OCSP(t.Context(), "smime", question(0)))(t)

		gate := make(chan struct{})
		key.shut(gate)
		w.sleep(20 * time.Hour) // the list and the answer are old, and last
		begun := time.Now()
		for range 50 {
			go func() {
				if got, err := s.CRL(t.Context(), "smime", ""); err != nil || got.Number != old.Number {
					t.Errorf("a reader: got number %d, %v; want the last list", got.Number, err)
				}
				if got, err := s.OCSP(t.Context(), "smime", question(0)); err != nil || !bytes.Equal(got.DER, good.DER) {
					t.Errorf("who asks: got %d bytes, %v; want the last answer", len(got.DER), err)
				}
				if took := time.Since(begun); took > 10*time.Second {
					t.Errorf("a reader waited %v", took)
				}
			}()
		}
		go func() {
			if err := s.Revoke(t.Context(), worker, certs[1].fingerprint, ""); !errors.Is(err, scep.ErrPublishing) {
				t.Errorf("who revokes: got %v, want ErrPublishing", err)
			}
		}()
		if _, err := s.CRL(t.Context(), "device", ""); err != nil || time.Since(begun) > time.Second {
			t.Errorf("the list of another CA: %v after %v", err, time.Since(begun))
		}
		time.Sleep(time.Minute)
		keeper.SignerEnds() // would not come back
		if _, err := keeper.Refresh(t.Context()); !errors.Is(err, scep.ErrPublishing) {
			t.Errorf("the step in the background: got %v, want ErrPublishing", err)
		}
		if n := key.called(); n != 1 {
			t.Errorf("the key was called %d times, want once", n)
		}

		key.shut(nil)
		close(gate)
		synctest.Wait()
		listed(t, s, "", certs[1].serial)
	})
}
