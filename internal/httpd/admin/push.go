package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/notify"
)

// Push has the certificates by which Apple's push service knows us.
type Push interface {
	// Request makes a key, which stays, and a request for its certificate, PEM.
	Request(ctx context.Context, by journal.Actor) (csr []byte, err error)
	// Import takes what Apple made of a request.
	Import(ctx context.Context, by journal.Actor, u notify.Upload) (notify.Imported, error)
	// List gives all, the one whose topic enrolling devices get first; never nil.
	List(ctx context.Context) ([]notify.Certificate, error)
	// Device tells how pushing to a device goes.
	Device(ctx context.Context, id subject.DeviceID) (notify.PushState, error)
}

// PushRequest is a certificate request.
type PushRequest struct {
	CSR string `json:"csr" doc:"PEM. Apple takes it after an MDM vendor has signed it"`
}

// NewPushCertificate is a certificate that Apple made.
type NewPushCertificate struct {
	Certificate  []byte `json:"certificate" doc:"PEM or DER, base64"`
	Key          []byte `json:"key,omitempty" doc:"Private key of a certificate that was not requested here, PEM or PKCS #8, base64"`
	Account      string `json:"account,omitempty" maxLength:"320" doc:"Note of the Apple Account that can renew it"`
	ReplaceTopic bool   `json:"replaceTopic,omitempty" doc:"Take another topic although devices are enrolled with one; they must enroll again"`
}

// PushCertificate is a push certificate as lists show it.
type PushCertificate struct {
	Topic     string     `json:"topic" doc:"UID of its subject; whom it reaches"`
	Enrolls   bool       `json:"enrolls" doc:"Devices that enroll now get its topic"`
	Subject   string     `json:"subject" doc:"Distinguished name"`
	Serial    string     `json:"serial" doc:"Hex"`
	SHA256    string     `json:"sha256" doc:"SHA-256 of the certificate, hex"`
	NotBefore time.Time  `json:"notBefore" doc:"From when on it is good"`
	NotAfter  time.Time  `json:"notAfter" doc:"Until when it is good"`
	DaysLeft  int        `json:"daysLeft" doc:"Negative when it has expired"`
	Account   string     `json:"account" doc:"The Apple Account that can renew it, as somebody noted"`
	Imported  time.Time  `json:"imported" doc:"When it was taken"`
	Enrolled  int        `json:"devicesEnrolled" doc:"Devices enrolled with its topic"`
	Reachable int        `json:"devicesReachable" doc:"Of those, with a push token that Apple did not refuse"`
	Trouble   string     `json:"trouble,omitempty" doc:"Why nothing can be pushed"`
	Troubled  *time.Time `json:"troubleSince,omitempty" doc:"Since when"`
}

// ImportedPush is what came of an import.
type ImportedPush struct {
	PushCertificate
	Others   int `json:"devicesOtherTopic" doc:"Devices enrolled with the topic of another certificate here"`
	Stranded int `json:"devicesWithoutCertificate" doc:"Devices enrolled with a topic that has none; they must enroll again to be woken"`
}

// DevicePush is how pushing to a device goes.
type DevicePush struct {
	Topic     string     `json:"topic" doc:"That it enrolled with"`
	Certified bool       `json:"certificate" doc:"Whether there is a push certificate for it"`
	Token     *time.Time `json:"token,omitempty" doc:"When it told where to push to"`
	Refused   *time.Time `json:"tokenRefused,omitempty" doc:"Since when Apple refuses that: nothing is pushed until the device tells anew"`
	Wanted    *time.Time `json:"wanted,omitempty" doc:"When it is to be woken next"`
	Tried     *time.Time `json:"lastPush,omitempty" doc:"The last push"`
	Taken     *time.Time `json:"lastTaken,omitempty" doc:"The last push that Apple took"`
	Answer    string     `json:"answer,omitempty" doc:"What became of the last push"`
	Pushes    int        `json:"pushes" doc:"That Apple took since the device spoke"`
	Failures  int        `json:"failures" doc:"Since Apple last took one"`
}

func newPushCertificate(p notify.Certificate) PushCertificate {
	c := p.Certificate
	return PushCertificate{Topic: p.Topic, Enrolls: p.Enrolls, Subject: c.Subject.String(), Serial: string(cert.SerialOf(c.SerialNumber)),
		SHA256: cert.FingerprintOf(c.Raw).String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter, DaysLeft: p.DaysLeft, Account: p.Account,
		Imported: p.ImportedAt, Enrolled: p.Devices.Enrolled, Reachable: p.Devices.Reachable, Trouble: p.Trouble, Troubled: when(p.TroubledAt)}
}

func newDevicePush(s notify.PushState, wanted time.Time) DevicePush {
	return DevicePush{Topic: s.Topic, Certified: s.Certified, Token: when(s.TokenAt), Refused: when(s.RefusedAt), Wanted: when(wanted),
		Tried: when(s.TriedAt), Taken: when(s.SentAt), Answer: s.Reason, Pushes: s.Pushes, Failures: s.Failures}
}

func (a *API) push() {
	register(a, operation{id: "requestPushCertificate", tag: "push", method: http.MethodPost, path: "/push/requests",
		summary: "Make a key and a request for a push certificate", permission: access.PushManage, status: http.StatusCreated}, a.requestPush)
	register(a, operation{id: "importPushCertificate", tag: "push", method: http.MethodPost, path: "/push/certificates",
		summary: "Take a push certificate that Apple made", permission: access.PushManage, maxBody: large, status: http.StatusCreated,
		faults: []*fault.Error{notify.ErrCertificate, notify.ErrNoPush, notify.ErrExpired, notify.ErrKeyUnknown, notify.ErrKey, notify.ErrTopic}}, a.importPush)
	register(a, operation{id: "listPushCertificates", tag: "push", method: http.MethodGet, path: "/push/certificates",
		summary: "List the push certificates", permission: access.PushRead}, a.listPush)
}

func (a *API) requestPush(ctx context.Context, by journal.Actor, _ *struct{}) (*body[PushRequest], error) {
	csr, err := a.Push.Request(ctx, by)
	return &body[PushRequest]{PushRequest{string(csr)}}, err
}

func (a *API) importPush(ctx context.Context, by journal.Actor, in *body[NewPushCertificate]) (*body[ImportedPush], error) {
	n := in.Body
	u := notify.Upload{Certificate: n.Certificate, Key: seal.NewSecret(n.Key), Account: n.Account, Replace: n.ReplaceTopic}
	defer u.Key.Wipe()
	i, err := a.Push.Import(ctx, by, u)
	if err != nil {
		return nil, err
	}
	return &body[ImportedPush]{ImportedPush{newPushCertificate(i.Certificate), i.Others, i.Stranded}}, nil
}

func (a *API) listPush(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[list[PushCertificate]], error) {
	all, err := a.Push.List(ctx)
	return listOf(all, newPushCertificate), err
}
