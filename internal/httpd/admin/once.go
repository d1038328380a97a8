package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/journal"
)

// Requests are made once under each key.
type Requests interface {
	// ClaimRequest lets a caller make a request under that key once.
	// access.ErrRequestRepeated for the second.
	ClaimRequest(ctx context.Context, by journal.Actor, key string) error
	// ReleaseRequest lets it be made again, because nothing came of it.
	ReleaseRequest(ctx context.Context, by journal.Actor, key string) error
}

// keyHeader keeps a request that was sent twice from being carried out twice.
// The second is refused and not answered as the first was: secrets that were
// made are not kept.
const keyHeader = "Idempotency-Key"

var keyParameter = &huma.Param{Name: keyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString},
	Description: "1 to 200 printable characters; a second request under the same key within 24 hours is refused"}

// once carries a request out unless one with its key was. A request without a
// key, and a dry run, may come as often as it likes.
func (a *API) once(r *http.Request, by journal.Actor, carry func() error) error {
	key := r.Header.Get(keyHeader)
	if r.Header[keyHeader] == nil || r.URL.Query().Get("dryRun") == "true" {
		return carry()
	}
	if err := a.Tokens.ClaimRequest(r.Context(), by, key); err != nil {
		return err
	}
	err := carry()
	if err == nil {
		return nil
	}
	// What broke off on our side may have had its effect: its key stays taken.
	if f := httpd.FaultOf(err); f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		return err
	}
	return errors.Join(err, a.Tokens.ReleaseRequest(context.WithoutCancel(r.Context()), by, key))
}
