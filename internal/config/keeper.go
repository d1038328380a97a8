package config

import (
	"slices"
	"strings"
)

// Keeper is the way to the role that has the keys, when it is a process of its
// own.
type Keeper struct {
	Listen  string `toml:"listen" doc:"Where the keeper listens for the other roles: unix:/path/of/socket on one machine, or host:port, which takes keeper.cert, keeper.key and keeper.ca. Empty while all roles are one process."`
	Address string `toml:"address" doc:"Where the other roles find the keeper: unix:/path/of/socket or https://host:port."`
	Cert    string `toml:"cert" doc:"PEM file of the certificate by which this process proves itself to the other side."`
	Key     string `toml:"key" doc:"PEM file of the private key of keeper.cert."`
	CA      string `toml:"ca" doc:"PEM file of the CA that certifies the other side. It must certify nothing else: whoever it certifies is listened to."`
}

// The roles.
const (
	FrontRole  = "front"
	WorkerRole = "worker"
	AdminRole  = "admin"
	KeeperRole = "keeper"
)

var allRoles = []string{FrontRole, WorkerRole, AdminRole, KeeperRole}

// Plays tells whether this process has the role.
func (c Config) Plays(role string) bool { return slices.Contains(c.roles(), role) }

// Whole tells whether this process has every role.
func (c Config) Whole() bool {
	return !slices.ContainsFunc(allRoles, func(r string) bool { return !c.Plays(r) })
}

func (c Config) roles() []string {
	return strings.FieldsFunc(c.Roles, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c Config) checkKeeper() (list []Problem) {
	for _, r := range c.roles() {
		if !slices.Contains(allRoles, r) {
			return []Problem{{"roles", "There is no role " + r + ".", "The roles are " + strings.Join(allRoles, ", ") + "."}}
		}
	}
	if len(c.roles()) == 0 {
		return []Problem{{"roles", "This process has nothing to do.", "The roles are " + strings.Join(allRoles, ", ") + "."}}
	}
	if !c.Whole() && c.Database.DSNFile == "" {
		list = append(list, Problem{"roles", "Several processes cannot share SQLite.", "Set database.dsn_file, or let one process have all roles."})
	}
	if keeps := c.Plays(KeeperRole); !keeps && c.Keeper.Address == "" {
		list = append(list, Problem{"keeper.address", "This process has not the role keeper, and does not know where it is.", "Set it to what keeper.listen is there."})
	} else if keeps && !c.Whole() && c.Keeper.Listen == "" {
		list = append(list, Problem{"keeper.listen", "The other roles have no way to this keeper.", "Give unix:/path/of/socket, or host:port with keeper.cert, keeper.key and keeper.ca."})
	}
	return append(list, c.checkKeeperWay()...)
}

// checkKeeperWay wants both sides to prove themselves wherever it is not a
// socket.
func (c Config) checkKeeperWay() (list []Problem) {
	proof := c.Keeper.Cert != "" && c.Keeper.Key != "" && c.Keeper.CA != ""
	for key, at := range map[string]string{"keeper.listen": c.Keeper.Listen, "keeper.address": c.Keeper.Address} {
		address, https := strings.CutPrefix(at, "https://")
		switch {
		case at == "" || strings.HasPrefix(at, "unix:/"):
		case https != (key == "keeper.address") || !listenable(address):
			list = append(list, Problem{key, "This is no address for a keeper.", "Give unix:/path/of/socket; or host:port for keeper.listen, https://host:port for keeper.address."})
		case !proof:
			list = append(list, Problem{key, "Over the network both sides must prove themselves.", "Set keeper.cert, keeper.key and keeper.ca."})
		}
	}
	return list
}
