package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/journal"
)

// Counts are what there is, and what waits.
type Counts struct {
	Users, Keys int
	Devices     map[string]int // by state
	Requests    int            // that wait for a person
	Failed      int            // deliveries
	MailsFailed int
	Overdue     int                  // certificates of devices that end soon and are not renewed
	SealWaits   time.Time            // since when the one delivery waits that waits longest; zero for none
	BackedUp    time.Time            // zero for not in the last weeks
	Ends        map[string]time.Time // of the certificates that the server lives by, by name
}

// Figures counts.
type Figures interface {
	// Counts gives them, in a constant number of statements.
	Counts(ctx context.Context) (Counts, error)
}

// Overview is what there is and what wants somebody.
type Overview struct {
	Users     int            `json:"users" doc:"How many"`
	Keys      int            `json:"keys" doc:"Imported keys in escrow"`
	Devices   map[string]int `json:"devices" nullable:"false" doc:"How many, by state"`
	Requests  int            `json:"requests" doc:"Certificate requests that wait for a person"`
	Attention []Attention    `json:"attention" nullable:"false" doc:"What wants somebody, as signet doctor and the alerts that come with Signet judge; empty when all is well"`
}

// Attention is one thing that wants somebody.
type Attention struct {
	About    string `json:"about" enum:"requests,deliveries,mails,renewals,certificates,backup" doc:"What it is about"`
	Sentence string `json:"sentence" doc:"What is the matter"`
	Try      string `json:"try" doc:"A command that helps"`
}

// The bounds of signet doctor and of the alerts.
const (
	sealNotice   = 10 * time.Minute
	backupNotice = 2 * 24 * time.Hour
	caNotice     = 90 * 24 * time.Hour
)

// notices are those of certificates that are no CA's.
var notices = map[string]time.Duration{"push": 30 * 24 * time.Hour, "tls": 14 * 24 * time.Hour, "ocsp": 30 * 24 * time.Hour}

func (a *API) overview() {
	register(a, operation{id: "overview", tag: "devices", method: http.MethodGet, path: "/overview",
		summary: "Count what there is, and say what wants somebody", permission: access.DeviceRead}, a.showOverview)
}

func (a *API) showOverview(ctx context.Context, _ journal.Actor, _ *struct{}) (*body[Overview], error) {
	c, err := a.Overview.Counts(ctx)
	if err != nil {
		return nil, err
	}
	out := Overview{Users: c.Users, Keys: c.Keys, Devices: map[string]int{}, Requests: c.Requests, Attention: c.attention(a.Now())}
	for state, n := range c.Devices {
		out.Devices[state] = n
	}
	return &body[Overview]{out}, nil
}

// attention lists what wants somebody, what does most harm first.
func (c Counts) attention(now time.Time) []Attention {
	list := c.ending(now)
	add := func(on bool, about, try, sentence string, values ...any) {
		if on {
			list = append(list, Attention{about, fmt.Sprintf(sentence, values...), try})
		}
	}
	add(c.Overdue > 0, "renewals", "signet device list --expiring 30d", "Certificates of devices that end soon, or have ended, and are not renewed: %d.", c.Overdue)
	add(!c.SealWaits.IsZero() && now.Sub(c.SealWaits) > sealNotice, "deliveries", "signet doctor", "Deliveries wait for their seal, the first since %s.", c.SealWaits.UTC().Format(time.DateTime))
	add(c.Failed > 0, "deliveries", "signet device list", "Deliveries that have failed: %d.", c.Failed)
	add(c.MailsFailed > 0, "mails", "signet mail list --state failed", "Mails that could not be sent: %d.", c.MailsFailed)
	add(c.Requests > 0, "requests", "signet scep requests --state open", "Certificate requests that wait for approval: %d.", c.Requests)
	add(now.Sub(c.BackedUp) > backupNotice, "backup", "signet backup", "No backup was made in the last two days.")
	return list
}

// ending lists the server's own certificates that end soon, the first first.
func (c Counts) ending(now time.Time) []Attention {
	var names []string
	for name, end := range c.Ends {
		if end.Sub(now) < noticeOf(name) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return c.Ends[a].Compare(c.Ends[b]) })
	list := []Attention{}
	for _, name := range names {
		list = append(list, Attention{"certificates", fmt.Sprintf("The certificate %s ends on %s.", name, c.Ends[name].UTC().Format(time.DateOnly)), "signet doctor"})
	}
	return list
}

func noticeOf(name string) time.Duration {
	kind, _, _ := strings.Cut(name, " ")
	if n, known := notices[kind]; known {
		return n
	}
	return caNotice
}

// Overview counts what there is, and says what wants somebody.
func (c *Client) Overview(ctx context.Context) (Overview, error) {
	return get[Overview](ctx, c, "/overview")
}
