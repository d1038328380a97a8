package scep

// Log keys as internal/logx spells them; a test compares.
const (
	keyCert    = "cert"
	keyCode    = "code"
	keyDevice  = "device"
	keyErr     = "err"
	keyKind    = "kind"
	keyProfile = "profile"
	keyRemote  = "remote"
	keySerial  = "serial"
	keyUser    = "user"
)
