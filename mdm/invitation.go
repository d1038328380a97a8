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
	Token      seal.Hash
	Code       seal.Hash // of token and code
	Lab        bool      // made without a code
	User       subject.User
	Device     subject.Device
	State      State // of the device
	Tries      int   // wrong codes so far
	CreatedAt  time.Time
	ExpiresAt  time.Time
	RedeemedAt time.Time // zero: not yet

	DownloadedAt time.Time // when the profile was fetched last; zero: not yet
}

// Stage is how far an invitation has come.
type Stage struct {
	State        State // of the device
	DownloadedAt time.Time
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

// Invitation gives the invitation behind a token, for a page to show.
// ErrInvitation when there is none, ErrInvitationOver when nothing can come of
// it any more.
func (s *Service) Invitation(ctx context.Context, token seal.Secret) (Invitation, error) {
	inv, err := s.Store.Invitation(ctx, token.Hash())
	if err != nil {
		return Invitation{}, err
	}
	return inv, s.alive(inv)
}

// alive tells whether something can come of an invitation.
func (s *Service) alive(inv Invitation) error {
	switch {
	case inv.User.Disabled, inv.State == Removed, inv.Lab && !s.Lab:
		return ErrInvitationOver
	case inv.Open() && (inv.Tries >= maxTries || s.Now().After(inv.ExpiresAt)):
		return ErrInvitationOver
	}
	return nil
}

// Open tells whether the invitation waits for its code.
func (i Invitation) Open() bool { return i.RedeemedAt.IsZero() }

// Redeem uses up an invitation with its code (any in lab mode). From then on
// the caller is let to [Service.Download] for that device. A wrong code is
// ErrCode and counts; after five the invitation is over. An invitation that
// was redeemed is ErrInvitationOver.
func (s *Service) Redeem(ctx context.Context, token, code seal.Secret, remote string) (Invitation, error) {
	inv, err := s.Invitation(ctx, token)
	if err != nil {
		return Invitation{}, err
	}
	if !inv.Open() {
		return Invitation{}, ErrInvitationOver
	}
	if inv.Lab {
		code = seal.Secret{}
	}
	now := s.Now()
	redeemed, err := s.Store.CodeTried(ctx, Try{
		Token: inv.Token, Code: codeHash(token, code), MaxTries: maxTries, At: now,
		Accepted: s.byInvited(inv, journal.InvitationRedeemed, remote), Failed: s.byInvited(inv, journal.InvitationRefused, remote),
	})
	switch {
	case err != nil:
		return Invitation{}, fmt.Errorf("redeeming invitation of %s: %w", inv.User.ID, err)
	case !redeemed:
		return Invitation{}, wrongCode(maxTries - inv.Tries - 1)
	}
	inv.RedeemedAt = now
	return inv, nil
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

// Redeemed gives the invitation of a device to who redeemed it: the caller
// must know that by a session. Its State tells how far the device has come.
func (s *Service) Redeemed(ctx context.Context, device subject.DeviceID) (Invitation, error) {
	inv, err := s.Store.InvitationOf(ctx, device)
	switch {
	case err != nil:
		return Invitation{}, err
	case inv.Open():
		return Invitation{}, ErrInvitation
	}
	return inv, s.alive(inv)
}

// Download notes that who redeemed the invitation of a device gets the
// enrollment profile now, and gives the invitation. It may be downloaded again
// until the device is enrolled; then it is ErrInvitationOver.
func (s *Service) Download(ctx context.Context, device subject.DeviceID, remote string) (Invitation, error) {
	inv, err := s.Redeemed(ctx, device)
	if err != nil {
		return Invitation{}, err
	}
	if inv.State == Enrolled {
		return Invitation{}, ErrInvitationOver
	}
	return inv, s.Store.ProfileDownloaded(ctx, device, s.byInvited(inv, journal.ProfileDownloaded, remote))
}

// Stages tells how far the invitations of devices have come. Unknown devices
// are left out.
func (s *Service) Stages(ctx context.Context, devices []subject.DeviceID) (map[subject.DeviceID]Stage, error) {
	return s.Store.Stages(ctx, devices)
}

// byInvited is done by the person who was invited, as far as we know.
func (s *Service) byInvited(inv Invitation, a journal.Action, remote string) journal.Entry {
	return journal.Entry{At: s.Now(), Actor: journal.Actor{Kind: journal.Person, ID: string(inv.User.ID), Remote: remote},
		Action: a, User: inv.User.ID, Device: inv.Device.ID}
}
