package device

import (
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

const (
	maxForm      = 4 << 10
	refreshSteps = 5 * time.Second
)

// Addresses of the pages; those with a session do not carry the token on.
const (
	stepsPath   = "/enroll/steps"
	profilePath = "/enroll/profile"
)

// enrolling leads a person from the link to the profile.
type enrolling struct {
	Config
	pages *httpd.Pages
}

func enrollment(c Config) httpd.Area {
	e := enrolling{c, newPages(c.MDM)}
	return httpd.Area{Guard: httpd.Cookie(c.Sessions), Render: e.pages.Fail, Routes: []httpd.Route{
		{Method: http.MethodGet, Path: stepsPath, Permission: httpd.OwnEnroll, MaxBody: httpd.NoBody, Handle: e.steps},
		{Method: http.MethodGet, Path: profilePath, Permission: httpd.OwnEnroll, MaxBody: httpd.NoBody, Handle: e.profile},
		{Method: http.MethodGet, Path: "/enroll/{token}", Permission: httpd.Anyone, MaxBody: httpd.NoBody, Handle: e.welcome},
		{Method: http.MethodPost, Path: "/enroll/{token}", Permission: httpd.Anyone, MaxBody: maxForm, Handle: e.redeem},
	}}
}

func newPages(m *mdm.Service) *httpd.Pages {
	notice := ""
	if m.Lab {
		notice = LabNotice
	}
	return httpd.NewPages(web, m.Organization, notice)
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
	return e.ask(w, http.StatusOK, inv, "")
}

// ask shows the form for the code; problem says what was wrong with the last.
func (e enrolling) ask(w http.ResponseWriter, status int, inv mdm.Invitation, problem string) error {
	can, cannot := powers(e.MDM.Rights)
	return e.pages.Write(w, status, "welcome", httpd.View{Title: "Set up secure mail", Data: map[string]any{
		"Name": inv.User.Name, "Lab": inv.Lab, "Problem": problem, "Can": can, "Cannot": cannot}})
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
	http.Redirect(w, r, stepsPath, http.StatusSeeOther)
	return nil
}

// again shows the form once more after a wrong code.
func (e enrolling) again(w http.ResponseWriter, r *http.Request, wrong error) error {
	inv, err := e.MDM.Invitation(r.Context(), token(r))
	if err != nil {
		return err
	}
	return e.ask(w, httpd.Status(fault.Of(wrong)), inv, fault.Of(wrong).Msg)
}

// steps shows what to do on the iPhone, and notices when it is done.
func (e enrolling) steps(w http.ResponseWriter, r *http.Request, by httpd.Caller) error {
	inv, err := e.MDM.Redeemed(r.Context(), subject.DeviceID(by.Device))
	if err != nil {
		return err
	}
	if inv.State != mdm.Enrolled {
		return e.pages.Write(w, http.StatusOK, "steps", httpd.View{Title: "Install the profile", Refresh: refreshSteps,
			Data: map[string]any{"Profile": profilePath}})
	}
	if e.Progress != "" {
		http.Redirect(w, r, e.Progress, http.StatusSeeOther)
		return nil
	}
	return e.pages.Write(w, http.StatusOK, "done", httpd.View{Title: "This device is enrolled"})
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
	body, err := e.MDM.EnrollmentProfile(inv.Device, c.URL, c.Secret, e.Roots...).Encode()
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

// powers puts into words what the access rights of the profile let an
// organisation do, and what not: true by construction.
func powers(rights profile.AccessRights) (can, cannot []string) {
	for _, p := range []struct {
		bit       profile.AccessRights
		can, cant string
	}{
		{16, "see the model, the name, the serial number and the iOS version", ""},
		{1, "see which profiles and certificates it has installed", ""},
		{2, "install and remove mail certificates and settings", ""},
		{4096, "install apps for work and set them up", ""},
		{256, "see the names of installed apps", "see which apps you installed"},
		{1024, "see whether a passcode is set", ""},
		{4, "lock the device or remove its passcode", "lock the device or remove its passcode"},
		{8, "erase the device", "erase the device"},
		{32, "see phone number and network details", "see your phone number"},
		{512, "see restrictions", ""},
	} {
		switch {
		case rights&p.bit != 0:
			can = append(can, p.can)
		case p.cant != "":
			cannot = append(cannot, p.cant)
		}
	}
	return can, append(cannot, "read your messages, mails, photos or notes", "see where you are or which pages you visit")
}
