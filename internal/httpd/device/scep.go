package device

import (
	"errors"
	"io"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/scep"
)

// scepArea serves each certificate profile at its own address; some clients
// append /pkiclient.exe.
//
// Spec: RFC 8894 section 4.1
func scepArea(s *scep.Service) httpd.Area {
	a := httpd.Area{Render: httpd.Bare}
	for _, path := range []string{"/scep/{profile}", "/scep/{profile}/pkiclient.exe"} {
		a.Routes = append(a.Routes,
			httpd.Route{Method: http.MethodGet, Path: path, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: scepGet(s)},
			httpd.Route{Method: http.MethodPost, Path: path, Permission: httpd.Anyone, MaxBody: scep.MaxMessage, Handle: scepPost(s)},
		)
	}
	return a
}

func scepGet(s *scep.Service) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
		profile, query := mux.Vars(r)["profile"], r.URL.Query()
		switch query.Get("operation") {
		case "GetCACaps":
			body, err := s.GetCACaps(r.Context(), profile)
			return answer(w, scep.TypeCaps, body, err)
		case "GetCACert":
			body, kind, err := s.GetCACert(r.Context(), profile)
			return answer(w, kind, body, err)
		case "PKIOperation":
			if r.Method == http.MethodHead { // nobody would read the certificate
				w.Header().Set("Allow", "GET, POST")
				return httpd.ErrMethod
			}
			message, err := scep.DecodeMessage(query.Get("message"))
			if err != nil {
				return err
			}
			return operate(w, r, by, s, message)
		case "GetNextCACert":
			body, err := s.GetNextCACert(r.Context(), profile)
			if errors.Is(err, scep.ErrNoNext) {
				w.WriteHeader(http.StatusNotImplemented)
				return nil
			}
			return answer(w, scep.TypeNextCA, body, err)
		}
		return ErrOperation
	}
}

func scepPost(s *scep.Service) httpd.Handler {
	return func(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
		if r.URL.Query().Get("operation") != "PKIOperation" {
			return ErrOperation
		}
		message, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		return operate(w, r, by, s, message)
	}
}

func operate(w http.ResponseWriter, r *http.Request, by httpd.Caller, s *scep.Service, message []byte) error {
	body, err := s.PKIOperation(r.Context(), mux.Vars(r)["profile"], by.Actor.Remote, message)
	return answer(w, scep.TypeMessage, body, err)
}

// answer writes what there is unless it failed.
func answer(w http.ResponseWriter, contentType string, body []byte, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	_, err = w.Write(body)
	return err
}
