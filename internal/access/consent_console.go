package access

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/signet-mdm/signet/internal/seal"
)

// OpenConsole is [Service.OpenConsole]. The secret shows besides, by what the
// database does not hold, that a server of ours gave it to who had the token: a
// session that somebody wrote into the database opens nothing.
func (c *Consents) OpenConsole(ctx context.Context, by Caller) (seal.Secret, error) {
	secret, err := c.Service.OpenConsole(ctx, by)
	if err != nil {
		return seal.Secret{}, err
	}
	mark := c.box.Close(seal.Secret{}, consoleAAD(secret.Hash(), by.Actor.ID))
	return seal.SecretString(secret.RevealString() + "." + base64.RawURLEncoding.EncodeToString(mark)), nil
}

// Console is [Service.Console], for what OpenConsole of ours gave.
func (c *Consents) Console(ctx context.Context, presented, remote string) (Caller, error) {
	secret, text, _ := strings.Cut(presented, ".")
	mark, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return Caller{}, ErrConsole
	}
	by, err := c.Service.Console(ctx, secret, remote)
	if err != nil {
		return Caller{}, err
	}
	if _, err := c.box.Open(mark, consoleAAD(by.Session, by.Actor.ID)); err != nil {
		return Caller{}, ErrConsole
	}
	return by, nil
}

func consoleAAD(session seal.Hash, token string) string {
	return fmt.Sprintf("console %s of %s", session, token)
}
