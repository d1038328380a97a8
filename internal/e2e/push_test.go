package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/signet-mdm/signet/notify/apns/apnstest"
)

type appleKey struct{}

// appleHome has Apple's push service, once it runs.
type appleHome struct{ *apnstest.Server }

func apple(ts *testscript.TestScript) *appleHome { return ts.Value(appleKey{}).(*appleHome) }

// appleVerb is Apple: `apple start` runs its push service, which the server
// finds by its environment; `apple certify REQUEST OUT TOPIC [DAYS]` answers a
// request; `apple key OUT TOPIC` makes certificate and key; `apple gone PHONE`
// forgets the phone's token; `apple pushes N` wants exactly that many taken so
// far; `apple answers STATUS REASON` is how the next push ends; `apple asked N`
// waits until that many requests came, good or bad.
func appleVerb(ts *testscript.TestScript, neg bool, args []string) {
	apple := apple(ts)
	if len(args) == 0 || args[0] != "start" && apple.Server == nil {
		ts.Fatalf("usage: apple start|certify|key|gone|pushes|answers|asked …")
	}
	switch args[0] {
	case "start":
		startApple(ts)
	case "certify":
		days := 365
		if len(args) > 4 {
			days = number(ts, args[4])
		}
		out, err := apple.Certify([]byte(ts.ReadFile(args[1])), args[3], time.Now().Add(time.Duration(days)*24*time.Hour+time.Hour))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[2]), out, 0o600))
	case "key":
		makePushKey(ts, apple.Server, args[1], args[2])
	case "gone":
		e, _ := phoneNamed(ts, args[1]).Enrollment()
		apple.Unregister(e.Token, time.Now())
	case "pushes":
		if got := len(apple.Taken()); got != number(ts, args[1]) {
			ts.Fatalf("Apple took %d pushes, want %s", got, args[1])
		}
	case "answers":
		apple.Play(apnstest.Scene{Status: number(ts, args[1]), Reason: strings.Join(args[2:], "")})
	case "asked":
		for until := time.Now().Add(patience); apple.Asked() < number(ts, args[1]); time.Sleep(pause) {
			if time.Now().After(until) {
				ts.Fatalf("Apple was asked %d times, want %s", apple.Asked(), args[1])
			}
		}
	default:
		ts.Fatalf("Apple cannot %s", args[0])
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

func startApple(ts *testscript.TestScript) {
	home := apple(ts)
	apple, err := apnstest.Start()
	ts.Check(err)
	ts.Defer(func() { apple.Close() })
	ts.Check(os.WriteFile(ts.MkAbs("apple-ca.pem"), apple.PEM(), 0o600))
	ts.Setenv("SIGNET_PUSH_GATEWAY", apple.Addr)
	ts.Setenv("SIGNET_PUSH_CA", ts.MkAbs("apple-ca.pem"))
	home.Server = apple
}

// makePushKey makes a certificate that was requested elsewhere, with its key.
func makePushKey(ts *testscript.TestScript, apple *apnstest.Server, out, topic string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	c, err := apple.Certificate(key.Public(), topic, time.Now().AddDate(1, 0, 0))
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	var text bytes.Buffer
	ts.Check(pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	ts.Check(pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	ts.Check(os.WriteFile(ts.MkAbs(out), text.Bytes(), 0o600))
}

// asleep is a phone as people have it: it polls when Apple tells it to, and
// only then, until it has exactly that much: `phone a asleep pkcs12=7 scep=2`
func asleep(ctx context.Context, ts *testscript.TestScript, p *handset, want []string) error {
	for {
		e, ok := p.Enrollment()
		if !ok {
			return errors.New("the phone is not enrolled")
		}
		push, next, err := apple(ts).Await(ctx, p.pushes, func(push apnstest.Push) bool {
			return push.Topic == e.Topic && bytes.Equal(push.Token, e.Token)
		})
		if err != nil {
			return fmt.Errorf("still waiting for a push: %s: %w", p.lacks(want), err)
		}
		p.pushes = next
		if _, err := p.Wake(ctx, push.Magic); err != nil {
			return err
		}
		if p.lacks(want) == "" {
			return nil
		}
	}
}

// newToken gives the phone another push token, as a restore does.
func newToken(ctx context.Context, _ *testscript.TestScript, p *handset, _ []string) error {
	return p.NewToken(ctx)
}

// minute makes a minute go by, as far as pushes are concerned.
func minute(ts *testscript.TestScript, neg bool, args []string) {
	sqlVerb(ts, neg, []string{"data/signet.db", "UPDATE device_push SET tried_at = 0"})
	sqlVerb(ts, neg, []string{"data/signet.db", "UPDATE enrollment SET wake_at = 1 WHERE wake_at > 0"})
}

// topic prints what the phone enrolled with.
func topic(_ context.Context, ts *testscript.TestScript, p *handset, _ []string) error {
	e, ok := p.Enrollment()
	if !ok {
		return errors.New("the phone is not enrolled")
	}
	fmt.Fprintln(ts.Stdout(), e.Topic)
	return nil
}

// vendor gives the reader a request and what an MDM vendor has.
func (r *reader) vendor() {
	r.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		r.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0)}
	own, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	r.write("push.csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
	r.write("vendor.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, name := range []string{"vendor.pem", "wwdr.pem", "apple-root.pem"} {
		r.write(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own}))
	}
}
