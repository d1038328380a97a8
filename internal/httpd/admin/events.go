package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gorilla/mux"

	"github.com/signet-mdm/signet/internal/access"
	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd"
	"github.com/signet-mdm/signet/internal/job"
)

// How a job is followed.
const (
	lookEvery = time.Second      // one row by its key
	followFor = 30 * time.Minute // then the client asks again, with its token
)

// jobEvents adds the stream of a job's progress, which huma knows only as a
// description.
//
// Spec: HTML Living Standard section 9.2 (server-sent events)
func (a *API) jobEvents() {
	op := a.operation(operation{id: "followJob", tag: "jobs", method: http.MethodGet, path: "/jobs/{job}/events",
		summary: "Follow a job: server-sent events, each with the job as it stands, until it ends", permission: access.JobRead,
		faults: []*fault.Error{job.ErrUnknown}})
	op.Parameters = []*huma.Param{{Name: "job", In: "path", Required: true, Description: "Its id", Schema: &huma.Schema{Type: "string", MaxLength: new(64)}}}
	op.Responses["200"] = &huma.Response{Description: "Events named job; data is the job in JSON",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}}
	a.huma.OpenAPI().AddOperation(&op)
	a.routes = append(a.routes, httpd.Route{Method: op.Method, Path: op.Path, Permission: access.JobRead, MaxBody: httpd.NoBody, Handle: a.followJob, Stream: true})
}

func (a *API) followJob(w http.ResponseWriter, r *http.Request, _ httpd.Caller) error {
	j, err := a.Jobs.Job(r.Context(), mux.Vars(r)["job"])
	if err != nil {
		return err
	}
	s, err := httpd.BeginStream(w)
	if err != nil || sendJob(s, j) != nil {
		return nil // the client is gone, and nothing else can be told it
	}
	end := time.After(followFor)
	look, beat := time.NewTicker(lookEvery), time.NewTicker(httpd.Heartbeat)
	defer look.Stop()
	defer beat.Stop()
	for j.Ended.IsZero() {
		select {
		case <-r.Context().Done():
			return nil
		case <-a.Ending:
			return nil
		case <-end:
			return nil
		case <-beat.C:
			err = s.Send(": still here\n\n")
		case <-look.C:
			last := j
			if j, err = a.Jobs.Job(r.Context(), j.ID); err == nil && j != last {
				err = sendJob(s, j)
			}
		}
		if err != nil {
			return nil // the client comes back by itself
		}
	}
	return nil
}

// sendJob sends a job as it stands.
func sendJob(s httpd.Stream, j job.Job) error {
	data, err := json.Marshal(newJob(j))
	if err != nil {
		return err
	}
	return s.Send(fmt.Sprintf("event: job\ndata: %s\n\n", data))
}
