package profile_test

import (
	"slices"
	"testing"

	"github.com/signet-mdm/signet/mdm/profile"
)

// Every right that Apple knows has words of its own, which stand among what the
// organisation can do exactly when the profile has the right.
func TestWordsOfEveryRight(t *testing.T) {
	nothing, never := profile.AccessRights(0).Words()
	if len(nothing) != 0 || len(never) == 0 {
		t.Fatalf("without rights: got %q and %q", nothing, never)
	}
	said := map[string]bool{}
	for bit := profile.AccessRights(1); bit <= 4096; bit <<= 1 {
		can, cannot := bit.Words()
		if len(can) != 1 || said[can[0]] {
			t.Fatalf("right %d: got %q, want one sentence of its own", bit, can)
		}
		said[can[0]] = true
		_, others := (8191 &^ bit).Words()
		for _, c := range others {
			if !slices.Contains(never, c) {
				t.Errorf("without right %d alone: %q is no promise of a profile without rights", bit, c)
			}
		}
		with, _ := (profile.CertificateDelivery | bit).Words()
		without, _ := (profile.CertificateDelivery &^ bit).Words()
		if !slices.Contains(with, can[0]) || slices.Contains(without, can[0]) {
			t.Errorf("right %d: %q is claimed wrongly", bit, can[0])
		}
		if len(cannot) < 4 {
			t.Errorf("right %d: got %q", bit, cannot)
		}
	}
	all, left := profile.AccessRights(8191).Words()
	if len(all) != 13 || len(left) != 4 {
		t.Errorf("all rights: got %q and %q", all, left)
	}
	defer func() {
		if recover() == nil {
			t.Error("a right that nobody knows has words")
		}
	}()
	profile.AccessRights(8192).Words()
}

func TestWordsOfOurRights(t *testing.T) {
	can, cannot := profile.CertificateDelivery.Words()
	for _, c := range []string{"erase it", "lock it or remove its passcode", "see where you are", "see its phone number, SIM or network addresses"} {
		if !slices.Contains(cannot, c) {
			t.Errorf("%q is not among %q", c, cannot)
		}
	}
	if !slices.Contains(can, "see the names of the apps on it") {
		t.Errorf("got %q", can)
	}
}
