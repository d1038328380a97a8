package admin_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/pfxconnector/gateway"
)

// fakeConnectors has one connector, and says yes to what a person asks.
type fakeConnectors struct{}

var connectorNow = gateway.Connector{ID: "c-1", Created: at, Consent: "a-1", Terms: gateway.Terms{Name: "other", Naming: gateway.ByMail,
	Forms: []gateway.Form{gateway.Profile}, PerHour: 500, Expires: at.Add(time.Hour)}}

func (fakeConnectors) Register(_ context.Context, by access.Caller, t gateway.Terms) (gateway.Connector, seal.Secret, error) {
	if by.User == "" {
		return gateway.Connector{}, seal.Secret{}, access.ErrPerson
	}
	return gateway.Connector{ID: "c-1", Created: at, Consent: "a-1", Terms: t}, seal.SecretString("shown"), nil
}
func (fakeConnectors) Connectors(context.Context, time.Time, string, int) ([]gateway.Connector, error) {
	return []gateway.Connector{connectorNow}, nil
}
func (fakeConnectors) Connector(_ context.Context, key string) (gateway.Connector, error) {
	if key != "other" {
		return gateway.Connector{}, gateway.ErrUnknown
	}
	return connectorNow, nil
}
func (fakeConnectors) NewSecret(context.Context, journal.Actor, string) (seal.Secret, error) {
	return seal.SecretString("another"), nil
}
func (fakeConnectors) StoreCRL(_ context.Context, _ journal.Actor, _ string, list []byte) (gateway.CRL, error) {
	if string(list) != "a list" {
		return gateway.CRL{}, gateway.ErrCRL
	}
	return gateway.CRL{}, nil
}
func (fakeConnectors) Revoke(context.Context, journal.Actor, string) error { return nil }

func TestConnectors(t *testing.T) {
	w := newWorld(t)
	n := admin.NewConnector{Name: "other", CAs: "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n", Naming: "mail", Forms: []string{"profile"}, Expires: at.Add(time.Hour)}
	if _, err := w.as(t, access.Admin).AddConnector(t.Context(), n); code(err) != access.ErrPerson.Code {
		t.Errorf("a token of nobody registers one: got %v", err)
	}
	_, secret, err := w.tokens.CreateTokenOf(t.Context(), journal.Actor{Kind: journal.Local, ID: "test"}, "u-1", "alice", string(access.Admin), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	person := admin.Remote(w.url, secret, nil)
	made, err := person.AddConnector(t.Context(), n)
	want := admin.Connector{ID: "c-1", Name: "other", State: "waiting", CAs: []admin.ConnectorCA{}, Naming: "mail", Forms: []string{"profile"},
		Networks: []string{}, PerHour: 500, Expires: at.Add(time.Hour), Created: at, Approval: "a-1"}
	if diff := cmp.Diff(admin.MadeConnector{Connector: want, Secret: "shown"}, made); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := person.Connector(t.Context(), "other"); err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %v\n%s", err, cmp.Diff(want, got))
	}
	if _, err := person.Connector(t.Context(), "none"); code(err) != gateway.ErrUnknown.Code {
		t.Errorf("none: got %v", err)
	}
	if list, err := person.Connectors(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
	if s, err := person.NewConnectorSecret(t.Context(), "other"); err != nil || s.Secret != "another" {
		t.Errorf("got %v, %v", s, err)
	}
	if err := person.StoreConnectorCRL(t.Context(), "other", []byte("a list")); err != nil {
		t.Error(err)
	}
	if err := person.StoreConnectorCRL(t.Context(), "other", []byte("no list")); code(err) != gateway.ErrCRL.Code {
		t.Errorf("no list: got %v", err)
	}
	if err := person.RevokeConnector(t.Context(), "other"); err != nil {
		t.Error(err)
	}
}
