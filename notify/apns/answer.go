package apns

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/notify"
)

// kinds says what Apple's reasons mean. Those of token authentication cannot
// come with a certificate; if they do, it is the certificate that is wrong.
//
// Spec: Apple, Handling notification responses from APNs
var kinds = map[string]notify.Kind{
	"BadDeviceToken":              notify.TokenGone,
	"Unregistered":                notify.TokenGone,
	"ExpiredToken":                notify.TokenGone,
	"DeviceTokenNotForTopic":      notify.TokenForeign,
	"BadTopic":                    notify.TopicRefused,
	"MissingTopic":                notify.TopicRefused,
	"TopicDisallowed":             notify.TopicRefused,
	"BadCertificate":              notify.CertificateRefused,
	"BadCertificateEnvironment":   notify.CertificateRefused,
	"Forbidden":                   notify.CertificateRefused,
	"ExpiredProviderToken":        notify.CertificateRefused,
	"InvalidProviderToken":        notify.CertificateRefused,
	"MissingProviderToken":        notify.CertificateRefused,
	"PayloadTooLarge":             notify.TooLarge,
	"IdleTimeout":                 notify.Later,
	"TooManyRequests":             notify.Later,
	"TooManyProviderTokenUpdates": notify.Later,
	"InternalServerError":         notify.Later,
	"ServiceUnavailable":          notify.Later,
	"Shutdown":                    notify.Later,
}

// statuses stand in for a reason that is missing or new.
var statuses = map[int]notify.Kind{
	http.StatusForbidden:             notify.CertificateRefused,
	http.StatusGone:                  notify.TokenGone,
	http.StatusRequestEntityTooLarge: notify.TooLarge,
	http.StatusTooManyRequests:       notify.Later,
}

var word = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// answer reads what Apple said.
func answer(resp *http.Response, now time.Time) notify.Answer {
	if resp.StatusCode == http.StatusOK {
		return notify.Answer{Kind: notify.Taken, Reason: "taken"}
	}
	a := notify.Answer{Reason: "status " + strconv.Itoa(resp.StatusCode), RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now)}
	var said struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // milliseconds
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && json.Unmarshal(body, &said) == nil && word.MatchString(said.Reason) {
		a.Reason = said.Reason
	}
	if said.Timestamp > 0 {
		a.Since = time.UnixMilli(said.Timestamp).UTC()
	}
	a.Kind = kindOf(a.Reason, resp.StatusCode)
	return a
}

func kindOf(reason string, status int) notify.Kind {
	if k, known := kinds[reason]; known {
		return k
	}
	if k, known := statuses[status]; known {
		return k
	}
	if status >= 500 {
		return notify.Later
	}
	return notify.Refused
}

// retryAfter reads the header's seconds or date; 0 for what is neither.
//
// Spec: RFC 9110 section 10.2.3
func retryAfter(header string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// unanswered says why nothing came back, in words of ours: what the transport
// says may quote the peer. When it says nothing of use, a handshake is tried.
func unanswered(err error, handshake func() error) notify.Answer {
	if said := goAway.FindStringSubmatch(err.Error()); said != nil {
		if k, known := kinds[said[1]]; known {
			return notify.Answer{Kind: k, Reason: said[1]}
		}
	}
	timeout, _ := errors.AsType[net.Error](err)
	op, _ := errors.AsType[*net.OpError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case untrusted:
		return notify.Answer{Kind: notify.Unanswered, Reason: "the gateway's certificate is not trusted"}
	case op != nil && op.Op == "dial":
		return notify.Answer{Kind: notify.Unanswered, Reason: "the gateway cannot be reached"}
	case errors.Is(err, context.DeadlineExceeded) || timeout != nil && timeout.Timeout():
		return notify.Answer{Kind: notify.Unanswered, Reason: "no answer in time"}
	case aboutCertificate(err) || aboutCertificate(handshake()):
		return notify.Answer{Kind: notify.CertificateRefused, Reason: "refused in the TLS handshake"}
	}
	return notify.Answer{Kind: notify.Unanswered, Reason: "the connection was lost"}
}

// goAway finds the reason with which the service ends a connection. The
// error's type is not exported, only its text says it.
//
// Spec: Apple, Communicating with APNs: the reason is in the debug data
var goAway = regexp.MustCompile(`GOAWAY.*\breason\\":\s*\\"([A-Za-z]{1,64})\\"`)

// aboutCertificate tells whether the other side ended the handshake because of
// our certificate. The alert's type is not exported, only its text says it.
//
// Spec: RFC 8446 section 6.2
func aboutCertificate(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return false
	}
	alert := op.Err.Error()
	return strings.Contains(alert, "certificate") || strings.Contains(alert, "access denied")
}
