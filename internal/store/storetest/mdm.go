package storetest

import "testing"

func testMDM(t *testing.T, open Open) {}
