package msgraphtest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// token signs a program in.
//
// Spec: RFC 6749 section 4.4; RFC 7523 section 2.2
func (s *Server) token(w http.ResponseWriter, r *http.Request, body string) {
	f, err := url.ParseQuery(body)
	if err != nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || f.Get("grant_type") != "client_credentials" ||
		f.Get("client_id") != ClientID || f.Get("scope") != s.URL+"/.default" || !s.proved(f) {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "AADSTS7000215"})
		return
	}
	token := "token~" + uuid.NewString()
	s.tokens[token] = true
	answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})
}

func (s *Server) proved(f url.Values) bool {
	if len(f) == 4 && f.Get("client_secret") == Secret {
		return true
	}
	return len(f) == 5 && s.trusted != nil && f.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" &&
		s.signed(f.Get("client_assertion"))
}

func (s *Server) signed(jwt string) bool {
	part := strings.Split(jwt, ".")
	if len(part) != 3 || s.used[jwt] {
		return false
	}
	var head struct {
		Alg, Typ string
		Sum      string `json:"x5t#S256"`
	}
	var claims struct {
		Aud, Iss, Sub, Jti string
		Nbf, Exp           int64
	}
	sig, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil || !decode(part[0], &head) || !decode(part[1], &claims) {
		return false
	}
	sum, digest := sha256.Sum256(s.trusted.Raw), sha256.Sum256([]byte(part[0]+"."+part[1]))
	now := time.Now().Unix()
	s.used[jwt] = true
	return head.Alg == "PS256" && head.Sum == base64.RawURLEncoding.EncodeToString(sum[:]) &&
		rsa.VerifyPSS(s.trusted.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil &&
		claims.Aud == s.TokenURL() && claims.Iss == ClientID && claims.Sub == ClientID && claims.Jti != "" &&
		claims.Nbf <= now+1 && claims.Exp > now && claims.Exp <= now+600
}

func decode(text string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && json.Unmarshal(b, into) == nil
}
