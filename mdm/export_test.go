package mdm

import "time"

// ParseMessage opens the check-in parser to fuzzing.
func ParseMessage(body []byte) error {
	_, err := parseMessage(body)
	return err
}

// ParseReport opens the report parser to fuzzing: what it says of a command of
// that kind.
func ParseReport(body []byte, kind string) (Outcome, error) {
	r, err := parseReport(body)
	if err != nil {
		return Outcome{}, err
	}
	return r.outcome(Command{RequestType: kind, Fields: map[string]any{"Identifiers": []any{"com.example"}}}, time.Time{}), nil
}
