package device

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// place is where a person reads the welcome page.
type place string

// The places. An iPad says that it is a Mac: the page lets its reader go on.
const (
	inSafari    place = "safari"   // on an iPhone or iPad: the one that installs profiles
	inAnother   place = "another"  // an app or another browser there
	onAComputer place = "computer" // or on something else
)

// others are what browsers and apps on iOS call themselves that are not Safari.
var others = []string{"CriOS", "FxiOS", "EdgiOS", "OPiOS", "OPT/", "OPX/", "GSA/", "DuckDuckGo", "YaBrowser", "Brave", "Ddg/",
	"FBAN", "FBAV", "Instagram", "Line/", "MicroMessenger", "Outlook", "Teams"}

// placeOf guesses by the User-Agent. It decides what is shown first, and
// nothing else.
func placeOf(agent string) place {
	if !strings.Contains(agent, "iPhone") && !strings.Contains(agent, "iPad") && !strings.Contains(agent, "iPod") {
		return onAComputer
	}
	for _, o := range others {
		if strings.Contains(agent, o) {
			return inAnother
		}
	}
	if strings.Contains(agent, "Version/") && strings.Contains(agent, "Safari/") {
		return inSafari
	}
	return inAnother // a page within an app
}

// quiet is the margin that readers of QR codes want, in modules.
const quiet = 4

// qrCode draws an address for a camera: black on white in the dark as well.
func qrCode(address string) (template.HTML, error) {
	c, err := qr.Encode(address, qr.M)
	if err != nil {
		return "", fmt.Errorf("drawing QR code: %w", err)
	}
	var path strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for c.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	size := c.Size + 2*quiet
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %[1]d %[1]d" role="img" aria-label="QR code of this page’s address">`+
		`<rect class="light" width="%[1]d" height="%[1]d"/><path class="dark" d="%[2]s"/></svg>`, size, path.String())), nil
}
