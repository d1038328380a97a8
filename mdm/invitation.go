package mdm

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Invitation lets one device of one user enroll.
type Invitation struct {
	Token        seal.Hash
	Code         seal.Hash // of token and code
	Lab          bool      // made without a code
	User         subject.User
	Device       subject.Device
	State        State // of the device
	Tries        int   // wrong codes so far
	CreatedAt    time.Time
	ExpiresAt    time.Time
	RedeemedAt   time.Time // zero: not yet
	Session      seal.Hash // of who redeemed it
	SessionUntil time.Time
}

// Invite makes a device for a user and an invitation to enroll it. The link,
// a whole URL, and the code are to travel on different ways; neither is kept.
// In lab mode the code is empty. ErrUserDisabled for a disabled user.
func (s *Service) Invite(ctx context.Context, by journal.Actor, user subject.User) (inv Invitation, link, code seal.Secret, err error) {
	if user.Disabled {
		return inv, link, code, ErrUserDisabled
	}
	token := seal.Random()
	if !s.Lab {
		code = newCode()
	}
	now := s.Now()
	inv = Invitation{
		Token: token.Hash(), Code: codeHash(token, code), Lab: s.Lab, User: user, State: Invited,
		Device:    subject.Device{ID: subject.NewDeviceID(), User: user.ID},
		CreatedAt: now, ExpiresAt: now.Add(s.LinkLife),
	}
	e := journal.Entry{At: now, Actor: by, Action: journal.DeviceInvited, User: user.ID, Device: inv.Device.ID}
	if err := s.Store.Invited(ctx, inv, e); err != nil {
		return Invitation{}, seal.Secret{}, seal.Secret{}, fmt.Errorf("inviting %s: %w", user.ID, err)
	}
	return inv, seal.SecretString(s.BaseURL + "/enroll/" + token.RevealString()), code, nil
}

// Invitation gives the invitation behind a token for a page to show: it is
// [Invitation.Open] or it needs a session. ErrInvitation when there is none,
// ErrInvitationOver when nothing can come of it any more.
func (s *Service) Invitation(ctx context.Context, token seal.Secret) (Invitation, error) {
	inv, err := s.Store.Invitation(ctx, token.Hash())
	if err != nil {
		return Invitation{}, err
	}
	redeemed := !inv.RedeemedAt.IsZero()
	switch now := s.Now(); {
	case inv.User.Disabled, inv.State == Removed, inv.Lab && !s.Lab:
		return inv, ErrInvitationOver
	case redeemed && now.After(inv.SessionUntil):
		return inv, ErrInvitationOver
	case !redeemed && (inv.Tries >= maxTries || now.After(inv.ExpiresAt)):
		return inv, ErrInvitationOver
	}
	return inv, nil
}

// Open tells whether the invitation waits for its code.
func (i Invitation) Open() bool { return i.RedeemedAt.IsZero() }

// Redeem uses up an invitation with its code (any in lab mode) and begins the
// session that may download the profile. A wrong code is ErrCode and counts;
// after five the invitation is over. An invitation that was redeemed is
// ErrInvitationOver.
func (s *Service) Redeem(ctx context.Context, token, code seal.Secret, remote string) (Invitation, seal.Secret, error) {
	inv, err := s.Invitation(ctx, token)
	if err != nil {
		return Invitation{}, seal.Secret{}, err
	}
	if !inv.Open() {
		return Invitation{}, seal.Secret{}, ErrInvitationOver
	}
	if inv.Lab {
		code = seal.Secret{}
	}
	session, now := seal.Random(), s.Now()
	entry := func(a journal.Action) journal.Entry {
		return journal.Entry{At: now, Actor: journal.Actor{Kind: journal.Person, ID: string(inv.User.ID), Remote: remote},
			Action: a, User: inv.User.ID, Device: inv.Device.ID}
	}
	redeemed, err := s.Store.CodeTried(ctx, Try{
		Token: inv.Token, Code: codeHash(token, code), MaxTries: maxTries, At: now,
		Session: session.Hash(), SessionUntil: now.Add(sessionLife),
		Accepted: entry(journal.InvitationRedeemed), Failed: entry(journal.InvitationRefused),
	})
	switch {
	case err != nil:
		return Invitation{}, seal.Secret{}, fmt.Errorf("redeeming invitation of %s: %w", inv.User.ID, err)
	case !redeemed:
		return Invitation{}, seal.Secret{}, wrongCode(maxTries - inv.Tries - 1)
	}
	inv.RedeemedAt = now
	return inv, session, nil
}

func wrongCode(left int) error {
	switch {
	case left <= 0:
		return ErrInvitationOver.Saying("The code was wrong too often; this link can no longer be used.")
	case left == 1:
		return ErrCode.Saying("The code is not right. One try is left.")
	}
	return ErrCode.Saying(fmt.Sprintf("The code is not right. %d tries are left.", left))
}

// Resume gives the invitation to who redeemed it. ErrSession for anybody else.
func (s *Service) Resume(ctx context.Context, token, session seal.Secret) (Invitation, error) {
	inv, err := s.Invitation(ctx, token)
	switch {
	case err != nil:
		return Invitation{}, err
	case inv.Open() || session.Empty() || session.Hash() != inv.Session:
		return Invitation{}, ErrSession
	}
	return inv, nil
}

// Download notes that who redeemed the invitation gets the enrollment profile
// now. It may be downloaded again until the device is enrolled; then it is
// ErrInvitationOver.
func (s *Service) Download(ctx context.Context, token, session seal.Secret, remote string) (Invitation, error) {
	inv, err := s.Resume(ctx, token, session)
	if err != nil {
		return Invitation{}, err
	}
	if inv.State == Enrolled {
		return Invitation{}, ErrInvitationOver
	}
	return inv, s.Store.Record(ctx, journal.Entry{
		At: s.Now(), Actor: journal.Actor{Kind: journal.Person, ID: string(inv.User.ID), Remote: remote},
		Action: journal.ProfileDownloaded, User: inv.User.ID, Device: inv.Device.ID,
	})
}
