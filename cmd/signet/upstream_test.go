package main

import (
	"crypto/x509"
	"testing"
	"time"
)

// A registration certificate that never lasts a month is not due from its first
// moment on.
func TestNoticeOf(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	for life, want := range map[time.Duration]time.Duration{730 * day: 30 * day, 90 * day: 30 * day, 9 * day: 3 * day, time.Hour: 20 * time.Minute} {
		if got := noticeOf(&x509.Certificate{NotBefore: now, NotAfter: now.Add(life)}); got != want {
			t.Errorf("of a certificate for %v: %v, want %v", life, got, want)
		}
	}
}
