package admin

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humamux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/backup"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
)

// Backups makes backups.
type Backups interface {
	// Backup begins one that the age recipients can open, besides those of the
	// installation. What is returned writes it, and is called once.
	Backup(ctx context.Context, by journal.Actor, to []string) (func(context.Context, io.Writer) error, error)
}

// NewBackup asks for a backup.
type NewBackup struct {
	To []string `json:"to" maxItems:"20" nullable:"false" doc:"Further age recipients (age1…) that are to open it, besides the unlock key and the recovery key of the installation"`
}

// octets is the media type of an archive.
const octets = "application/octet-stream"

// stall is how long a client may leave what it gets unread.
const stall = time.Minute

func (a *API) backups() {
	op := operation{id: "makeBackup", tag: "access", method: http.MethodPost, path: "/backups",
		summary: "Make a backup, an age file", permission: access.BackupMake, maxBody: small, answers: octets,
		faults: []*fault.Error{backup.ErrRunning, backup.ErrRecipient, backup.ErrNoKeys}}
	register(a, op, a.makeBackup)
}

// archive is the answer, which is written as it is made.
type archive struct {
	Body func(huma.Context)
}

func (a *API) makeBackup(ctx context.Context, by journal.Actor, in *body[NewBackup]) (*archive, error) {
	write, err := a.Backups.Backup(ctx, by, in.Body.To)
	if err != nil {
		return nil, err
	}
	return &archive{func(c huma.Context) {
		c.SetHeader("Content-Type", octets)
		_, w := humamux.Unwrap(c)
		if err := write(c.Context(), patient{w, http.NewResponseController(w)}); err != nil {
			panic(httpd.Cut{Err: err})
		}
	}}, nil
}

// patient gives each write its own time.
type patient struct {
	io.Writer
	*http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return p.Writer.Write(b)
}

// Backup makes a backup and writes it to out, as long as it takes.
func (c *Client) Backup(ctx context.Context, to []string, out io.Writer) error {
	lasting := *c
	http := *c.http
	http.Timeout = 0
	lasting.http = &http
	return lasting.do(ctx, "POST", "/backups", NewBackup{append([]string{}, to...)}, out)
}
