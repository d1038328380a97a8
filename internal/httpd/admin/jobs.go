package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/directory"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/job"
	"github.com/signet-mdm/signet/internal/journal"
	"github.com/signet-mdm/signet/internal/subject"
)

// Jobs is the long work.
type Jobs interface {
	// Start begins a job in a scope, which target names for people; with dryRun
	// it only counts what there is to do.
	Start(ctx context.Context, by journal.Actor, k job.Kind, s subject.Scope, target string, dryRun bool) (job.Job, error)
	// Job gives a job.
	Job(ctx context.Context, id string) (job.Job, error)
	// Jobs lists at most limit, newest first, those that follow the one that was
	// made at before and has that id; the newest for the zero time.
	Jobs(ctx context.Context, before time.Time, id string, limit int) ([]job.Job, error)
	// Items lists at most limit items of a job whose ids follow after, in one
	// state or in any.
	Items(ctx context.Context, id string, state job.ItemState, after string, limit int) ([]job.Item, error)
	// Cancel ends a job; what was done stays done.
	Cancel(ctx context.Context, by journal.Actor, id string) (job.Job, error)
}

// ErrJobScope is returned for a job that is for nobody, or for more than one
// of everybody, a group and a user.
var ErrJobScope = fault.New(fault.Invalid, "job_scope_invalid",
	"A job is for all, for one group or for one user.", "Give exactly one of all, group and user.")

// ErrEncryptionThere is returned for a key that a user does not lack.
var ErrEncryptionThere = fault.New(fault.Conflict, "encryption_not_missing",
	"The user has an encryption certificate that others can use, or is disabled.",
	"signet pfx list --user USER shows it. To have another made, revoke it first if it is of our CA, or remove it.")

// NewJob asks for long work.
type NewJob struct {
	Kind  string `json:"kind" enum:"device.refresh,device.renew,key.check,encryption.issue" doc:"device.refresh asks devices about themselves and their certificates again; device.renew gets them other certificates besides; key.check looks whether imported keys are whole, without opening them; encryption.issue makes keys for users to whom nobody can encrypt mail"`
	All   bool   `json:"all,omitempty" doc:"For everybody"`
	Group string `json:"group,omitempty" maxLength:"200" doc:"For the members of this group"`
	User  string `json:"user,omitempty" maxLength:"320" doc:"For this user: our id, an address or a UPN"`
}

// Job is long work.
type Job struct {
	ID      string     `json:"id" doc:"Empty for a dry run"`
	Kind    string     `json:"kind" doc:"What is done"`
	Target  string     `json:"target" doc:"To what, for people"`
	State   string     `json:"state" enum:"planned,running,done,cancelled" doc:"Planned is a dry run"`
	Total   int        `json:"total" doc:"How many items there are"`
	Done    int        `json:"done" doc:"How many went well"`
	Failed  int        `json:"failed" doc:"How many did not"`
	By      Actor      `json:"by" doc:"Who asked for it"`
	Created time.Time  `json:"created" doc:"When it was asked for"`
	Ended   *time.Time `json:"ended,omitempty" doc:"When it was done or cancelled"`
}

// JobItem is what a job does something to.
type JobItem struct {
	ID       string     `json:"id" doc:"Our id of it"`
	State    string     `json:"state" enum:"open,done,failed,skipped" doc:"What became of it; skipped when the job was cancelled before"`
	Code     string     `json:"code,omitempty" doc:"Of the failure"`
	Attempts int        `json:"attempts" doc:"How often it was tried"`
	At       *time.Time `json:"at,omitempty" doc:"When it was tried last"`
}

func newJob(j job.Job) Job {
	return Job{ID: j.ID, Kind: string(j.Kind), Target: j.Target, State: string(j.State), Total: j.Total, Done: j.Done, Failed: j.Failed,
		By: newActor(j.By), Created: j.Created, Ended: when(j.Ended)}
}

func newJobItem(i job.Item) JobItem {
	return JobItem{ID: i.ID, State: string(i.State), Code: i.Code, Attempts: i.Attempts, At: when(i.At)}
}

// jobPath is the parameter of operations on one job.
type jobPath struct {
	Job string `path:"job" maxLength:"64" doc:"Its id"`
}

func (a *API) jobs() {
	register(a, operation{id: "startJob", once: true, tag: "jobs", method: http.MethodPost, path: "/jobs", summary: "Begin long work",
		permission: access.JobManage, maxBody: small, status: http.StatusAccepted,
		faults: []*fault.Error{ErrJobScope, directory.ErrGroupUnknown, directory.ErrUserUnknown, ErrEncryptionThere}}, a.startJob)
	post := a.huma.OpenAPI().Paths[Prefix+"/jobs"].Post
	post.Responses["200"] = &huma.Response{Description: "What a dry run found", Content: post.Responses["202"].Content}
	register(a, operation{id: "listJobs", tag: "jobs", method: http.MethodGet, path: "/jobs", summary: "List jobs, newest first",
		permission: access.JobRead, faults: []*fault.Error{ErrCursor}}, a.listJobs)
	register(a, operation{id: "getJob", tag: "jobs", method: http.MethodGet, path: "/jobs/{job}", summary: "Show a job with its progress",
		permission: access.JobRead, faults: []*fault.Error{job.ErrUnknown}}, a.getJob)
	register(a, operation{id: "listJobItems", tag: "jobs", method: http.MethodGet, path: "/jobs/{job}/items",
		summary: "List what a job is about, and what became of each", permission: access.JobRead,
		faults: []*fault.Error{job.ErrUnknown, ErrCursor}}, a.listJobItems)
	register(a, operation{id: "cancelJob", tag: "jobs", method: http.MethodPost, path: "/jobs/{job}/cancellation",
		summary: "Cancel a job; what was done stays done", permission: access.JobManage,
		faults: []*fault.Error{job.ErrUnknown, job.ErrEnded}}, a.cancelJob)
	a.jobEvents()
}

// startedJob is the answer to a job that was asked for.
type startedJob struct {
	Status   int
	Location string `header:"Location" doc:"Where its progress is"`
	Body     Job
}

func (a *API) startJob(ctx context.Context, by journal.Actor, in *struct {
	DryRun bool `query:"dryRun" doc:"Count what there is to do, but begin nothing; answered with 200"`
	Body   NewJob
}) (*startedJob, error) {
	scope, target, err := a.jobScope(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	kind := job.Kind(in.Body.Kind)
	if err := a.lacks(ctx, by, kind, in.Body.User, scope); err != nil {
		return nil, err
	}
	j, err := a.Jobs.Start(ctx, by, kind, scope, target, in.DryRun)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return &startedJob{Status: http.StatusOK, Body: newJob(j)}, nil
	}
	return &startedJob{Status: http.StatusAccepted, Location: Prefix + at("jobs", j.ID), Body: newJob(j)}, nil
}

// lacks sees that one user who is to get a key lacks one.
func (a *API) lacks(ctx context.Context, by journal.Actor, k job.Kind, user string, s subject.Scope) error {
	if k != job.IssueEncryption || user == "" {
		return nil
	}
	j, err := a.Jobs.Start(ctx, by, k, s, "", true)
	if err == nil && j.Total == 0 {
		err = ErrEncryptionThere
	}
	return err
}

func (a *API) jobScope(ctx context.Context, n NewJob) (s subject.Scope, target string, err error) {
	switch {
	case n.All && n.Group == "" && n.User == "":
		return subject.Scope{All: true}, "all", nil
	case !n.All && n.Group != "" && n.User == "":
		g, err := a.Users.Group(ctx, n.Group)
		return subject.Scope{Groups: []subject.GroupID{g.ID}}, "group " + g.Name, err
	case !n.All && n.Group == "" && n.User != "":
		u, err := a.Users.User(ctx, n.User)
		return subject.OfUser(u.ID), "user " + u.Mail, err
	}
	return s, "", ErrJobScope
}

func (a *API) listJobs(ctx context.Context, _ journal.Actor, in *Part) (*body[list[Job]], error) {
	before, id, err := in.position()
	if err != nil {
		return nil, err
	}
	jobs, err := a.Jobs.Jobs(ctx, before, id, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return partOf(jobs, in.Limit, newJob, func(j job.Job) string { return place(j.Created, j.ID) }), nil
}

func (a *API) getJob(ctx context.Context, _ journal.Actor, in *jobPath) (*body[Job], error) {
	j, err := a.Jobs.Job(ctx, in.Job)
	return &body[Job]{newJob(j)}, err
}

func (a *API) listJobItems(ctx context.Context, _ journal.Actor, in *struct {
	Part
	Job   string `path:"job" maxLength:"64" doc:"Its id"`
	State string `query:"state" enum:"open,done,failed,skipped" doc:"Only those in this state"`
}) (*body[list[JobItem]], error) {
	after, err := in.text()
	if err != nil {
		return nil, err
	}
	items, err := a.Jobs.Items(ctx, in.Job, job.ItemState(in.State), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return partOf(items, in.Limit, newJobItem, func(i job.Item) string { return placeText(i.ID) }), nil
}

func (a *API) cancelJob(ctx context.Context, by journal.Actor, in *jobPath) (*body[Job], error) {
	j, err := a.Jobs.Cancel(ctx, by, in.Job)
	return &body[Job]{newJob(j)}, err
}

// StartJob begins long work, or with dryRun only counts it.
func (c *Client) StartJob(ctx context.Context, n NewJob, dryRun bool) (Job, error) {
	path := "/jobs"
	if dryRun {
		path += "?dryRun=true"
	}
	return send[Job](ctx, c, http.MethodPost, path, n)
}

// Jobs lists jobs, newest first.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) { return items[Job](ctx, c, "/jobs") }

// Job shows a job.
func (c *Client) Job(ctx context.Context, id string) (Job, error) {
	return get[Job](ctx, c, at("jobs", id))
}

// JobItems lists at most n items of a job in that state.
func (c *Client) JobItems(ctx context.Context, id, state string, n int) ([]JobItem, error) {
	return atMost[JobItem](ctx, c, n, at("jobs", id, "items"), "state", state)
}

// CancelJob ends a job.
func (c *Client) CancelJob(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, at("jobs", id, "cancellation"), nil, nil)
}
