package keyring

import "github.com/signet-mdm/signet/pfxconnector/escrow"

// Sealing gives the escrow keys of the ring in dir that are not destroyed,
// without unlocking anything: one of them is sealed to.
func Sealing(dir string) (list []escrow.KeyID, err error) {
	keys, err := readList(dir)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.State != Destroyed {
			list = append(list, k.ID)
		}
	}
	return list, nil
}
