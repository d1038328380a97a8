package phone

import (
	"context"
	"errors"
	"fmt"
)

// maxSeries bounds the commands of one connection series. A server that keeps
// handing out what was refused would go on for ever.
const maxSeries = 1000

// result is what became of a command, kept until a server has taken it.
type result struct {
	body   []byte
	status string
}

// Poll opens one connection series, as after a push: it says Idle and carries
// out commands until the server has no more. It returns how many commands it
// answered. After a broken connection or an answer other than 2xx the last
// result is kept, and the next Poll starts with it in place of Idle.
// Spec: Apple MDM, command protocol
func (p *Phone) Poll(ctx context.Context) (int, error) {
	p.op.Lock()
	defer p.op.Unlock()
	if p.state().enrollment == nil {
		return 0, ErrNotEnrolled
	}
	if err := p.updateToken(ctx); err != nil {
		return 0, err
	}
	p.polls = false
	n, err := p.series(ctx)
	p.answerPrompts()
	return n, err
}

// WillPoll reports whether the phone comes back by itself: only when the last
// status of the last series was NotNow.
func (p *Phone) WillPoll() bool {
	p.op.Lock()
	defer p.op.Unlock()
	return p.polls
}

func (p *Phone) series(ctx context.Context) (n int, err error) {
	say := p.last
	if say == nil {
		idle, err := writePlist(dict{"UDID": p.cfg.UDID, "Status": "Idle"})
		if err != nil {
			return 0, err
		}
		say = &result{idle, "Idle"}
	}
	for range maxSeries {
		command, err := p.exchange(ctx, say)
		if err != nil {
			return n, err
		}
		if say.status != "Idle" {
			n++
		}
		if p.state().erased {
			p.unenroll("the phone was erased")
			p.commit(&state{})
			return n, nil
		}
		if len(command) == 0 {
			p.polls = say.status == "NotNow"
			return n, nil
		}
		if say, err = p.obey(ctx, command); err != nil {
			return n, err
		}
		if p.state().enrollment == nil { // the command ended the management
			return n, nil
		}
		p.last = say
		if p.loses(func(m *Mood) *int { return &m.LoseReply }) {
			return n, ErrLost
		}
	}
	return n, fmt.Errorf("the server sent %d commands in one series", maxSeries)
}

// exchange tells the server a status and gives the next command, empty when
// there is none.
func (p *Phone) exchange(ctx context.Context, say *result) ([]byte, error) {
	a, err := p.send(ctx, p.state().enrollment, Connect, say.body)
	if err != nil {
		return nil, err
	}
	if say.status != "Idle" && p.loses(func(m *Mood) *int { return &m.LoseAnswer }) {
		return nil, ErrLost
	}
	if err := p.judge(a); err != nil {
		return nil, err
	}
	p.last = nil
	return a.body, nil
}

var (
	errNotNow = errors.New("not now")
	errFormat = errors.New("malformed command")
)

// obey carries out one command and writes its result. Only an answer that is
// no command at all is an error.
func (p *Phone) obey(ctx context.Context, raw []byte) (*result, error) {
	m, err := readDict(raw)
	if err != nil {
		return nil, fmt.Errorf("the server's answer is not a command: %w", err)
	}
	uuid, c := m.str("CommandUUID"), m.dict("Command")
	if uuid == "" || len(uuid) > 127 {
		return nil, errors.New("the server's answer is not a command: no CommandUUID")
	}
	out, err := p.run(ctx, c)
	if out == nil {
		out = dict{}
	}
	out["UDID"], out["CommandUUID"], out["Status"] = p.cfg.UDID, uuid, "Acknowledged"
	detail := ""
	switch failure, failed := errors.AsType[*Error](err); {
	case errors.Is(err, errNotNow):
		out["Status"] = "NotNow"
	case errors.Is(err, errFormat):
		out["Status"] = "CommandFormatError"
	case failed:
		out["Status"], out["ErrorChain"] = "Error", errorChain(failure)
		detail = ": " + err.Error()
	case err != nil:
		return nil, fmt.Errorf("command %s: %w", c.str("RequestType"), err)
	}
	status := out.str("Status")
	p.log(EventCommand, c.str("RequestType"), status+detail)
	body, err := writePlist(out)
	if err != nil {
		return nil, err
	}
	return &result{body, status}, nil
}

// Wake is what a push does: the phone polls when the push is meant for it.
// Apple's push service knows the token; the phone itself checks the magic.
func (p *Phone) Wake(ctx context.Context, pushMagic string) (int, error) {
	e, ok := p.Enrollment()
	if !ok || e.PushMagic != pushMagic {
		return 0, nil
	}
	return p.Poll(ctx)
}
