package scep_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/signet-mdm/signet/scep"
)

// serve puts the service behind HTTP as thinly as can be, for clients that
// speak it. It gives the address of one profile.
func (w *world) serve(profile string) string {
	w.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(w.handle))
	w.t.Cleanup(s.Close)
	return s.URL + "/" + profile
}

func (w *world) handle(rw http.ResponseWriter, r *http.Request) {
	body, contentType, err := w.operation(r)
	if err != nil {
		w.t.Logf("%s %s: %v", r.Method, r.URL.Query().Get("operation"), err)
		http.Error(rw, "refused", http.StatusBadRequest)
		return
	}
	rw.Header().Set("Content-Type", contentType)
	rw.Write(body)
}

func (w *world) operation(r *http.Request) (body []byte, contentType string, err error) {
	profile, query := r.URL.Path[1:], r.URL.Query()
	switch query.Get("operation") {
	case "GetCACaps":
		body, err = w.s.GetCACaps(context.Background(), profile)
		if w.getOnly {
			body = bytes.ReplaceAll(body, []byte("POSTPKIOperation"), nil)
		}
		return body, scep.TypeCaps, err
	case "GetCACert":
		return w.s.GetCACert(context.Background(), profile)
	case "PKIOperation":
		message, err := io.ReadAll(io.LimitReader(r.Body, scep.MaxMessage+1))
		if r.Method == http.MethodGet {
			message, err = scep.DecodeMessage(query.Get("message"))
		}
		if err != nil {
			return nil, "", err
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			return nil, "", err
		}
		body, err = w.s.PKIOperation(r.Context(), profile, host, message)
		return body, scep.TypeMessage, err
	}
	return nil, "", errors.New("no such operation")
}
