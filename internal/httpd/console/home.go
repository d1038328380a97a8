package console

import (
	"strings"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

// home tells what there is, and what wants somebody.
func (v visit) home() error {
	o, err := v.api.Overview(v.r.Context())
	if err != nil {
		return err
	}
	var list []notice
	for _, a := range o.Attention {
		list = append(list, notice{a.Sentence, a.Try, v.where(a.About)})
	}
	return v.page("home", "Console", "", map[string]any{"O": o, "Attention": list})
}

// notice is one thing that wants somebody.
type notice struct {
	Sentence, Try string
	Path          string // of the page where it is done; empty for none
}

// where gives the page of what wants somebody, unless the caller may not see it.
func (v visit) where(about string) string {
	switch {
	case about == "requests" && v.may("listRequests"):
		return Path + "approvals"
	case about == "certificates" && v.may("listAuthorities"):
		return Path + "authorities"
	}
	return ""
}

// authorities shows our CAs.
func (v visit) authorities() error {
	list, err := v.api.Authorities(v.r.Context())
	if err != nil {
		return err
	}
	return v.page("authorities", "Certificate authorities", "authorities", map[string]any{"List": list, "PKI": strings.TrimSuffix(v.PKI, "/")})
}

// audit shows what was done.
func (v visit) audit() error {
	user := v.asked("user")
	list, next, err := v.api.JournalPart(v.r.Context(), user, v.asked("after"))
	if err != nil {
		return err
	}
	names, err := v.names(list)
	if err != nil {
		return err
	}
	return v.page("audit", "Audit", "audit", map[string]any{"Lines": list, "Names": names, "Next": v.next(next), "User": user})
}

// names gives the names of the users whom lines of the journal are about.
func (v visit) names(lines []admin.Entry) (map[string]string, error) {
	list := map[string]string{}
	for _, l := range lines {
		if _, known := list[l.User]; known || l.User == "" {
			continue
		}
		u, err := v.who(l.User)
		if err != nil {
			return nil, err
		}
		list[l.User] = u.Name
	}
	return list, nil
}
