//go:build !linux

package doctor

import "context"

func synchronised(context.Context) Finding {
	return warn("This system does not say whether its clock is set.", "compare it with another one")
}
