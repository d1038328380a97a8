package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/internal/phone"
)

type phonesKey struct{}

// phones are the simulated iPhones of one script, by name.
type phones struct {
	mu   sync.Mutex
	list map[string]*phone.Phone
	log  bytes.Buffer
}

// patience bounds every wait for a phone.
const patience = 40 * time.Second

// keys are shared by all phones: making RSA keys takes longer than all else.
var keys = sync.OnceValue(func() *phone.KeyPool {
	pool := &phone.KeyPool{}
	if err := pool.Fill(context.Background(), 16); err != nil {
		panic(err)
	}
	return pool
})

// phoneVerb is the verb `phone NAME DO …`.
func phoneVerb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: phone NAME new|enroll|poll|until|mood|reads|signs|identities|appconfig|checkout …")
	}
	ps := ts.Value(phonesKey{}).(*phones)
	name, do, rest := args[0], args[1], args[2:]
	if do == "new" {
		ps.add(ts, name, rest)
		return
	}
	ps.mu.Lock()
	p := ps.list[name]
	ps.mu.Unlock()
	if p == nil {
		ts.Fatalf("there is no phone %s", name)
	}
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	err := act(ctx, ts, p, do, rest)
	switch {
	case err == nil && neg:
		ts.Fatalf("phone %s %s succeeded, it must not", name, do)
	case err != nil && neg:
		ts.Logf("refused: %v", err)
	case err != nil:
		ts.Fatalf("phone %s %s: %v\n%s", name, do, err, ps.told())
	}
}

func (ps *phones) told() string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.log.String()
}

// add makes a phone: `phone a new os=17.6 roots=ca.pem signature=… mtls`
func (ps *phones) add(ts *testscript.TestScript, name string, opts []string) {
	cfg := phone.Config{Keys: keys(), Name: name, VisitAnyway: true, Log: func(e phone.Event) {
		ps.mu.Lock()
		defer ps.mu.Unlock()
		fmt.Fprintf(&ps.log, "%s: %s %s %s\n", name, e.What, e.Thing, e.Detail)
	}}
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
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.list == nil {
		ps.list = map[string]*phone.Phone{}
	}
	ps.list[name] = phone.New(cfg)
}

func act(ctx context.Context, ts *testscript.TestScript, p *phone.Phone, do string, args []string) error {
	switch do {
	case "enroll":
		profile, err := p.Open(ctx, args[0], strings.Join(args[1:], " "))
		if err != nil {
			return err
		}
		return p.Enroll(ctx, profile)
	case "open":
		_, err := p.Open(ctx, args[0], strings.Join(args[1:], " "))
		return err
	case "poll":
		_, err := p.Poll(ctx)
		return err
	case "until":
		return until(ctx, p, args)
	case "mood":
		return behave(p, args)
	case "reads":
		plain, _, err := p.ReadMail([]byte(ts.ReadFile(args[0])))
		if err != nil {
			return err
		}
		return os.WriteFile(ts.MkAbs(args[1]), plain, 0o600)
	case "signs":
		mail, err := p.SignMail(args[0], "bob@example.com", "Signed on the phone", "This was signed on the phone.\r\n")
		if err != nil {
			return err
		}
		return os.WriteFile(ts.MkAbs(args[1]), mail, 0o600)
	case "identities":
		for _, id := range p.Identities() {
			fmt.Fprintf(ts.Stdout(), "%s %s %s\n", id.Kind, id.Profile, id.Certificate.Subject)
		}
		return nil
	case "certificates":
		var out bytes.Buffer
		for _, id := range p.Identities() {
			if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: id.Certificate.Raw}); err != nil {
				return err
			}
		}
		return os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o600)
	case "appconfig":
		return json.NewEncoder(ts.Stdout()).Encode(p.AppConfig(args[0]))
	case "send":
		status, _, err := p.Send(ctx, phone.Connect, []byte(ts.ReadFile(args[0])))
		if err != nil {
			return err
		}
		if got := strconv.Itoa(status); got != args[1] {
			return fmt.Errorf("got status %s, want %s", got, args[1])
		}
		return nil
	case "checkout":
		return p.RemoveManagement(ctx)
	}
	return fmt.Errorf("no such verb: %s", do)
}

// until polls until the phone has that much: `phone a until pkcs12=6 scep=2 appconfig`
func until(ctx context.Context, p *phone.Phone, want []string) error {
	var missing string
	for ctx.Err() == nil {
		if _, err := p.Poll(ctx); err != nil && ctx.Err() == nil {
			missing = err.Error()
		} else if missing = lacks(p, want); missing == "" {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("still waiting: %s", missing)
}

func lacks(p *phone.Phone, want []string) string {
	have := map[string]int{}
	for _, id := range p.Identities() {
		have[id.Kind]++
	}
	have["profiles"] = len(p.Profiles())
	if len(p.AppConfig("com.microsoft.Office.Outlook")) > 0 {
		have["appconfig"] = 1
	}
	for _, w := range want {
		key, value, _ := strings.Cut(w, "=")
		n, err := strconv.Atoi(value)
		if err != nil {
			n = 1
		}
		if have[key] != n {
			return fmt.Sprintf("%s is %d, want %d", key, have[key], n)
		}
	}
	return ""
}

func behave(p *phone.Phone, words []string) error {
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
