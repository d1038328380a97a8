package intune

import (
	"net/http"

	"github.com/signet-mdm/signet/internal/fault"
)

// Refusals is opened to the tests.
func Refusals() map[string]*fault.Error { return refusals }

// Hanging is a network that never answers.
type Hanging struct{}

// RoundTrip waits until the request ends.
func (Hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Hang gives the client such a network.
func Hang(c *Client) { c.http.Transport = Hanging{} }
