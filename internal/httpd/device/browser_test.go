package device_test

import (
	"testing"

	"github.com/signet-mdm/signet/internal/httpd/device"
)

func TestPlaceOf(t *testing.T) {
	const ios = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
	for agent, want := range map[string]string{
		ios + "Version/18.2 Mobile/15E148 Safari/604.1": "safari",
		"Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1": "safari",
		ios + "CriOS/131.0.6778.103 Mobile/15E148 Safari/604.1":                                                                          "another",
		ios + "FxiOS/133.0 Mobile/15E148 Safari/605.1.15":                                                                                "another",
		ios + "Version/18.0 EdgiOS/131.0 Mobile/15E148 Safari/604.1":                                                                     "another",
		ios + "Mobile/15E148":                         "another",
		ios + "Mobile/15E148 [FBAN/FBIOS;FBAV/490.0]": "another",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Safari/605.1.15": "computer",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36":       "computer",
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36": "computer",
		"": "computer",
	} {
		if got := device.PlaceOf(agent); string(got) != want {
			t.Errorf("%q: got %s, want %s", agent, got, want)
		}
	}
}
