package doctor

import (
	"context"
	"syscall"
)

// unsynchronised is adjtimex's word for a clock that nobody sets.
const unsynchronised = 5

func synchronised(context.Context) Finding {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	switch {
	case err != nil:
		return warn("The system does not say whether its clock is set: "+told(err)+".", "timedatectl")
	case state == unsynchronised:
		return warn("Nothing keeps this clock right; certificates and codes are judged by it.", "timedatectl set-ntp true")
	}
	return ok("the system keeps its clock right")
}
