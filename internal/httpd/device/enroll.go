package device

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/mdm/profile"
	"github.com/signet-mdm/signet/scep"
)

//go:embed web
var web embed.FS

// LabNotice stands on every page while enroll.auth is "lab".
const LabNotice = "Test mode: an enrollment link alone lets a device in, without a code."

const maxForm = 4 << 10

// downloadLife is how long iOS keeps a profile that waits in Settings.
const downloadLife = 8 * time.Minute

// Addresses of the pages; those with a session do not carry the token on.
const (
	linkPath    = "/enroll/{token}"
	rightsPath  = "/enroll/rights"
	stepsPath   = "/enroll/steps"
	eventsPath  = "/enroll/events"
	profilePath = "/enroll/profile"
)

// enrolling leads a person from the link to the profile.
type enrolling struct {
	Config
	pages  *httpd.Pages
	events *httpd.Source
}

func enrollment(c Config) httpd.Area {
	e := enrolling{Config: c, pages: newPages(c)}
	e.events = c.Live.Source(e.versions)
	return httpd.Area{Guard: httpd.Cookie(c.Sessions), Render: e.fail, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: rightsPath, Permission: httpd.OwnEnroll, MaxBody: httpd.NoBody, Handle: e.rights},
		{Method: http.MethodGet, Path: stepsPath, Permission: httpd.OwnEnroll, MaxBody: httpd.NoBody, Handle: e.steps},
		{Method: http.MethodGet, Path: eventsPath, Permission: httpd.OwnEnroll, MaxBody: httpd.NoBody, Handle: e.listen, Stream: true},
		{Method: http.MethodGet, Path: profilePath, Permission: httpd.OwnEnroll, MaxBody: httpd.NoBody, Handle: e.profile},
		{Method: http.MethodGet, Path: linkPath, Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: e.welcome},
		{Method: http.MethodPost, Path: linkPath, Permission: httpd.Anyone, MaxBody: maxForm, Handle: e.redeem},
	}}
}

func newPages(c Config) *httpd.Pages {
	house := httpd.House{Organization: c.MDM.Organization, Help: c.Help}
	if c.MDM.Lab {
		house.Notice = LabNotice
	}
	return httpd.NewPages(web, house)
}

// fail tells a person without a session that the link is used up.
func (e enrolling) fail(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	if f.Code == access.ErrSession.Code {
		f = ErrElsewhere
	}
	e.pages.Fail(w, r, status, f)
}

func token(r *http.Request) seal.Secret { return seal.SecretString(mux.Vars(r)["token"]) }

// welcome greets who opens the link. It changes nothing.
func (e enrolling) welcome(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	inv, err := e.MDM.Invitation(r.Context(), token(r))
	if err != nil {
		return err
	}
	if !inv.Open() {
		http.Redirect(w, r, stepsPath, http.StatusSeeOther)
		return nil
	}
	return e.ask(w, r, http.StatusOK, inv, "")
}

// ask shows the form for the code; problem says what was wrong with the last.
func (e enrolling) ask(w http.ResponseWriter, r *http.Request, status int, inv mdm.Invitation, problem string) error {
	address := e.MDM.BaseURL + "/enroll/" + mux.Vars(r)["token"]
	data := map[string]any{"Name": inv.User.Name, "Organization": e.MDM.Organization, "Lab": inv.Lab, "Problem": problem,
		"Place": placeOf(r.UserAgent()), "Address": address}
	if data["Place"] == onAComputer {
		drawn, err := qrCode(address)
		if err != nil {
			return err
		}
		data["QR"] = drawn
	}
	return e.pages.Write(w, status, "welcome", httpd.View{Title: "Set up secure mail", Data: data})
}

// redeem takes the code and begins the session.
func (e enrolling) redeem(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	if err := r.ParseForm(); err != nil {
		if fault.Of(err) == nil {
			err = httpd.ErrBody.With(err)
		}
		return err
	}
	code := seal.SecretString(r.PostForm.Get("code"))
	inv, err := e.MDM.Redeem(r.Context(), token(r), code, by.Actor.Remote)
	if errors.Is(err, mdm.ErrCode) {
		return e.again(w, r, err)
	}
	if err != nil {
		return err
	}
	session, err := e.Sessions.OpenEnrollment(r.Context(), string(inv.User.ID), string(inv.Device.ID))
	if err != nil {
		return fmt.Errorf("opening session for device %s: %w", inv.Device.ID, err)
	}
	httpd.SetSession(w, session.RevealString(), access.EnrollLife)
	http.Redirect(w, r, rightsPath, http.StatusSeeOther)
	return nil
}

// again shows the form once more after a wrong code.
func (e enrolling) again(w http.ResponseWriter, r *http.Request, wrong error) error {
	inv, err := e.MDM.Invitation(r.Context(), token(r))
	if err != nil {
		return err
	}
	return e.ask(w, r, httpd.Status(fault.Of(wrong)), inv, fault.Of(wrong).Msg)
}

// rights shows what the organisation will be able to do, before anything is
// installed.
func (e enrolling) rights(w http.ResponseWriter, _ *http.Request, _ httpd.Caller) error {
	can, cannot := e.MDM.Rights.Words()
	return e.pages.Write(w, http.StatusOK, "rights", httpd.View{Title: "What your organisation can and cannot do", Data: map[string]any{
		"Organization": e.MDM.Organization, "Powers": httpd.Powers{Can: can, Cannot: cannot}, "Next": stepsPath}})
}

// steps shows what to do on the iPhone, and goes on when it is done.
func (e enrolling) steps(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	inv, err := e.MDM.Redeemed(r.Context(), subject.DeviceID(by.Device))
	if err != nil {
		return err
	}
	stage := mdm.Stage{State: inv.State, DownloadedAt: inv.DownloadedAt}
	switch {
	case inv.State != mdm.Enrolled:
		return e.pages.Write(w, http.StatusOK, "steps", httpd.View{Title: "Three steps",
			Live: httpd.Address(eventsPath, e.version(stage)), Data: e.waiting(stage)})
	case e.Progress != "":
		http.Redirect(w, r, e.Progress+by.Device, http.StatusSeeOther)
		return nil
	}
	return e.pages.Write(w, http.StatusOK, "done", httpd.View{Title: "This device is enrolled"})
}

// waiting is what the page of the three steps shows.
type waiting struct {
	Profile    string
	Rights     string
	Downloaded bool // the profile is in Settings, as far as we know
	Left       int  // seconds until iOS drops it
	Minutes    int  // the same, for who has no script
	Dropped    bool
	CheckedIn  bool // the device has spoken to us
}

func (e enrolling) waiting(s mdm.Stage) waiting {
	v := waiting{Profile: profilePath, Rights: rightsPath, CheckedIn: s.State == mdm.Enrolling}
	left := s.DownloadedAt.Add(downloadLife).Sub(e.MDM.Now())
	v.Downloaded = !s.DownloadedAt.IsZero() && left > 0
	v.Dropped = !s.DownloadedAt.IsZero() && !v.Downloaded
	if v.Downloaded {
		v.Left, v.Minutes = int(left.Seconds()), int((left + time.Minute - 1).Minutes())
	}
	return v
}

// version changes when the page of the three steps does; the time that runs
// down does so by itself.
func (e enrolling) version(s mdm.Stage) string {
	return fmt.Sprintf("%s-%d-%t", s.State, s.DownloadedAt.Unix(), e.waiting(s).Dropped)
}

func (e enrolling) versions(ctx context.Context, devices []string) (map[string]string, error) {
	ids := make([]subject.DeviceID, len(devices))
	for i, d := range devices {
		ids[i] = subject.DeviceID(d)
	}
	stages, err := e.MDM.Stages(ctx, ids)
	if err != nil {
		return nil, err
	}
	list := make(map[string]string, len(stages))
	for id, s := range stages {
		list[string(id)] = e.version(s)
	}
	return list, nil
}

// listen tells the page of the three steps when to go on.
func (e enrolling) listen(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	return e.events.Serve(w, r, by.Device)
}

// profile makes the enrollment profile with a challenge of its own; the one of
// an earlier download is void from then on, which is why another site's page
// must not start one. Older browsers do not say from where they come.
func (e enrolling) profile(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return httpd.ErrOrigin
	}
	w.Header().Set("Content-Type", profile.ContentType)
	if r.Method == http.MethodHead {
		return nil
	}
	inv, err := e.MDM.Download(r.Context(), subject.DeviceID(by.Device), by.Actor.Remote)
	if err != nil {
		return err
	}
	c, err := e.SCEP.Challenge(r.Context(), by.Actor, scep.ChallengeRequest{Profile: scep.DeviceIdentity, User: inv.User, Device: inv.Device})
	if err != nil {
		return fmt.Errorf("challenge for device %s: %w", inv.Device.ID, err)
	}
	p, err := e.MDM.EnrollmentProfile(r.Context(), inv.Device, c.URL, c.Secret, e.Roots()...)
	if err != nil {
		return fmt.Errorf("enrollment profile of device %s: %w", inv.Device.ID, err)
	}
	body, err := p.Encode()
	if err != nil {
		return fmt.Errorf("enrollment profile of device %s: %w", inv.Device.ID, err)
	}
	if e.Signer != nil {
		if body, err = e.Signer.SignProfile(body); err != nil {
			return fmt.Errorf("signing enrollment profile: %w", err)
		}
	}
	_, err = w.Write(body)
	return err
}
