package pfxconnector

import (
	"crypto/x509"
	"time"

	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/pfxconnector/pfx"
)

// What is said of a certificate that is taken all the same. They are never
// returned as errors.
var (
	noticeExpired = fault.New(fault.Invalid, "pfx_expired",
		"The certificate has expired.", "Nothing need be done: its key is kept to read old mail.")
	noticeFuture = fault.New(fault.Invalid, "pfx_not_yet_valid",
		"The certificate is not valid yet.", "Nothing need be done: it becomes current when its time has come.")
	noticeAged = fault.New(fault.Invalid, "pfx_key_aged",
		"The key is too short for new mail.", "Nothing need be done: it is kept to read old mail.")
)

// Notice is what is worth knowing of a certificate and no fault of it.
type Notice struct {
	Code    string `json:"code" doc:"Of the notice; see docs/errors.md"`
	Message string `json:"message" doc:"For people"`
	Hint    string `json:"hint" doc:"What to do, if anything"`
}

// notices says what is worth knowing of c at that time.
func notices(c *x509.Certificate, now time.Time) (list []Notice) {
	say := func(f *fault.Error) { list = append(list, Notice{f.Code, f.Msg, f.Hint}) }
	switch {
	case now.After(c.NotAfter):
		say(noticeExpired)
	case now.Before(c.NotBefore):
		say(noticeFuture)
	}
	if how := cert.Aged(c); how != "" {
		say(noticeAged.Saying(how))
	}
	if why := cert.Undeliverable(c); why != "" {
		say(pfx.ErrNotDeliverable.Saying(why))
	}
	return list
}
