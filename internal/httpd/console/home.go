package console

// home is where one lands.
func (v visit) home() error {
	return v.page("home", "Console", "", v.menu("").Entries[1:])
}
