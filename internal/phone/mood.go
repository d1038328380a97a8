package phone

// Mood is how a phone can be told to misbehave.
type Mood struct {
	Offline     bool // no request leaves the phone
	Locked      bool // the passcode was not entered lately: NotNow to what needs it
	FirstLocked bool // not unlocked since it was switched on: NotNow to CertificateList too
	Full        bool // no room for profiles and apps
	RefusesApps bool // the user taps Cancel when an app asks

	// LoseReply breaks the next that many connections after a command was
	// carried out and before its result is sent.
	LoseReply int
	// LoseAnswer loses the next that many answers: the server has received
	// the result, the phone does not know.
	LoseAnswer int
}

// Behave sets the phone's mood; the zero Mood is a well-behaved phone.
func (p *Phone) Behave(m Mood) {
	p.mu.Lock()
	p.mood = m
	p.mu.Unlock()
}

func (p *Phone) feels() Mood {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mood
}

// loses reports whether this message gets lost, and counts it.
func (p *Phone) loses(left func(*Mood) *int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := left(&p.mood)
	if *n == 0 {
		return false
	}
	*n--
	return true
}
