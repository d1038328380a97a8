package profile

import "fmt"

// right is one bit of [AccessRights] in the words of the device's owner.
type right struct {
	bit  AccessRights
	can  string // "Your organisation can …"
	cant string // "… cannot"; "" when nobody would fear it
}

// rights has every bit there is.
//
// Spec: Apple, com.apple.mdm AccessRights
var rights = []right{
	{16, "see the device’s name, model, serial number and iOS version", "see the device’s name and model"},
	{1, "see which profiles and certificates it has installed", ""},
	{2, "install and remove mail certificates and settings", "install settings or certificates"},
	{256, "see the names of the apps on it", "see which apps you have"},
	{4096, "offer you apps for work, and set those up", "install apps"},
	{2048, "change a few settings, such as data roaming", "change its settings"},
	{1024, "see whether it is encrypted and has a passcode", "see whether it has a passcode"},
	{64, "see which provisioning profiles for in-house apps it has", ""},
	{128, "install and remove provisioning profiles for in-house apps", ""},
	{512, "see which restrictions are set", ""},
	{32, "see its phone number, SIM and network addresses", "see its phone number, SIM or network addresses"},
	{4, "lock it, and remove its passcode", "lock it or remove its passcode"},
	{8, "erase it, with everything on it", "erase it"},
}

// beyond is what no access right gives.
var beyond = []string{
	"read your messages, private mail or notes",
	"see your photos, contacts or which pages you visit",
	"see where you are",
	"see your passcode or passwords",
}

// Words says what a server with these rights can do on a device, and what it
// cannot, for the device's owner. Both follow from the bits alone, so they are
// true of the profile that has them. It panics on a bit that no device knows.
func (a AccessRights) Words() (can, cannot []string) {
	for _, r := range rights {
		switch {
		case a&r.bit != 0:
			can = append(can, r.can)
		case r.cant != "":
			cannot = append(cannot, r.cant)
		}
		a &^= r.bit
	}
	if a != 0 {
		panic(fmt.Sprintf("profile: no words for access rights %d", int(a)))
	}
	return can, append(cannot, beyond...)
}
