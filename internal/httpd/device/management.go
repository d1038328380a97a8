package device

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/time/rate"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/mdm"
)

// Body limits of the two addresses.
const (
	maxCheckIn = 1 << 20
	maxReport  = 10 << 20
)

// managed serves the MDM protocol.
type managed struct {
	Config
	refusals *rate.Limiter
}

func management(c Config) httpd.Area {
	m := managed{c, newLimiter()}
	return httpd.Area{Render: refuse, Routes: []httpd.Route{
		{Method: http.MethodPut, Path: mdm.CheckInPath, Permission: httpd.Anyone, MaxBody: maxCheckIn, Handle: m.checkIn},
		{Method: http.MethodPut, Path: mdm.ConnectPath, Permission: httpd.Anyone, MaxBody: maxReport, Handle: m.connect},
	}}
}

func (m managed) checkIn(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	return m.take(w, r, by, m.MDM.CheckIn)
}

func (m managed) connect(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	return m.take(w, r, by, m.MDM.Connect)
}

// message takes what the holder of a certificate sent and gives the answer.
type message func(ctx context.Context, id cert.Record, remote string, body []byte) ([]byte, error)

// take finds out whose a message is, reads it and answers. The order is the
// size of the proof, the certificate in it, the body's size, the signature;
// then comes the property list. So a stranger gets us neither to hold a body
// nor to verify a signature.
func (m managed) take(w http.ResponseWriter, r *http.Request, by httpd.Caller, handle message) error {
	p, id, err := m.sender(r, by)
	if err != nil {
		w.Header().Set("Connection", "close") // nobody wants to read the body
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := p.covers(body); err != nil {
		return m.refused(r.Context(), by, p.certificate, err)
	}
	reply, err := handle(r.Context(), id, by.Actor.Remote, body)
	if err != nil {
		return err
	}
	if len(reply) > 0 {
		w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	}
	_, err = w.Write(reply)
	return err
}

// sender gives the proof that a request brings, and the identity that it is
// one of, without reading the body.
func (m managed) sender(r *http.Request, by httpd.Caller) (proof, cert.Record, error) {
	p, err := proofOf(r)
	switch {
	case errors.Is(err, ErrProof): // whatever walks the web; the log has it
		return p, cert.Record{}, err
	case err != nil:
		return p, cert.Record{}, m.refused(r.Context(), by, nil, err)
	}
	id, err := p.sender(r.Context(), m.SCEP, m.MDM.Now())
	if err != nil {
		return p, cert.Record{}, m.refused(r.Context(), by, p.certificate, err)
	}
	return p, id, nil
}

// refused writes down that a stranger was turned away, and gives why.
func (m managed) refused(ctx context.Context, by httpd.Caller, c *x509.Certificate, why error) error {
	f := fault.Of(why)
	if f == nil || !m.refusals.Allow() {
		return why
	}
	var fp cert.Fingerprint
	if c != nil {
		fp = cert.FingerprintOf(c.Raw)
	}
	if err := m.MDM.Refused(ctx, by.Actor.Remote, fp, f.Code); err != nil {
		return fmt.Errorf("recording that a stranger was refused: %w", errors.Join(err, why))
	}
	return why
}

// refuse renders a failure to a device. 401 must never reach one, whatever
// goes wrong on the way: it would drop its enrollment. To a device that was
// removed it says so in Apple's words, and that one shall.
//
// Spec: Apple MDM, com.apple.unrecognized.device
func refuse(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	if f.Code == mdm.ErrDeviceRemoved.Code {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"code":"com.apple.unrecognized.device"}`)
		return
	}
	if status == http.StatusUnauthorized {
		status = http.StatusBadRequest
	}
	httpd.Bare(w, r, status, f)
}
