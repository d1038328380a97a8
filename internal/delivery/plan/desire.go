package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
)

// layout is the version of what profiles are made of. A new one sends every
// profile to every device again, and makes every device get a new signing key.
const layout = 1

// Item is something that a device should have.
type Item struct {
	Kind       Kind
	Identifier string
	Digest     string
	Label      string
	Certs      []cert.Fingerprint // that the device lists when it has it
	NeedsKey   bool               // it travels encrypted to the device only
	Hold       bool               // what is there stays as it is, for now
	Why        string

	Account    appconfig.Account // Mail
	Signs      bool              // Mail: with a key that the device makes
	Signing    cert.Fingerprint  // Mail: the imported one to sign with; zero: none
	Encryption cert.Fingerprint  // Mail: the current one; History: that one; zero: none
	Config     map[string]any    // Outlook
	Install    bool              // Outlook: the app may be installed
}

// Desire gives all that the device should have, in the order in which it
// should get it.
func Desire(f Facts) []Item {
	if !f.Enrolled || f.User.Disabled {
		return nil
	}
	var list []Item
	if r, known := f.identity(); known && f.Renews && !f.Now.Before(f.renewal(r)) {
		list = append(list, f.enrollment())
	}
	// Two roots are there while one follows the other: then a device needs the new
	// one to go on trusting the server itself, whatever its policy.
	if len(f.Roots) > 1 || len(f.Roots) > 0 && f.Policy.Apple() {
		list = append(list, f.roots())
	}
	if f.Policy.Apple() {
		choice := cert.Choice{}
		if f.Policy.Account().EncryptsFrom == appconfig.Imported {
			choice = cert.Choose(f.Records, f.User.Mail, f.Now)
		}
		list = append(list, f.mail(choice))
		for _, r := range choice.History {
			list = append(list, f.history(r, choice.Reasons[r.Fingerprint]))
		}
	}
	if f.Policy.Outlook() {
		list = append(list, f.outlook())
	}
	return list
}

// enrollment is wanted only while the identity is to be renewed. Its identifier
// is that of the profile which enrolled the device, so it replaces that.
//
// Spec: Apple MDM, renewal of the device identity
func (f Facts) enrollment() Item {
	return Item{
		Kind: Enrollment, Identifier: f.Prefix + ".enroll", Label: "Your device's access to this server", NeedsKey: true,
		Digest: digest(Enrollment, f.Identity), Why: "The device's identity comes to its end.",
	}
}

func (f Facts) roots() Item {
	return Item{
		Kind: Roots, Identifier: f.Prefix + ".roots", Label: "Trust in your organisation's certificates",
		Certs: f.Roots, Digest: digest(Roots, f.Roots), Why: "Mail certificates are trusted through it.",
	}
}

// mail is one profile, because its S/MIME switches name payloads of the same
// profile.
func (f Facts) mail(choice cert.Choice) Item {
	a := f.Policy.Account()
	i := Item{Kind: Mail, Identifier: f.Prefix + ".mail", Label: "Your mail account", Account: a, Why: "The policy sets up Apple Mail."}
	if a.Kind == appconfig.None {
		i.Label = "Your mail certificates"
	}
	if p := f.Policy.Broken(appconfig.AppleMail); p != nil {
		i.Hold, i.Why = true, "It stays as it is: "+p.Why
	}
	if choice.Current != nil {
		i.Encryption = choice.Current.Fingerprint
		i.Certs = append(i.Certs, i.Encryption)
	}
	switch a.SigningFrom {
	case appconfig.SCEP:
		i.Signs = true
	case appconfig.Imported:
		if r, _ := cert.ChooseSigning(f.Records, f.User.Mail, f.Now); r != nil {
			i.Signing = r.Fingerprint
			if i.Signing != i.Encryption {
				i.Certs = append(i.Certs, i.Signing)
			}
		}
	}
	i.NeedsKey = i.Signs || len(i.Certs) > 0
	i.Digest = digest(Mail, a, i.Signs, i.Signing, i.Encryption)
	if i.empty() {
		i.Hold, i.Why = true, "There is no certificate to install yet."
	}
	return i
}

// empty is a profile without any payload.
func (i Item) empty() bool {
	return i.Account.Kind == appconfig.None && i.Account.LDAP.Host == "" && !i.NeedsKey
}

func (f Facts) history(r cert.Record, why string) Item {
	return Item{
		Kind: History, Identifier: f.Prefix + ".history." + r.Fingerprint.String(), Label: "Mail of " + Years(r),
		Certs: []cert.Fingerprint{r.Fingerprint}, Encryption: r.Fingerprint, NeedsKey: true,
		Digest: digest(History, r.Fingerprint), Why: "It reads older mail. " + why,
	}
}

func (f Facts) outlook() Item {
	i := Item{
		Kind: Outlook, Identifier: appconfig.OutlookBundle, Label: "Outlook's settings",
		Config: f.Policy.OutlookConfig(), Install: f.Policy.Settings.Flag(appconfig.OutlookInstall),
		Why: "The policy sets up Outlook.",
	}
	i.Digest = digest(Outlook, i.Config)
	if p := f.Policy.Broken(appconfig.Outlook); p != nil {
		i.Hold, i.Why = true, "It stays as it is: "+p.Why
	}
	if !i.Install && f.App.State != Managed {
		i.Hold, i.Why = true, "Outlook is not managed on this device, and the policy does not install it."
	}
	return i
}

// Years tells from when to when a certificate is for: 2019–2022.
func Years(r cert.Record) string {
	from, to := r.NotBefore.UTC().Year(), r.NotAfter.UTC().Year()
	if from == to {
		return strconv.Itoa(from)
	}
	return fmt.Sprintf("%d–%d", from, to)
}

// digest is the same for the same parts, in any process.
func digest(parts ...any) string {
	b, err := json.Marshal(append([]any{layout}, parts...))
	if err != nil {
		panic("plan: " + err.Error()) // only plain values come here
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
