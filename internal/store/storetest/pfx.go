package storetest

import "testing"

func testPFX(t *testing.T, open Open) {}
