package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/net/html"

	"github.com/signet-mdm/signet/internal/browser"
	"github.com/signet-mdm/signet/mdm/profile"
)

// windows are the browser windows of one script, by name, with the browser
// that they are of.
type windows struct {
	browser *browser.Browser
	open    map[string]*browser.Page
}

type windowsKey struct{}

// browserVerb opens pages in Chromium as an iPhone would:
// `browser NAME new [dark] [noscript] [computer]`, then `browser NAME DO …`
// with
//
//	open ADDRESS         go there
//	type SELECTOR TEXT   fill in a field
//	choose SELECTOR F…   give files to a field
//	press SELECTOR       click
//	sees TEXT            wait until the page says so, by itself
//	lacks TEXT           it does not say so
//	at PATH              wait until the window is there, by itself
//	sound NAME           axe-core and the browser find nothing; keep a picture
//	complains TEXT       the browser said that, once, since the last sound
//	profile FILE         fetch the enrollment profile, as Get profile does
func browserVerb(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: browser NAME DO …")
	}
	all := ts.Value(windowsKey{}).(*windows)
	name, do, rest := args[0], args[1], append(args[2:], "", "")
	if do == "new" {
		all.start(ts, name, args[2:])
		return
	}
	w := all.open[name]
	if w == nil {
		ts.Fatalf("there is no window %s", name)
	}
	switch do {
	case "open":
		w.Open(address(ts, rest[0]))
	case "type":
		w.Type(rest[0], rest[1])
	case "choose":
		var files []string
		for _, f := range args[3:] {
			files = append(files, ts.MkAbs(f))
		}
		w.Choose(rest[0], files...)
	case "press":
		w.Press(rest[0])
	case "sees":
		w.Until("document.body.innerText.includes(" + strconv.Quote(rest[0]) + ")")
	case "lacks":
		if strings.Contains(w.Text(), rest[0]) {
			ts.Fatalf("the page says %q:\n%s", rest[0], w.Text())
		}
	case "at":
		w.Until("location.pathname === " + strconv.Quote(rest[0]))
	case "sound":
		w.Sound(rest[0])
		w.Shot(rest[0])
	case "complains":
		if all := w.Complaints(); len(all) != 1 || !strings.Contains(all[0], rest[0]) {
			ts.Fatalf("the browser says %q", all)
		}
	case "profile":
		ts.Check(fetchProfile(ts, w, ts.MkAbs(rest[0])))
	default:
		ts.Fatalf("a browser cannot %s", do)
	}
}

func (all *windows) start(ts *testscript.TestScript, name string, options []string) {
	t := ts.Value(testKey{}).(testing.TB)
	if all.browser == nil {
		all.browser, all.open = browser.Start(t), map[string]*browser.Page{}
	}
	has := func(o string) bool { return slices.Contains(options, o) }
	look := browser.Look{Dark: has("dark"), NoScript: has("noscript"), Wide: has("computer")}
	if look.Wide {
		look.Agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
	}
	all.open[name] = all.browser.Page(t, look)
}

// fetchProfile gets what Get profile leads to, with the window's session.
func fetchProfile(ts *testscript.TestScript, w *browser.Page, file string) error {
	at := address(ts, "/enroll/profile")
	req, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", w.Cookies(at))
	resp, err := insecure().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the profile: %s", resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

// browse prints the words of a page, as the phone's Safari shows it:
// `phone a browse /me`
func browse(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	body, at, err := p.Browse(ctx, address(ts, args[0]))
	if err != nil {
		return err
	}
	fmt.Fprintf(ts.Stdout(), "%s\n%s\n", at, strings.Join(words(body, ""), "\n"))
	return nil
}

// press presses a button of a page: `phone a press /me/devices/ID/lost 'Remove it now'`
func press(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	body, err := p.Press(ctx, address(ts, args[0]), args[1])
	fmt.Fprintln(ts.Stdout(), strings.Join(words(body, ""), "\n"))
	return err
}

// privacy compares what a page tells of the access rights with those that the
// phone's enrollment really has: `phone a privacy /me/privacy`
func privacy(ctx context.Context, ts *testscript.TestScript, p *handset, args []string) error {
	e, ok := p.Enrollment()
	if !ok {
		return fmt.Errorf("it is not enrolled")
	}
	body, _, err := p.Browse(ctx, address(ts, args[0]))
	if err != nil {
		return err
	}
	can, cannot := profile.AccessRights(e.AccessRights).Words()
	for id, want := range map[string][]string{"can": can, "cannot": cannot} {
		if got := words(body, id); !slices.Equal(got, want) {
			return fmt.Errorf("under %q: got %q, the profile has %d: %q", id, got, e.AccessRights, want)
		}
	}
	return nil
}

// words gives the texts of a page in order; with an id, those of the list items
// in the section that this element names.
func words(page []byte, section string) (list []string) {
	root, err := html.Parse(strings.NewReader(string(page)))
	if err != nil {
		return []string{err.Error()}
	}
	if section == "" {
		for n := range root.Descendants() {
			if s := strings.TrimSpace(n.Data); n.Type == html.TextNode && s != "" {
				list = append(list, s)
			}
		}
		return list
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || !slices.Contains(n.Attr, html.Attribute{Key: "aria-labelledby", Val: section}) {
			continue
		}
		for item := range n.Descendants() {
			if item.Data == "li" {
				list = append(list, strings.Join(textsBelow(item), " "))
			}
		}
	}
	return list
}

func textsBelow(n *html.Node) (list []string) {
	for d := range n.Descendants() {
		if s := strings.TrimSpace(d.Data); d.Type == html.TextNode && s != "" {
			list = append(list, s)
		}
	}
	return list
}
