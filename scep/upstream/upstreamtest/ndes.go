package upstreamtest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"
)

// NDES says how the administrator's page behaves; the zero one hands out
// passwords to [User].
type NDES struct {
	Full      bool   // no more than five passwords wait, and five do
	Forbidden bool   // the account may not enroll
	Page      string // in place of it
	BigEndian bool
	UTF8      bool
	Same      string // UseSinglePassword: the same one for ever
	Life      time.Duration
}

// User and Password are whom the page lets in.
const (
	User     = `EXAMPLE\svc-signet`
	Password = "test-only-password"
)

// admin is /certsrv/mscep_admin/: a password a visit, good for an hour, five
// waiting at most.
func (s *Server) admin(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	user, password, given := r.BasicAuth()
	if !given || user != User || password != Password {
		w.Header().Add("WWW-Authenticate", `Basic realm="ndes.example.com"`)
		http.Error(w, "401 - Unauthorized: Access is denied due to invalid credentials.", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	w.Write(s.NDES.encode(s.page()))
}

func (s *Server) page() string {
	const top = `<HTML><Head><Meta HTTP-Equiv="Content-Type" Content="text/html; charset=UTF-16"><Title>Network Device Enrollment Service</Title></Head><Body>`
	switch {
	case s.NDES.Page != "":
		return s.NDES.Page
	case s.NDES.Forbidden:
		return top + `<P> You do not have sufficient permission to enroll with SCEP.  Please contact your system administrator. </P></Body></HTML>`
	case s.NDES.Full || s.waitingCodes() >= 5:
		return top + `<P> The password cache is full. </P></Body></HTML>`
	}
	life := s.NDES.Life
	if life == 0 {
		life = time.Hour
	}
	b := make([]byte, 8)
	rand.Read(b)
	code := strings.ToUpper(hex.EncodeToString(b))
	if s.NDES.Same != "" {
		code = s.NDES.Same
	}
	s.codes[code] = time.Now().Add(life)
	return top + fmt.Sprintf(`<P> The thumbprint (hash value) for the CA certificate is: <B> 4D1F5A3B C2E86F90 4D1F5A3B C2E86F90 </B> <P> The enrollment challenge password is: <B> %s </B> <P> This password can be used only once and will expire within 60 minutes. <P> Each enrollment requires a new challenge password. </Body></HTML>`, code)
}

func (s *Server) waitingCodes() (n int) {
	for _, end := range s.codes {
		if time.Now().Before(end) {
			n++
		}
	}
	return n
}

// encode writes the page as Windows does.
func (n NDES) encode(page string) []byte {
	if n.UTF8 {
		return []byte(page)
	}
	var out []byte
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(page))...) {
		if n.BigEndian {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}
