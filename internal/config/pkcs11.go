package config

// PKCS11 is a hardware security module or another PKCS#11 token. It needs a
// program that was built for it.
type PKCS11 struct {
	Module  string `toml:"module" doc:"The PKCS#11 library of the token with the CA keys, such as /usr/lib/softhsm/libsofthsm2.so. The program must be built with the tag pkcs11. Empty: there is no token."`
	Token   string `toml:"token" doc:"Label of the token."`
	Serial  string `toml:"serial" doc:"Serial number of the token, in place of its label."`
	PINFile string `toml:"pin_file" doc:"File with the user PIN of the token. Empty: the systemd credential signet-pkcs11-pin."`
}

func (c Config) checkPKCS11() (list []Problem) {
	p := c.PKCS11
	if p.Module == "" {
		if c.CA.KeyStore == "pkcs11" {
			list = append(list, Problem{"pkcs11.module", "There is no token for the keys of the CAs.", "Give the path of its PKCS#11 library."})
		} else if c.Keys.EscrowIn == "pkcs11" {
			list = append(list, Problem{"pkcs11.module", "There is no token for the escrow keys.", "Give the path of its PKCS#11 library."})
		}
		return list
	}
	if (p.Token == "") == (p.Serial == "") {
		list = append(list, Problem{"pkcs11.token", "A token has to be named by its label or its serial number.", "Set one of pkcs11.token and pkcs11.serial."})
	}
	return list
}
