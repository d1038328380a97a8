package storetest

import "testing"

func testSCEP(t *testing.T, open Open) {}
