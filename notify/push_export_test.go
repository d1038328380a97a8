package notify

import "time"

// After is what follows from an answer.
func (w Wish) After(a Answer, now time.Time) Result { return w.after(a, now) }

// Settling is how old a wish must be.
const Settling = settling

// ReadCertificate and ReadKey are what Import does with what it is given.
var (
	ReadCertificate  = parseCertificate
	JudgeCertificate = judge
	ReadKey          = parseKey
)
