package notify

// Letter opens the writing of letters to tests.
func (o *Outbox) Letter(d Due) (Letter, string) { return o.letter(d) }

// Clean opens it to tests.
var Clean = clean
