package storetest

import "testing"

func testAccess(t *testing.T, open Open) {}
