// Package peer is how the roles of one installation speak with each other when
// they are processes of their own: the front end, which faces the network,
// asks the keeper, which has the keys of the CAs and no other listener.
//
// It promises that nobody else is listened to: the keeper listens on a Unix
// socket, or asks for a client certificate of a CA that is there for nothing
// else; and that the keeper's refusals arrive as what they are.
//
// Start at [Area] for the keeper's side and [Dial] for the other.
package peer

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/scep"
)

// The routes.
const (
	certificates = "/keeper/v1/certificates"
	revocations  = "/keeper/v1/revocations/"
)

// maxApplication bounds an application: a request and a certificate, in base64.
const maxApplication = 4 * scep.MaxMessage

// ErrCall is returned for what is no call of ours.
var ErrCall = fault.New(fault.Invalid, "peer_call", "This is no call of a Signet front end.", "Run the same version in all roles.")

// Area is the keeper's.
func Area(k scep.Keeper) httpd.Area {
	return httpd.Area{Guard: known, Render: httpd.Problem, Routes: []httpd.Route{
		{Method: http.MethodPost, Path: certificates, Permission: httpd.AskKeeper, MaxBody: maxApplication, Handle: certify(k)},
		{Method: http.MethodPost, Path: revocations + "{issuer}", Permission: httpd.AskKeeper, MaxBody: httpd.NoBody, Handle: publish(k)},
	}}
}

// known is who reaches the keeper's listener: that it lets nobody else in is
// what it is there for.
func known(_ *http.Request, remote string) (httpd.Caller, error) { return access.Front(remote), nil }

func certify(k scep.Keeper) httpd.Handler { return answering(k.Certify) }

func publish(k scep.Keeper) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
		if err := k.Publish(r.Context(), mux.Vars(r)["issuer"]); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}
