package admin_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/httpd/admin"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/seal"
	"github.com/signet-mdm/signet/internal/subject"
	"github.com/signet-mdm/signet/mdm"
)

// enroll makes a user with an enrolled device.
func (w *world) enroll(t *testing.T, mail string) {
	t.Helper()
	box, err := seal.NewBox(seal.RandomRoot(), "push")
	if err != nil {
		t.Fatal(err)
	}
	e := journal.Entry{At: at, Actor: journal.Worker("test"), Action: journal.DeviceEnrolled}
	u, err := w.users.Add(t.Context(), e.Actor, subject.User{Mail: mail})
	if err != nil {
		t.Fatal(err)
	}
	d, s := subject.Device{ID: subject.NewDeviceID(), User: u.ID}, w.db.MDM(box)
	for _, err := range []error{
		s.Invited(t.Context(), mdm.Invitation{Token: seal.Random().Hash(), User: u, Device: d, State: mdm.Invited, CreatedAt: at}, e),
		s.Authenticated(t.Context(), mdm.Binding{Device: d.ID, UDID: mail, At: at}, e),
		s.TokensUpdated(t.Context(), mdm.Tokens{Device: d.ID, At: at}, e),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// work does what jobs there are.
func (w *world) work(t *testing.T) {
	t.Helper()
	for n := 1; n > 0; {
		var err error
		if n, err = w.jobs.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJobs(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.enroll(t, fmt.Sprintf("u%d@example.com", i))
	}
	c := w.as(t, access.Admin)
	if _, err := c.SetGroup(t.Context(), "Finance", []string{"u1@example.com"}); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		n      admin.NewJob
		total  int
		target string
		code   string
	}{
		"all":           {admin.NewJob{All: true}, 3, "all", ""},
		"group":         {admin.NewJob{Group: "Finance"}, 1, "group Finance", ""},
		"user":          {admin.NewJob{User: "U2@example.com"}, 1, "user u2@example.com", ""},
		"nobody":        {admin.NewJob{}, 0, "", "job_scope_invalid"},
		"two":           {admin.NewJob{All: true, User: "u2@example.com"}, 0, "", "job_scope_invalid"},
		"unknown group": {admin.NewJob{Group: "Law"}, 0, "", "group_unknown"},
		"unknown user":  {admin.NewJob{User: "x@example.com"}, 0, "", "user_unknown"},
	} {
		x.n.Kind = "device.refresh"
		j, err := c.StartJob(t.Context(), x.n, true)
		if code(err) != x.code || j.Total != x.total || j.Target != x.target || err == nil && (j.State != "planned" || j.ID != "") {
			t.Errorf("%s: got %+v, %v", name, j, err)
		}
	}
	if list, err := c.Jobs(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("dry runs left %v, %v", list, err)
	}

	j, err := c.StartJob(t.Context(), admin.NewJob{Kind: "device.refresh", All: true}, false)
	if err != nil || j.State != "running" || j.Total != 3 || j.Done != 0 || j.By.Kind != "admin" {
		t.Fatalf("got %+v, %v", j, err)
	}
	w.work(t) // the devices do not want
	c = w.as(t, access.Auditor)
	if j, err = c.Job(t.Context(), j.ID); err != nil || j.State != "done" || j.Failed != 3 || j.Ended == nil {
		t.Errorf("got %+v, %v", j, err)
	}
	if failed, err := c.JobItems(t.Context(), j.ID, "failed", 2); err != nil || len(failed) != 2 || failed[0].Code != "device_not_enrolled" {
		t.Errorf("got %+v, %v", failed, err)
	}
	if _, err := c.StartJob(t.Context(), admin.NewJob{Kind: "device.refresh", All: true}, false); code(err) != "denied" {
		t.Errorf("an auditor starts a job: got %v", err)
	}
	if err := c.CancelJob(t.Context(), j.ID); code(err) != "denied" {
		t.Errorf("an auditor cancels a job: got %v", err)
	}
	for id, want := range map[string]string{j.ID: "job_ended", "j-0": "job_unknown"} {
		if err := w.as(t, access.Admin).CancelJob(t.Context(), id); code(err) != want {
			t.Errorf("cancelling %s: got %v, want %s", id, err, want)
		}
	}
}

// What was accepted says where its progress is.
func TestJobIsAccepted(t *testing.T) {
	w := newWorld(t)
	w.enroll(t, "alice@example.com")
	res := w.send(t, "POST", "/jobs", `{"kind":"device.refresh","all":true}`)
	defer res.Body.Close()
	var j admin.Job
	if err := json.NewDecoder(res.Body).Decode(&j); err != nil {
		t.Fatal(err)
	}
	if want := "/api/v1/jobs/" + j.ID; res.StatusCode != http.StatusAccepted || res.Header.Get("Location") != want {
		t.Errorf("got %d, Location %q; want 202, %q", res.StatusCode, res.Header.Get("Location"), want)
	}
	dry := w.send(t, "POST", "/jobs?dryRun=true", `{"kind":"device.refresh","all":true}`)
	dry.Body.Close()
	if dry.StatusCode != http.StatusOK || dry.Header.Get("Location") != "" {
		t.Errorf("dry run: got %d, Location %q", dry.StatusCode, dry.Header.Get("Location"))
	}
}

// send makes a request as an administrator.
func (w *world) send(t *testing.T, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, w.url+admin.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.token(t, access.Admin).RevealString())
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Whoever follows a job hears of its progress and of its end, and then no more.
func TestFollowJob(t *testing.T) {
	w := newWorld(t)
	w.enroll(t, "alice@example.com")
	c := w.as(t, access.Admin)
	j, err := c.StartJob(t.Context(), admin.NewJob{Kind: "device.refresh", All: true}, false)
	if err != nil {
		t.Fatal(err)
	}
	res := w.send(t, "GET", "/jobs/"+j.ID+"/events", "")
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("got %d %s", res.StatusCode, got)
	}
	events := bufio.NewScanner(res.Body)
	next := func() (j admin.Job) {
		t.Helper()
		for events.Scan() {
			if data, ok := strings.CutPrefix(events.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &j); err != nil {
					t.Fatal(err)
				}
				return j
			}
		}
		t.Fatalf("the stream ended: %v", events.Err())
		return j
	}
	if got := next(); got.State != "running" {
		t.Errorf("got %+v", got)
	}
	w.work(t)
	if got := next(); got.State != "done" || got.Failed != 1 {
		t.Errorf("got %+v", got)
	}
	if rest, err := io.ReadAll(res.Body); err != nil || strings.Contains(string(rest), "data:") {
		t.Errorf("after the end: got %q, %v", rest, err)
	}
	missing := w.send(t, "GET", "/jobs/j-0/events", "")
	missing.Body.Close()
	if missing.StatusCode != http.StatusNotFound {
		t.Errorf("no such job: got %d", missing.StatusCode)
	}
}

// A server that stops does not wait for who follows a job.
func TestFollowEnds(t *testing.T) {
	w := newWorld(t)
	w.enroll(t, "alice@example.com")
	j, err := w.as(t, access.Admin).StartJob(t.Context(), admin.NewJob{Kind: "device.refresh", All: true}, false)
	if err != nil {
		t.Fatal(err)
	}
	res := w.send(t, "GET", "/jobs/"+j.ID+"/events", "")
	defer res.Body.Close()
	close(w.ending)
	ended := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, res.Body); ended <- err }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on")
	}
}
