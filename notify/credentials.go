package notify

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/logx"
	"github.com/signet-mdm/signet/internal/subject"
)

// List gives all push certificates with their devices, the one that enrolls
// first; never nil.
func (s *Certificates) List(ctx context.Context) ([]Certificate, error) {
	all, topics, err := s.survey(ctx)
	for i := range all {
		all[i].Devices, all[i].DaysLeft = topics[all[i].Topic], all[i].daysLeft(s.Now())
	}
	return all, err
}

// Device tells how pushing to a device goes.
func (s *Certificates) Device(ctx context.Context, id subject.DeviceID) (PushState, error) {
	return s.Store.PushState(ctx, id)
}

// Topic gives the topic that enrolling devices get: [NoTopic] while there is no
// push certificate.
func (s *Certificates) Topic(ctx context.Context) (string, error) {
	all, err := s.Store.PushCertificates(ctx)
	if err != nil || len(all) == 0 {
		return NoTopic, err
	}
	return all[0].Topic, nil
}

// NotAfter gives when the certificate of enrolling devices ends, the zero time
// when there is none.
func (s *Certificates) NotAfter(ctx context.Context) (time.Time, error) {
	all, err := s.Store.PushCertificates(ctx)
	if err != nil || len(all) == 0 {
		return time.Time{}, err
	}
	return all[0].Certificate.NotAfter, nil
}

// Credentials implements the interface of that name. A certificate that is
// over, or whose key is not here, is left out and spoken of once.
func (s *Certificates) Credentials(ctx context.Context) ([]Credential, error) {
	all, err := s.Store.PushCertificates(ctx)
	if err != nil {
		return nil, err
	}
	var usable []Credential
	for _, c := range all {
		key, err := s.key(c)
		switch {
		case !s.Now().Before(c.Certificate.NotAfter):
			s.about(c, "expired", slog.LevelError, "the push certificate has expired: no device is woken until it is renewed")
		case err != nil:
			s.about(c, "no key", slog.LevelError, "the key of the push certificate is not in the keyring: no device is woken", logx.Err, err)
		default:
			usable = append(usable, Credential{Topic: c.Topic, Certificate: c.Certificate, Key: key})
		}
	}
	return usable, nil
}

func (s *Certificates) key(c Certificate) (crypto.Signer, error) {
	name, err := keyName(c.Certificate.PublicKey)
	if err != nil {
		return nil, err
	}
	return s.Keys.Signer(name)
}

// Troubled implements [Credentials].
func (s *Certificates) Troubled(ctx context.Context, topic, reason string) error {
	return s.Store.PushTroubled(ctx, topic, reason, s.Now())
}

// reminders are the days before its end on which a certificate is spoken of.
var reminders = []int{1, 7, 14, 30, 60}

// Remind says when a push certificate will end, and that there is none. Run it
// a few times a day: what was said is not repeated until the next of those days.
func (s *Certificates) Remind(ctx context.Context) (int, error) {
	all, err := s.Store.PushCertificates(ctx)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		s.once("none", slog.LevelWarn, "there is no push certificate: no device is woken, and those that enroll now must enroll again once there is one")
	}
	for _, c := range all {
		left := c.daysLeft(s.Now())
		for _, day := range reminders {
			if left >= 0 && left <= day {
				s.about(c, fmt.Sprintf("%d days", day), slog.LevelWarn, "the push certificate ends soon: renew it at identity.apple.com/pushcert, with the same Apple Account",
					logx.Account, c.Account)
				break
			}
		}
	}
	return 0, nil
}

// about logs what is new about a certificate.
func (s *Certificates) about(c Certificate, what string, level slog.Level, text string, attrs ...any) {
	attrs = append([]any{logx.Topic, c.Topic, logx.Until, c.Certificate.NotAfter.Format(time.DateOnly)}, attrs...)
	s.once(cert.FingerprintOf(c.Certificate.Raw).String()+" "+what, level, text, attrs...)
}

// once logs what was not logged before.
func (s *Certificates) once(what string, level slog.Level, text string, attrs ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.said[what] {
		s.said[what] = true
		s.Log.Log(context.Background(), level, text, attrs...)
	}
}
