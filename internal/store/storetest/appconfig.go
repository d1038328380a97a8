package storetest

import "testing"

func testAppConfig(t *testing.T, open Open) {}
