package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-mdm/signet/internal/httpd/admin"
)

func (a *app) jobCommand() *cobra.Command {
	return group("job", "List, show and cancel long work", a.jobList(), a.jobShow(), a.jobCancel())
}

func (a *app) jobList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List jobs, newest first",
		Args:  takes(),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			jobs, err := client.Jobs(c.Context())
			if err != nil {
				return err
			}
			return showTable(a, jobs, []string{"created", "kind", "target", "state", "done", "failed", "total", "id"}, func(j admin.Job) []string {
				return []string{moment(j.Created), j.Kind, j.Target, j.State, strconv.Itoa(j.Done), strconv.Itoa(j.Failed), strconv.Itoa(j.Total), j.ID}
			})
		},
	}
}

// shownFailures bounds how many failures a job is shown with.
const shownFailures = 100

// jobDetail is a job with what failed of it.
type jobDetail struct {
	admin.Job
	Failures []admin.JobItem `json:"failures"`
}

func (a *app) jobShow() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show a job with what failed of it",
		Args:  takes("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if wait {
				if _, err := a.follow(c.Context(), client, args[0]); err != nil {
					return err
				}
			}
			return a.showJob(c.Context(), client, args[0])
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait for its end")
	return c
}

// showJob ends with rejects when something failed.
func (a *app) showJob(ctx context.Context, client *admin.Client, id string) error {
	j, err := client.Job(ctx, id)
	if err != nil {
		return err
	}
	d := jobDetail{Job: j, Failures: []admin.JobItem{}}
	if j.Failed > 0 {
		if d.Failures, err = client.JobItems(ctx, id, "failed", shownFailures); err != nil {
			return err
		}
	}
	if err := a.show(d, func(w io.Writer) { writeJob(w, d) }); err != nil {
		return err
	}
	if j.Failed > 0 {
		return errRejects
	}
	return nil
}

func writeJob(w io.Writer, d jobDetail) {
	writeRecord(w, "id", d.ID, "kind", d.Kind, "target", d.Target, "state", d.State,
		"done", fmt.Sprintf("%d of %d, %d failed", d.Done, d.Total, d.Failed), "by", d.By.Kind+":"+d.By.ID,
		"created", moment(d.Created), "ended", maybe(d.Ended))
	if len(d.Failures) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := make([][]string, len(d.Failures))
	for i, f := range d.Failures {
		rows[i] = []string{f.ID, f.Code, maybe(f.At)}
	}
	writeTable(w, []string{"failed", "code", "when"}, rows)
}

func (a *app) jobCancel() *cobra.Command {
	return a.onOne("cancel ID", "End a job; what was done stays done", "cancelled", (*admin.Client).CancelJob)
}

// follow waits for the end of a job, and shows a person how far it is.
func (a *app) follow(ctx context.Context, client *admin.Client, id string) (admin.Job, error) {
	line := a.terminal(a.stderr)
	for {
		j, err := client.Job(ctx, id)
		if err != nil {
			return j, err
		}
		if line {
			fmt.Fprintf(a.stderr, "\r%d of %d, %d failed ", j.Done, j.Total, j.Failed)
		}
		if j.State != "running" {
			if line {
				fmt.Fprintln(a.stderr)
			}
			return j, nil
		}
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// startJob starts a job, or with dryRun only says how much it would be, and shows
// what became of it; without wait only its id.
func (a *app) startJob(c *cobra.Command, n admin.NewJob, dryRun, wait bool) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	j, err := client.StartJob(c.Context(), n, dryRun)
	switch {
	case err != nil:
		return err
	case dryRun:
		return a.show(j, func(w io.Writer) { fmt.Fprintf(w, "would be done to %d\n", j.Total) })
	case !wait:
		return a.show(j, func(w io.Writer) {
			fmt.Fprintf(w, "job %s, %d to do; signet job show --wait %s follows it\n", j.ID, j.Total, j.ID)
		})
	}
	if _, err := a.follow(c.Context(), client, j.ID); err != nil {
		return err
	}
	return a.showJob(c.Context(), client, j.ID)
}

// scopeFlags says for whom a job is.
func scopeFlags(c *cobra.Command, n *admin.NewJob, dryRun, wait *bool) {
	f := c.Flags()
	f.BoolVar(&n.All, "all", false, "for everybody, as a job")
	f.StringVar(&n.Group, "group", "", "for the members of `GROUP`, as a job")
	f.StringVar(&n.User, "user", "", "for `USER`, as a job")
	f.BoolVar(dryRun, "dry-run", false, "only say how many that would be")
	f.BoolVar(wait, "wait", false, "wait until the job has ended")
}

// scoped tells whether exactly one of everybody, a group and a user is meant,
// and whether any is.
func scoped(n admin.NewJob) (one, some bool) {
	given := 0
	for _, g := range []bool{n.All, n.Group != "", n.User != ""} {
		if g {
			given++
		}
	}
	return given == 1, given > 0
}
