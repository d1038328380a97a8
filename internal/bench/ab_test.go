package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAB alternates binaries named in AB (space separated).
func BenchmarkAB(b *testing.B) {
	keys := siblings(b)
	key := keys.Next()
	n, _ := strconv.Atoi(os.Getenv("AB_STORED"))
	per, _ := strconv.Atoi(os.Getenv("AB_ROUNDS"))
	prof := os.Getenv("PROF") != ""
	bins := strings.Fields(os.Getenv("AB"))
	var list []*stocked
	for i, bin := range bins {
		if prof {
			os.Setenv("PROF", fmt.Sprintf("/tmp/speed/ab%d.prof", i))
		}
		binary = func() (string, error) { return bin, nil }
		list = append(list, stock(b, keys, n))
	}
	var rsaTook []time.Duration
	for b.Loop() {
		for range per {
			rsaTook = append(rsaTook, rsaOperation(b, key))
			for _, s := range list {
				if !prof {
					s.round(b)
					continue
				}
				m := s.messages(b, 1500)
				s.run.Process.Signal(syscall.SIGUSR1)
				time.Sleep(100 * time.Millisecond)
				before := cpu(b, s.run.Process.Pid)
				s.enroll(b, m)
				s.took = append(s.took, (cpu(b, s.run.Process.Pid)-before)/1500)
				s.run.Process.Signal(syscall.SIGUSR2)
				time.Sleep(300 * time.Millisecond)
			}
		}
	}
	one := ms(median(rsaTook))
	for i, s := range list {
		b.Logf("%s: %.3f ms, %.3f RSA (%.3f ms), vs first %.3f, rss %.0f MB; %v", bins[i], ms(median(s.took)), ms(median(s.took))/one, one, ms(median(s.took))/ms(median(list[0].took)), rss(b, s.run.Process.Pid), s.took)
	}
}
