package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/phone"
)

type phonesKey struct{}

// phones are the simulated iPhones of one script, by name.
type phones map[string]*handset

// handset is a phone and what it did.
type handset struct {
	*phone.Phone
	mu     sync.Mutex
	events []phone.Event
	pushes int    // of Apple's that it looked at
	heard  int    // how many of them the script has heard of
	left   int    // commands until cut is called
	cut    func() // ends what the phone is doing
}

// note takes an event of the phone.
func (h *handset) note(e phone.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	if e.What != phone.EventCommand || h.cut == nil {
		return
	}
	if h.left--; h.left <= 0 {
		h.cut()
	}
}

// patience bounds every wait.
const patience = time.Minute

// keys are shared by all phones: making RSA keys takes longer than all else.
var keys = sync.OnceValue(func() *phone.KeyPool {
	pool := &phone.KeyPool{}
	if err := pool.Fill(context.Background(), 24); err != nil {
		panic(err)
	}
	return pool
})

// doings are what a phone can be told: `phone NAME DO …`
var doings map[string]func(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error

func init() { // not a literal: the error message lists them
	doings = map[string]func(context.Context, *testscript.TestScript, *handset, []string) error{
		"open": open, "fetch": fetch, "install": install, "enroll": enroll, "poll": poll, "until": until, "some": some, "settle": settle, "mood": mood, "checkout": checkOut,
		"reads": reads, "signs": signs, "holds": holds, "certificates": certificates, "appconfig": appConfig,
		"press": press, "browse": browse, "privacy": privacy,
		"heard": heard, "secrets": secrets, "files": files, "send": send, "identity": identity, "reconnect": reconnect,
		"asleep": asleep, "newtoken": newToken, "topic": topic,
	}
}

func phoneVerb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: phone NAME new|%s …", strings.Join(slices.Sorted(maps.Keys(doings)), "|"))
	}
	name, do, rest := args[0], args[1], args[2:]
	if do == "new" {
		ts.Value(phonesKey{}).(phones)[name] = newHandset(ts, name, rest)
		return
	}
	p, doing := phoneNamed(ts, name), doings[do]
	if doing == nil {
		ts.Fatalf("a phone cannot %s", do)
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	err := doing(ctx, ts, p, rest)
	switch {
	case err == nil && neg:
		ts.Fatalf("phone %s %s succeeded, it must not", name, do)
	case err != nil && neg:
		ts.Logf("refused: %v", err)
	case err != nil:
		ts.Fatalf("phone %s %s: %v\n%s", name, do, err, p.told(0))
	}
}

func phoneNamed(ts *testscript.TestScript, name string) *handset {
	p := ts.Value(phonesKey{}).(phones)[name]
	if p == nil {
		ts.Fatalf("there is no phone %s", name)
	}
	return p
}

// newHandset makes a phone: `phone a new os=17.6 roots=ca.pem mtls`
func newHandset(ts *testscript.TestScript, name string, opts []string) *handset {
	h := &handset{}
	cfg := phone.Config{Keys: keys(), Name: name, VisitAnyway: true, Log: h.note}
	for _, o := range opts {
		key, value, _ := strings.Cut(o, "=")
		switch key {
		case "os":
			cfg.OSVersion = value
		case "udid":
			cfg.UDID = value
		case "mtls":
			cfg.MutualTLS = true
		case "roots":
			cfg.Roots = x509.NewCertPool()
			if !cfg.Roots.AppendCertsFromPEM([]byte(ts.ReadFile(value))) {
				ts.Fatalf("%s has no certificate", value)
			}
		default:
			ts.Fatalf("no such option: %s", key)
		}
	}
	h.Phone = phone.New(cfg)
	ts.Defer(h.Close)
	return h
}

// told gives what happened from an event on, a line each.
func (h *handset) told(from int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out strings.Builder
	for _, e := range h.events[from:] {
		fmt.Fprintf(&out, "%s %s %s\n", e.What, e.Thing, e.Detail)
	}
	return out.String()
}

func open(ctx context.Context, _ *testscript.TestScript, p *handset, args []string) error {
	_, err := p.Open(ctx, args[0], strings.Join(args[1:], " "))
	return err
}

// fetch leaves the profile behind a link in a file: `phone a fetch LINK CODE OUT`
func fetch(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	profile, err := p.Open(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[2]), profile, 0o600)
}

func install(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	return p.Enroll(ctx, []byte(ts.ReadFile(args[0])))
}

func enroll(ctx context.Context, _ *testscript.TestScript, p *handset, args []string) error {
	profile, err := p.Open(ctx, args[0], strings.Join(args[1:], " "))
	if err != nil {
		return err
	}
	return p.Enroll(ctx, profile)
}

func poll(ctx context.Context, _ *testscript.TestScript, p *handset, _ []string) error {
	_, err := p.Poll(ctx)
	return err
}

func checkOut(ctx context.Context, _ *testscript.TestScript, p *handset, _ []string) error {
	return p.RemoveManagement(ctx)
}

// until polls until the phone has exactly that much:
// `phone a until pkcs12=6 scep=2 appconfig`
func until(ctx context.Context, _ *testscript.TestScript, p *handset, want []string) error {
	missing := "nothing was tried"
	for ctx.Err() == nil {
		if _, err := p.Poll(ctx); errors.Is(err, phone.ErrNotEnrolled) {
			return err
		} else if err != nil && ctx.Err() == nil {
			missing = err.Error()
		} else if missing = p.lacks(want); missing == "" {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("still waiting: %s", missing)
}

func (h *handset) lacks(want []string) string {
	have := map[string]int{"profiles": len(h.Profiles()), "accounts": len(h.Accounts())}
	for _, id := range h.Identities() {
		have[id.Kind]++
	}
	if len(h.AppConfig("com.microsoft.Office.Outlook")) > 0 {
		have["appconfig"] = 1
	}
	news := h.told(h.heard)
	for what, word := range map[string]string{"refused": phone.EventRefuse + " ", "notnow": " NotNow\n"} {
		if strings.Contains(news, word) {
			have[what] = 1
		}
	}
	for _, w := range want {
		key, value, number := strings.Cut(w, "=")
		n, err := strconv.Atoi(value)
		if !number {
			n, err = 1, nil
		}
		if err != nil {
			return err.Error()
		}
		if have[key] != n {
			return fmt.Sprintf("%s is %d, want %d", key, have[key], n)
		}
	}
	return ""
}

// some polls, and breaks the connection when that many commands were carried
// out, before the last result is sent: `phone a some 3`
func some(ctx context.Context, _ *testscript.TestScript, p *handset, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	ctx, cut := context.WithCancel(ctx)
	defer cut()
	p.mu.Lock()
	p.left, p.cut = n, cut
	p.mu.Unlock()
	for ctx.Err() == nil {
		p.Poll(ctx) // how it ends is not the point
		time.Sleep(pause)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = nil
	if p.left > 0 {
		return fmt.Errorf("%d commands did not come", p.left)
	}
	return nil
}

// settle polls until the server has seen that all of the user's devices have
// all they should; it leaves what `signet status` says: `phone a settle USER`
func settle(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	for ctx.Err() == nil {
		if n, err := p.Poll(ctx); err != nil {
			return err
		} else if n > 0 {
			continue
		}
		if err := ts.Exec("signet", "status", "-o", "json", args[0]); err != nil {
			return err
		}
		if done, err := settled(ts.ReadFile("stdout")); done || err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("still waiting: %s", ts.ReadFile("stdout"))
}

func settled(status string) (bool, error) {
	var s struct {
		Devices []struct{ Parcels []struct{ State string } }
	}
	if err := json.Unmarshal([]byte(status), &s); err != nil {
		return false, err
	}
	parcels := 0
	for _, d := range s.Devices {
		for _, p := range d.Parcels {
			parcels++
			if p.State != "installed" {
				return false, nil
			}
		}
	}
	return parcels > 0, nil
}

// mood makes the phone misbehave: `phone a mood locked losereply=2`
func mood(_ context.Context, _ *testscript.TestScript, p *handset, words []string) error {
	var m phone.Mood
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "good":
		case "offline":
			m.Offline = true
		case "locked":
			m.Locked = true
		case "full":
			m.Full = true
		case "losereply":
			m.LoseReply = n
		case "loseanswer":
			m.LoseAnswer = n
		default:
			return fmt.Errorf("no such mood: %s", key)
		}
	}
	p.Behave(m)
	return nil
}

// reads opens a message and leaves its text: `phone a reads IN OUT`
func reads(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	plain, _, err := p.ReadMail([]byte(ts.ReadFile(args[0])))
	if err != nil {
		return err
	}
	_, text, ok := bytes.Cut(plain, []byte("\r\n\r\n"))
	if !ok {
		return errors.New("the message has no header")
	}
	return os.WriteFile(ts.MkAbs(args[1]), text, 0o600)
}

// signs writes and signs a message: `phone a signs FROM OUT`
func signs(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	mail, err := p.SignMail(args[0], "bob@example.com", "Signed on the phone", "This was signed on the phone.\r\n")
	if err != nil {
		return err
	}
	return os.WriteFile(ts.MkAbs(args[1]), mail, 0o600)
}

// holds prints profiles and identities, sorted.
func holds(_ context.Context, ts *testscript.TestScript, p *handset, _ []string) error {
	var lines []string
	for _, pr := range p.Profiles() {
		lines = append(lines, fmt.Sprintf("profile %s encrypted=%t trusted=%t", pr.Identifier, pr.Encrypted, pr.Trusted))
	}
	for _, id := range p.Identities() {
		lines = append(lines, fmt.Sprintf("identity %s %s %s", id.Kind, id.Profile, id.Certificate.Subject))
	}
	slices.Sort(lines)
	fmt.Fprintln(ts.Stdout(), strings.Join(lines, "\n"))
	return nil
}

// certificates writes those of the imported identities, in a fixed order.
func certificates(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	var blocks []string
	for _, id := range p.Identities() {
		if id.Kind == "pkcs12" {
			blocks = append(blocks, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.Certificate.Raw})))
		}
	}
	slices.Sort(blocks)
	return os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(blocks, "")), 0o600)
}

// appConfig prints what an app reads, as JSON.
func appConfig(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	e := json.NewEncoder(ts.Stdout())
	e.SetIndent("", "  ")
	return e.Encode(p.AppConfig(args[0]))
}

// heard prints what the phone did since it was last asked.
func heard(_ context.Context, ts *testscript.TestScript, p *handset, _ []string) error {
	news := p.told(p.heard)
	p.heard += strings.Count(news, "\n")
	fmt.Fprintf(ts.Stdout(), "heard:\n%s", news)
	return nil
}

// secrets writes what only the phone should know: what came in profiles, and
// what it told the server to push with.
func secrets(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	var out bytes.Buffer
	for _, pr := range p.Profiles() {
		for _, item := range pr.Payloads {
			if s, ok := item.Settings["Password"].(string); ok && s != "" {
				fmt.Fprintln(&out, s)
			}
			if request, ok := item.Settings["PayloadContent"].(map[string]any); ok && request["Challenge"] != nil {
				fmt.Fprintln(&out, request["Challenge"])
			}
		}
	}
	if e, ok := p.Enrollment(); ok {
		fmt.Fprintln(&out, e.PushMagic)
	}
	return os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600)
}

// files writes the imported identities as they came: `phone a files DIR`
func files(_ context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	dir, n := ts.MkAbs(args[0]), 0
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, pr := range p.Profiles() {
		for _, item := range pr.Payloads {
			password, _ := item.Settings["Password"].(string)
			data, _ := item.Settings["PayloadContent"].([]byte)
			if password == "" || len(data) == 0 {
				continue
			}
			n++
			for name, content := range map[string][]byte{"p12": data, "password": []byte(password + "\n")} {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.%s", n, name)), content, 0o600); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// send puts any body, signed by the phone, and wants a status:
// `phone a send connect FILE 400`
func send(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	kinds := map[string]phone.Kind{"checkin": phone.CheckIn, "connect": phone.Connect}
	kind, ok := kinds[args[0]]
	if !ok {
		return fmt.Errorf("no such address: %s", args[0])
	}
	status, answer, err := p.Send(ctx, kind, []byte(ts.ReadFile(args[1])))
	if err != nil {
		return err
	}
	if got := strconv.Itoa(status); got != args[2] {
		return fmt.Errorf("got status %s, want %s: %s", got, args[2], answer)
	}
	return nil
}
