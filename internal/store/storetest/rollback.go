package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/signet-mdm/signet/appconfig"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/delivery/plan"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
	"github.com/signet-mdm/signet/pfxconnector"
	"github.com/signet-mdm/signet/pfxconnector/escrow"
	"github.com/signet-mdm/signet/scep"
)

// Sabotaged is an empty database that can be made to fail.
type Sabotaged struct {
	*store.DB
	Break  func(write, table string) // from now on each such write to it fails, to "" none
	Values func() map[string]string  // all that is stored, by table
}

// Writes are the statements that can be made to fail.
var Writes = []string{"INSERT", "UPDATE", "DELETE"}

// Rollback makes each write of each verb that has several steps fail, one
// after the other: nothing of the verb stays.
func Rollback(t *testing.T, open func(*testing.T) Sabotaged) {
	for name, begin := range map[string]func(*testing.T, *store.DB) func(n int) func() error{
		"user saved": func(t *testing.T, db *store.DB) func(int) func() error {
			return func(n int) func() error {
				mail := fmt.Sprintf("u%d@example.com", n)
				u := subject.User{ID: subject.NewUserID(), UPN: mail, Mail: mail, Name: mail, CreatedAt: at, Aliases: []string{"a" + mail}}
				return func() error { return db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)) }
			}
		},
		"group saved": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				return func() error {
					_, err := db.Directory().GroupSaved(t.Context(), fmt.Sprint(n), []subject.UserID{u.ID}, entry(journal.GroupChanged))
					return err
				}
			}
		},
		"invited": func(t *testing.T, db *store.DB) func(int) func() error {
			f := facet(t, db)
			return func(n int) func() error {
				inv := f.invite(fmt.Sprintf("u%d@example.com", n))
				inv.Device.ID, inv.Token = subject.NewDeviceID(), inv.Code
				return func() error { return f.Invited(t.Context(), inv, entry(journal.DeviceInvited)) }
			}
		},
		"authenticated": func(t *testing.T, db *store.DB) func(int) func() error {
			f := facet(t, db)
			return func(n int) func() error {
				d := f.invite(fmt.Sprintf("u%d@example.com", n)).Device.ID
				b := mdm.Binding{Device: d, UDID: fmt.Sprint("udid ", n), Identity: cert.FingerprintOf([]byte(d)), Topic: "t", At: at}
				return func() error { return f.Authenticated(t.Context(), b, entry(journal.DeviceUpdated)) }
			}
		},
		"reported": func(t *testing.T, db *store.DB) func(int) func() error {
			f := facet(t, db)
			return func(n int) func() error {
				d := f.enrolled(fmt.Sprintf("u%d@example.com", n), fmt.Sprint(n))
				o := mdm.Outcome{Device: d, Command: f.queue(d, "CertificateList")[0].UUID, State: mdm.Acknowledged, At: at, Listed: true,
					Certificates: []mdm.Held{{Fingerprint: cert.FingerprintOf([]byte("x"))}}, Apps: []mdm.App{{Bundle: "b", State: "Managed"}}, Configured: true}
				return func() error {
					_, err := f.Reported(t.Context(), o, entry(journal.DeviceReported))
					return err
				}
			}
		},
		"certificate issued": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(n int) func() error {
				i := s.by(s.challenge(h, "p"))
				s.must(s.SerialReserved(t.Context(), i))
				return func() error {
					return s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued))
				}
			}
		},
		"request made": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(n int) func() error {
				r := s.newRequest(s.challenge(h, "p"))
				return func() error { return s.RequestMade(t.Context(), r, entry(journal.RequestPending)) }
			}
		},
		"request denied": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(n int) func() error {
				d := s.decision(s.request(s.challenge(h, "p")), scep.RequestDenied, "")
				return func() error { return s.RequestDecided(t.Context(), d, entry(journal.RequestDenied)) }
			}
		},
		"request handed on": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(n int) func() error {
				r := s.request(s.challenge(h, "p"))
				s.decided(r, scep.RequestApproved, "")
				return func() error { return s.RequestHandedOn(t.Context(), r.ID, entry(journal.RequestPending)) }
			}
		},
		"approved certificate issued": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(n int) func() error {
				r := s.request(s.challenge(h, "p"))
				s.decided(r, scep.RequestApproved, "")
				i := s.approved(r)
				s.must(s.SerialReserved(t.Context(), i))
				return func() error {
					return s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued))
				}
			}
		},
		"serial reserved": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(int) func() error {
				i := s.by(s.challenge(h, "p"))
				return func() error { return s.SerialReserved(t.Context(), i) }
			}
		},
		"certificate renewed": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(int) func() error {
				i := s.after(s.issue(s.by(s.challenge(h, "p"))))
				s.must(s.SerialReserved(t.Context(), i))
				return func() error {
					return s.CertificateIssued(t.Context(), i, recordOf(i), entry(journal.CertificateIssued))
				}
			}
		},
		"challenge made": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(int) func() error {
				next := s.challenge(h, "p") // which the next one voids
				next.Hash = seal.Random().Hash()
				return func() error { return s.ChallengeMade(t.Context(), next, entry(journal.ChallengeIssued)) }
			}
		},
		"challenge refused": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(int) func() error {
				ticket := s.challenge(h, "p")
				return func() error {
					return s.ChallengeRefused(t.Context(), ticket.Hash, "scep_key", entry(journal.ChallengeRefused))
				}
			}
		},
		"certificate revoked": func(t *testing.T, db *store.DB) func(int) func() error {
			s := scepFacetOf(t, db)
			h := s.holder("alice@example.com")
			return func(n int) func() error {
				r := s.issue(s.by(s.challenge(h, "p")))
				return func() error {
					return s.CertificateRevoked(t.Context(), r.Fingerprint, scep.Reason("keyCompromise"), entry(journal.CertificateRevoked))
				}
			}
		},
		"key imported": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				return func() error {
					_, err := imported(t, db, deposit(u, fmt.Sprint(n)))
					return err
				}
			}
		},
		"key quarantined": func(t *testing.T, db *store.DB) func(int) func() error {
			return func(n int) func() error {
				id, _ := escrow.NewQuarantine()
				d := deposit(subject.User{ID: id}, fmt.Sprint(n))
				return func() error {
					_, err := quarantine(t, db, d, pfxconnector.Quarantine{ID: id, Certificate: d.Certificate})
					return err
				}
			}
		},
		"key assigned": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				d, q := aside(t, db, fmt.Sprint(n))
				if err := ask(t, db, q.ID, u.ID, false); err != nil {
					t.Fatal(err)
				}
				return func() error {
					return db.PFX().KeyAssigned(t.Context(), given(q.ID, u.ID, false), sealedTo(d, u.ID), entry(journal.KeyAssigned))
				}
			}
		},
		"key discarded": func(t *testing.T, db *store.DB) func(int) func() error {
			return func(n int) func() error {
				_, q := aside(t, db, fmt.Sprint(n))
				return func() error { return db.PFX().KeyDiscarded(t.Context(), q.ID, entry(journal.KeyDiscarded)) }
			}
		},
		"sealed key deposited": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				ticket := ticketFor(t, db, fmt.Sprint(n))
				list := []pfxconnector.Arrival{{Deposit: deposit(u, fmt.Sprint(n)), Entry: entry(journal.KeyImported)}}
				return func() error {
					_, err := db.PFX().KeysDeposited(t.Context(), ticket, list)
					return err
				}
			}
		},
		"sealed key does not open": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				d := unchecked(t, db, u, fmt.Sprint(n))
				return func() error { return db.PFX().KeyFailed(t.Context(), d, "broken", entry(journal.KeyAlarm)) }
			}
		},
		"key pinned": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				d := deposit(u, fmt.Sprint(n))
				keep(t, db, d, true)
				return func() error { return db.PFX().KeyPinned(t.Context(), u.ID, d.Key.Cert, entry(journal.KeyPinned)) }
			}
		},
		"purpose changed": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				d := deposit(u, fmt.Sprint(n))
				keep(t, db, d, true)
				return func() error {
					return db.PFX().PurposeChanged(t.Context(), u.ID, d.Key.Cert, cert.Encryption, entry(journal.KeyPurpose))
				}
			}
		},
		"key removed": func(t *testing.T, db *store.DB) func(int) func() error {
			u := addUser(t, db, "alice@example.com")
			return func(n int) func() error {
				d := deposit(u, fmt.Sprint(n))
				keep(t, db, d, true)
				return func() error { return db.PFX().KeyRemoved(t.Context(), u.ID, d.Key.Cert, entry(journal.KeyRemoved)) }
			}
		},
		"policy replaced": func(t *testing.T, db *store.DB) func(int) func() error {
			p := appconfig.Policy{Name: "p", Settings: appconfig.Settings{}}
			apply(t, db, []appconfig.Policy{p})
			return func(n int) func() error {
				p.Priority++
				return func() error {
					return db.AppConfig().PoliciesApplied(t.Context(), "", []appconfig.Policy{p}, nil, entry(journal.PolicyApplied))
				}
			}
		},
		"plan stored": func(t *testing.T, db *store.DB) func(int) func() error {
			d := deliver(t, db)
			return func(n int) func() error {
				d.touch()
				l := d.leaseAt(at.AddDate(0, 0, n))
				parcel, command := d.make(parcelOf(fmt.Sprint(n)))
				x := delivery.Decision{Lease: l, Moves: []delivery.Move{{Do: plan.Send, New: parcel, Command: command}}}
				return func() error { return db.Delivery().Planned(t.Context(), x, entry(journal.PlanStored)) }
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			prepare := begin(t, db.DB)
			n, verb := 1, prepare(0)
			unchanged := db.Values()
			if err := verb(); err != nil {
				t.Fatalf("without sabotage: %v", err)
			}
			var failed []string
			for table, values := range db.Values() {
				if unchanged[table] == values {
					continue // the verb has nothing to do with it
				}
				for _, write := range Writes {
					verb = prepare(n)
					n++
					before := db.Values()
					db.Break(write, table)
					err := verb()
					db.Break("", "")
					if err == nil {
						continue // it does not write there so
					}
					failed = append(failed, write+" "+table)
					if !maps.Equal(db.Values(), before) {
						t.Errorf("%s %s failed, and something was stored", write, table)
					}
				}
			}
			if !slices.Contains(failed, "INSERT journal") && name != "serial reserved" {
				t.Errorf("it failed at %v only", failed)
			}
		})
	}
}
