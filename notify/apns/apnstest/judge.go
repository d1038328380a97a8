package apnstest

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxBody is what a notification may have.
//
// Spec: Apple, Generating a remote notification: 4 KB
const maxBody = 4 << 10

// judge refuses what the service refuses, in the order in which a request is
// read. Nil when it is good.
//
// Spec: Apple, Sending notification requests to APNs
func (s *Server) judge(r *http.Request, body []byte) (Push, *Scene) {
	own := topicOf(r.TLS.PeerCertificates[0])
	hexToken, isDevice := strings.CutPrefix(r.URL.Path, "/3/device/")
	token, err := hex.DecodeString(hexToken)
	topics := r.Header.Values("Apns-Topic")
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Apns-") && len(values) != 1 {
			return Push{}, refuse(400, "DuplicateHeaders")
		}
	}
	switch {
	case own == "":
		return Push{}, refuse(403, "BadCertificate")
	case r.Method != http.MethodPost:
		return Push{}, refuse(405, "MethodNotAllowed")
	case !isDevice || r.URL.RawQuery != "":
		return Push{}, refuse(404, "BadPath")
	case hexToken == "":
		return Push{}, refuse(400, "MissingDeviceToken")
	case err != nil || hexToken != strings.ToLower(hexToken) || len(token) < 32: // Stricter: the real one reads capitals
		return Push{}, refuse(400, "BadDeviceToken")
	case len(topics) == 0: // Stricter: with one topic the real one takes that
		return Push{}, refuse(400, "MissingTopic")
	case topics[0] != own:
		return Push{}, refuse(400, "BadTopic")
	case r.Header.Get("Apns-Push-Type") != "mdm":
		return Push{}, refuse(400, "InvalidPushType")
	case r.Header.Get("Apns-Priority") != "10":
		return Push{}, refuse(400, "BadPriority")
	}
	p := Push{Topic: own, Token: token}
	if p.Expires, err = expires(r.Header.Get("Apns-Expiration")); err != nil {
		return Push{}, refuse(400, "BadExpirationDate")
	}
	if refusal := p.read(body); refusal != nil {
		return Push{}, refusal
	}
	return p, s.known(hexToken, own)
}

// expires reads the header. Stricter: the real service takes 0 and none, and
// then forgets what a device that is off does not get at once.
func expires(header string) (time.Time, error) {
	seconds, err := strconv.ParseInt(header, 10, 64)
	if err == nil && !time.Unix(seconds, 0).After(time.Now()) {
		err = strconv.ErrRange
	}
	return time.Unix(seconds, 0), err
}

// read takes the body: nothing but the magic.
//
// Spec: Apple MDM, Sending push notifications
func (p *Push) read(body []byte) *Scene {
	switch {
	case len(body) > maxBody:
		return refuse(413, "PayloadTooLarge")
	case len(body) == 0:
		return refuse(400, "PayloadEmpty")
	}
	var keys map[string]string // Stricter: the real one does not look inside
	if err := json.Unmarshal(body, &keys); err != nil || len(keys) != 1 || keys["mdm"] == "" {
		return refuse(400, "PayloadEmpty")
	}
	p.Magic = keys["mdm"]
	return nil
}

// known tells what is wrong with a token.
func (s *Server) known(token, topic string) *Scene {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, owned := s.owners[token]; owned && owner != topic {
		return refuse(400, "DeviceTokenNotForTopic")
	}
	if since, gone := s.gone[token]; gone {
		return &Scene{Status: 410, Reason: "Unregistered", Since: since}
	}
	return nil
}

func refuse(status int, reason string) *Scene { return &Scene{Status: status, Reason: reason} }
