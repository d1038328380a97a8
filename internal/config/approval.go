package config

import "fmt"

// Approval is what takes several people.
type Approval struct {
	People int `toml:"people" default:"2" doc:"How many approvers, other than who asks, must agree before a user's key is exported or anything else is done that takes several people. At least 2; 1 only where enroll.auth is lab."`
}

// maxApprovers bounds what anybody could mean.
const maxApprovers = 20

// checkApproval keeps it at four eyes outside a laboratory.
func (c Config) checkApproval() []Problem {
	least := 2
	if c.Enroll.Auth == "lab" {
		least = 1
	}
	if n := c.Approval.People; n < least || n > maxApprovers {
		return []Problem{{"approval.people", fmt.Sprintf("%d people cannot be asked for.", n),
			fmt.Sprintf("Set 2 to %d; 1 only with enroll.auth = \"lab\".", maxApprovers)}}
	}
	return nil
}
