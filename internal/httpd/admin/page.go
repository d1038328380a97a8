package admin

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/signet-mdm/signet/internal/fault"
)

// ErrCursor is returned for a place in a list that no answer of ours gave.
var ErrCursor = fault.New(fault.Invalid, "cursor_invalid",
	"The list does not go on from there.", "Give as after what next was in the answer before, as it was.")

// Part is the parameters of a list, which say what part of it is wanted. What was added since the first part does
// not move the others, because a part begins after a thing, not at a number.
type Part struct {
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"500" doc:"How many at most"`
	After string `query:"after" maxLength:"1000" doc:"What next was in the part before; left out for the first"`
}

// list is the body of every list.
type list[T any] struct {
	Items []T    `json:"items" nullable:"false" doc:"In a stable order"`
	Next  string `json:"next,omitempty" doc:"Give it as after to get what follows; left out at the end"`
}

// partOf is the body that shows a part of a list, of which one more than the
// limit was asked for; mark gives the place after a thing.
func partOf[A, B any](all []A, limit int, show func(A) B, mark func(A) string) *body[list[B]] {
	out := &body[list[B]]{list[B]{Items: []B{}}}
	for i, a := range all {
		if i == limit {
			out.Body.Next = mark(all[i-1])
			break
		}
		out.Body.Items = append(out.Body.Items, show(a))
	}
	return out
}

// listOf is the body of a list that is short by nature.
func listOf[A, B any](all []A, show func(A) B) *body[list[B]] {
	return partOf(all, len(all), show, nil)
}

// place writes a place in a list that is ordered by time and id.
func place(at time.Time, id string) string {
	return placeText(strconv.FormatInt(at.UnixMicro(), 36) + "." + id)
}

// placeText writes a place in a list that is ordered by a text.
func placeText(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// text reads what placeText wrote; empty for the first part.
func (p Part) text() (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(p.After)
	if err != nil {
		return "", ErrCursor
	}
	return string(b), nil
}

// position reads what place wrote; zero for the first part.
func (p Part) position() (at time.Time, id string, err error) {
	text, err := p.text()
	if err != nil || text == "" {
		return at, "", err
	}
	micros, id, ok := strings.Cut(text, ".")
	n, err := strconv.ParseInt(micros, 36, 64)
	if err != nil || !ok || n <= 0 {
		return at, "", ErrCursor
	}
	return time.UnixMicro(n), id, nil
}
