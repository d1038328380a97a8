// Package storetest is the definition of correct storage: every database runs
// the same suite.
package storetest

import (
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/store"
	"github.com/signet-mdm/signet/internal/subject"
)

// Open gives an empty database and closes it after the test.
type Open func(t *testing.T) *store.DB

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Run("installation", func(t *testing.T) { testInstallation(t, open) })
	t.Run("directory", func(t *testing.T) { testDirectory(t, open) })
	t.Run("journal", func(t *testing.T) { testJournal(t, open) })
	t.Run("audit", func(t *testing.T) { testAudit(t, open) })
	t.Run("access", func(t *testing.T) { testAccess(t, open) })
	t.Run("recovery", func(t *testing.T) { testRecovery(t, open) })
	t.Run("consents", func(t *testing.T) { testConsents(t, open) })
	t.Run("pages", func(t *testing.T) { testPages(t, open) })
	t.Run("jobs", func(t *testing.T) { testJobs(t, open) })
	t.Run("scep", func(t *testing.T) { testSCEP(t, open) })
	t.Run("revocation", func(t *testing.T) { testRevocation(t, open) })
	t.Run("automatic revocation", func(t *testing.T) { testAutomaticRevocation(t, open) })
	t.Run("certificate profiles", func(t *testing.T) { testProfiles(t, open) })
	t.Run("scep requests", func(t *testing.T) { testSCEPRequests(t, open) })
	t.Run("reports", func(t *testing.T) { testReports(t, open) })
	t.Run("mdm", func(t *testing.T) { testMDM(t, open) })
	t.Run("pfx", func(t *testing.T) { testPFX(t, open) })
	t.Run("quarantine", func(t *testing.T) { testQuarantine(t, open) })
	t.Run("sealed elsewhere", func(t *testing.T) { testSealed(t, open) })
	t.Run("encryption", func(t *testing.T) { testEncryption(t, open) })
	t.Run("tenant", func(t *testing.T) { testTenant(t, open) })
	t.Run("transport", func(t *testing.T) { testTransport(t, open) })
	t.Run("gateway", func(t *testing.T) { testGateway(t, open) })
	t.Run("appconfig", func(t *testing.T) { testAppConfig(t, open) })
	t.Run("push", func(t *testing.T) { testPush(t, open) })
	t.Run("delivery", func(t *testing.T) { testDelivery(t, open) })
	t.Run("snapshot", func(t *testing.T) { testSnapshot(t, open) })
	t.Run("operations", func(t *testing.T) { testOperations(t, open) })
	t.Run("renewal", func(t *testing.T) { testRenewal(t, open) })
	t.Run("rollover", func(t *testing.T) { testRollover(t, open) })
	t.Run("mail", func(t *testing.T) { testMail(t, open) })
}

// at is the instant of all entries here.
var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// entry is a journal entry as a worker would write it.
func entry(a journal.Action) journal.Entry {
	return journal.Entry{At: at, Actor: journal.Worker("test"), Action: a}
}

// addUser stores a user with that address.
func addUser(t *testing.T, db *store.DB, mail string) subject.User {
	t.Helper()
	u := subject.User{ID: subject.NewUserID(), UPN: mail, Mail: mail, Name: mail, CreatedAt: at,
		Aliases: []string{}, Groups: []subject.GroupID{}}
	if err := db.Directory().UserSaved(t.Context(), u, entry(journal.UserAdded)); err != nil {
		t.Fatal(err)
	}
	return u
}
