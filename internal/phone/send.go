package phone

import (
	"context"
	"net/http"
)

// Kind is one of the two addresses of an MDM server.
type Kind int

// The two kinds of message.
const (
	CheckIn Kind = iota // to CheckInURL
	Connect             // command results, to ServerURL
)

var contentTypes = map[Kind]string{
	CheckIn: "application/x-apple-aspen-mdm-checkin",
	Connect: "application/x-apple-aspen-mdm; charset=UTF-8",
}

// Message is a request of any content, for tests of what a server must refuse.
type Message struct {
	Kind Kind
	// Body goes out as it is when it is []byte, else as a property list.
	Body any
	// Identity signs in place of the phone's own.
	Identity *Identity
	// Header replaces what the phone would send; a nil value takes a field out.
	Header http.Header
}

// Send puts any body to the MDM server as this phone would, and returns the
// status and the answer. The phone draws no consequence from the answer.
func (p *Phone) Send(ctx context.Context, kind Kind, body any) (status int, answer []byte, err error) {
	return p.Probe(ctx, Message{Kind: kind, Body: body})
}

// Probe is Send with everything in the test's hands.
func (p *Phone) Probe(ctx context.Context, m Message) (status int, answer []byte, err error) {
	p.op.Lock()
	defer p.op.Unlock()
	e := p.state().enrollment
	if e == nil {
		return 0, nil, ErrNotEnrolled
	}
	a, err := p.put(ctx, e, m)
	if err != nil {
		return 0, nil, err
	}
	return a.status, a.body, nil
}

// send puts a message of the phone itself.
func (p *Phone) send(ctx context.Context, e *Enrollment, kind Kind, body any) (*answer, error) {
	return p.put(ctx, e, Message{Kind: kind, Body: body})
}

func (p *Phone) put(ctx context.Context, e *Enrollment, m Message) (*answer, error) {
	raw, ok := m.Body.([]byte)
	if !ok {
		var err error
		if raw, err = writePlist(m.Body); err != nil {
			return nil, err
		}
	}
	h, err := p.header(e, m, raw)
	if err != nil {
		return nil, err
	}
	to := e.ServerURL
	if m.Kind == CheckIn {
		to = e.CheckInURL
	}
	return fetch(ctx, p.net, http.MethodPut, to, h, raw)
}

func (p *Phone) header(e *Enrollment, m Message, raw []byte) (http.Header, error) {
	h := http.Header{"Content-Type": {contentTypes[m.Kind]}, "User-Agent": {"MDM-iOS/1.0"}}
	id := e.Identity
	if m.Identity != nil {
		id = m.Identity
	}
	if e.SignMessage {
		sig, err := p.sign(id, raw)
		if err != nil {
			return nil, err
		}
		h.Set("Mdm-Signature", sig)
	}
	for field, values := range m.Header {
		h[http.CanonicalHeaderKey(field)] = values
	}
	return h, nil
}
