package storetest

import "testing"

func testDelivery(t *testing.T, open Open) {}
