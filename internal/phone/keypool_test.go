package phone_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/signet-mdm/signet/internal/phone"
)

// Many phones enroll and poll at once, with a handful of keys.
func TestManyPhones(t *testing.T) {
	s := newServer(t)
	makeKeys()
	d := xml(t, s.enrollment(nil))
	errs := make(chan error, 40)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			p := phone.New(phone.Config{Keys: pool})
			defer p.Close()
			err := p.Enroll(t.Context(), d)
			if err == nil {
				_, err = p.Poll(t.Context())
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	udids := map[any]bool{}
	for _, r := range s.said("TokenUpdate") {
		udids[r.message["UDID"]] = true
	}
	if len(udids) != cap(errs) {
		t.Errorf("got %d different phones, want %d", len(udids), cap(errs))
	}
}

func TestKeyPool(t *testing.T) {
	s := newServer(t)
	keys := &phone.KeyPool{}
	keys.Add(makeKeys()[0])
	p := s.trusting(phone.Config{})
	other := phone.New(phone.Config{Keys: keys, HTTP: s.Client()})
	first, err := other.SCEP(t.Context(), s.request())
	if err != nil {
		t.Fatal(err)
	}
	second, err := other.SCEP(t.Context(), s.request())
	if err != nil {
		t.Fatal(err)
	}
	if first.Key != makeKeys()[0] || second.Key == first.Key {
		t.Error("want the pooled key once and then a fresh one")
	}
	if _, err := p.SCEP(t.Context(), s.request()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := keys.Fill(ctx, 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("Fill after its end: got %v", err)
	}
}

func TestEvents(t *testing.T) {
	s := newServer(t)
	var got []string
	p := s.phone(phone.Config{Log: func(e phone.Event) {
		if e.What != phone.EventRequest {
			got = append(got, e.What+" "+e.Thing+" "+e.Detail)
		}
	}})
	if err := p.Enroll(t.Context(), xml(t, s.enrollment(nil))); err != nil {
		t.Fatal(err)
	}
	s.do(p, map[string]any{"RequestType": "ProfileList"})
	want := []string{"identity CN=device scep", "enrolled " + enrollment + " " + s.URL + "/checkin", "profile " + enrollment + " not signed", "command ProfileList Acknowledged"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
