package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/seal"
)

// What can go wrong on the way to a challenge.
var (
	ErrChallenge = fault.New(fault.Unavailable, "upstream_challenge",
		"The other certification authority gave no challenge.", "Check upstream.challenge and what belongs to it; the server's log says more.")
	ErrChallengeFull = fault.New(fault.Unavailable, "upstream_challenge_full",
		"The NDES server has too many unused passwords.", "Wait up to an hour, restart IIS there, or raise PasswordMax in its registry.")
	ErrChallengeDenied = fault.New(fault.Denied, "upstream_challenge_denied",
		"The NDES server lets this account have no passwords.", "Check upstream.username and its password, and that it may enroll for the template.")
)

// None is the source of servers that want no challenge, since only Signet
// reaches them.
type None struct{}

// Challenge gives an empty one.
func (None) Challenge(context.Context, map[string]string) (seal.Secret, time.Duration, error) {
	return seal.Secret{}, 0, nil
}

// Command is the source of servers that are told each challenge before it is
// used, such as EJBCA its enrollment codes. It runs a program that reads a JSON
// object of texts (profile, user, device, commonName, mail) and prints the
// challenge, one line.
type Command struct {
	Path string
	Life time.Duration // of what it prints
}

// Bounds of a command.
const (
	commandTime = 20 * time.Second
	maxSecret   = 255
)

// Challenge runs the program. What it prints to its standard error goes
// nowhere: it may hold anything.
func (c Command) Challenge(ctx context.Context, about map[string]string) (seal.Secret, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	input, err := json.Marshal(about)
	if err != nil {
		return seal.Secret{}, 0, fmt.Errorf("upstream: encoding what the challenge is for: %w", err)
	}
	var out bounded
	cmd := exec.CommandContext(ctx, c.Path)
	cmd.Stdin, cmd.Stdout, cmd.WaitDelay = bytes.NewReader(input), &out, time.Second
	if err := cmd.Run(); err != nil {
		return seal.Secret{}, 0, ErrChallenge.With(fmt.Errorf("running the command: %w", err))
	}
	s := strings.TrimRight(string(out.kept), "\r\n")
	if !secretForm.MatchString(s) {
		return seal.Secret{}, 0, ErrChallenge.With(errors.New("the command printed something else than one line of 8 to 255 letters, digits and marks"))
	}
	return seal.SecretString(s), c.Life, nil
}

// secretForm is what a challenge may be: short enough for a request, long
// enough to be none that somebody guesses.
var secretForm = regexp.MustCompile(`^[!-~]{8,255}$`)

// bounded keeps the first bytes and refuses more.
type bounded struct{ kept []byte }

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.kept)+len(p) > maxSecret+2 {
		return 0, errors.New("too much output")
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}

// NDES is the source of Microsoft's Network Device Enrollment Service: the
// page of its administrator, which shows a new password with every visit.
type NDES struct {
	page           string
	user, password seal.Secret
	http           *http.Client
}

// NewNDES takes the address of the page, https://ndes…/certsrv/mscep_admin/,
// who may see it, and the client's other settings.
func NewNDES(page string, user, password seal.Secret, c Config) *NDES {
	if page == "" {
		panic("upstream: nil dependency")
	}
	return &NDES{page, user, password, newHTTP(c.TLS)}
}

// ndesLife is shorter than the hour that a password lives there.
const ndesLife = 57 * time.Minute

// Challenge visits the page.
func (n *NDES) Challenge(ctx context.Context, _ map[string]string) (seal.Secret, time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, n.page, nil)
	if err != nil {
		return seal.Secret{}, 0, ErrChallenge.With(err)
	}
	r.SetBasicAuth(n.user.RevealString(), n.password.RevealString())
	_, body, err := exchange(n.http, r)
	if status, ok := errors.AsType[statusError](err); ok && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
		return seal.Secret{}, 0, ErrChallengeDenied.With(err)
	}
	if err != nil {
		return seal.Secret{}, 0, ErrChallenge.With(err)
	}
	secret, err := readAdminPage(body)
	return secret, ndesLife, err
}

var adminPassword = regexp.MustCompile(`(?i)enrollment challenge password is:\s*<B>\s*([0-9A-Z]{8,128})\s*</B>`)

// readAdminPage finds the password.
//
// Quirk: the page is UTF-16, and says in words why there is no password.
func readAdminPage(page []byte) (seal.Secret, error) {
	text := decodeUTF16(page)
	switch found := adminPassword.FindStringSubmatch(text); {
	case found != nil:
		return seal.SecretString(found[1]), nil
	case strings.Contains(text, "password cache is full"):
		return seal.Secret{}, ErrChallengeFull
	case strings.Contains(text, "do not have sufficient permission"):
		return seal.Secret{}, ErrChallengeDenied
	}
	return seal.Secret{}, ErrChallenge.With(errors.New("the page shows no password"))
}

// decodeUTF16 reads text with a byte order mark, or with a zero in every other
// byte of its beginning; any other is taken as it is.
func decodeUTF16(b []byte) string {
	big := bytes.HasPrefix(b, []byte{0xfe, 0xff}) || len(b) > 1 && b[0] == 0
	little := bytes.HasPrefix(b, []byte{0xff, 0xfe}) || len(b) > 1 && b[1] == 0
	if !big && !little {
		return string(b)
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		hi, lo := b[2*i+1], b[2*i]
		if big {
			hi, lo = lo, hi
		}
		units[i] = uint16(hi)<<8 | uint16(lo)
	}
	return string(utf16.Decode(units))
}
