package landing_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-mdm/signet/internal/browser"
	"github.com/signet-mdm/signet/internal/cert"
	"github.com/signet-mdm/signet/internal/delivery"
	"github.com/signet-mdm/signet/internal/subject"
)

// setUp is a device as it is in the middle of a delivery.
func setUp() delivery.Progress {
	p := working
	p.Hint, p.Installed, p.Device.Name = "", 2, "Alice’s iPhone"
	p.Lines = []delivery.Line{
		{Words: "Trust in your organisation's certificates", State: delivery.Installed},
		{Words: "Your mail account", State: delivery.Sent},
		{Words: "To sign your mail", State: delivery.Installed, Certificate: true, Cert: cert.Fingerprint{1}, From: noon, Until: noon.AddDate(1, 0, 0)},
		{Words: "To read mail since 2024", State: delivery.Installed, Certificate: true, Cert: cert.Fingerprint{2}, From: noon.AddDate(-2, 0, 0), Until: noon.AddDate(1, 0, 0)},
		{Words: "To read older mail (2022–2024)", State: delivery.Installed, Certificate: true, Cert: cert.Fingerprint{3}, From: noon.AddDate(-4, 0, 0), Until: noon.AddDate(-2, 0, 0)},
		{Words: "To read older mail (2019–2021)", State: delivery.Sent, Certificate: true, Cert: cert.Fingerprint{4}, From: noon.AddDate(-7, 0, 0), Until: noon.AddDate(-5, 0, 0)},
		{Words: "To read older mail (2015–2018)", State: delivery.Queued, Certificate: true, Cert: cert.Fingerprint{5}, From: noon.AddDate(-11, 0, 0), Until: noon.AddDate(-8, 0, 0)},
	}
	return p
}

// finished is the same when everything is there.
func finished() delivery.Progress {
	p := setUp()
	for i := range p.Lines {
		p.Lines[i].State = delivery.Installed
	}
	p.Installed = len(p.Lines)
	return p
}

// changing is what deliveries say while it changes.
type changing struct {
	mu sync.Mutex
	told
}

func (c *changing) Users(ctx context.Context, ids []subject.UserID) (map[subject.UserID][]delivery.Progress, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return map[subject.UserID][]delivery.Progress{ids[0]: c.told[ids[0]]}, nil
}

func (c *changing) set(p ...delivery.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told["u-1"] = p
}

// follows signs a window in by a link.
func (v visit) follows(p *browser.Page) {
	v.t.Helper()
	p.Open(v.url + link(v.t, v.sessions, "u-1"))
	p.Press("button[type=submit]")
	p.Until(`location.pathname === "/me"`)
}

// run keeps open pages up to date until the test ends.
func (v visit) run() {
	var done sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	done.Go(func() {
		for ctx.Err() == nil {
			v.live.Step(ctx)
			time.Sleep(20 * time.Millisecond)
		}
	})
	v.t.Cleanup(func() { stop(); v.live.Close(); done.Wait() })
}

func TestInABrowser(t *testing.T) {
	b := browser.Start(t)
	for name, test := range map[string]func(*testing.T, *browser.Browser){
		"pages": testPages, "by itself": testAdvances, "hint": testHint, "names": testHostileNames,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// injected is what a hole in a page would let in.
const injected = `(() => {
  const s = document.createElement("script");
  s.textContent = "document.title = 'ran'";
  document.head.append(s);
  document.body.insertAdjacentHTML("beforeend", "<img src='data:,' onerror='document.title = \"ran\"'>");
  return new Promise((done) => setTimeout(() => done(document.title), 50));
})()`

// Every page, light and dark: axe-core and the browser find nothing.
func testPages(t *testing.T, b *browser.Browser) {
	way := setUp()
	way.Device.ID = "d-6"
	v := newVisit(t, told{"u-1": {working, done, way, finished()}})
	finishedPath := "/me/devices/d-1" // is the first of that id
	for name, look := range map[string]browser.Look{"light": {}, "dark": {Dark: true, Still: true}} {
		p := b.Page(t, look)
		p.Open(v.url + link(t, v.sessions, "u-1"))
		p.Sound("link " + name)
		p.Shot("link-" + name)
		p.Press("button[type=submit]")
		p.Until(`location.pathname === "/me"`)
		for page, path := range map[string]string{
			"home": "/me", "needs": finishedPath, "ready": "/me/devices/d-2", "progress": "/me/devices/d-6",
			"lost": "/me/devices/d-2/lost", "privacy": "/me/privacy",
		} {
			p.Open(v.url + path)
			p.Sound(page + " " + name)
			p.Shot(page + "-" + name)
		}
		if browser.Eval[string](p, injected) == "ran" || len(p.Complaints()) != 2 {
			t.Error("what was injected into the page ran")
		}
		p.Open(v.url + "/me/devices/none")
		if list := p.Complaints(); len(list) != 1 || !strings.Contains(list[0], "404") {
			t.Errorf("a page that is not there: the browser says %q", list)
		}
		p.Sound("error " + name)
		p.Shot("error-" + name)
	}
}

// The page fills up by itself, with and without a script, and stops when there
// is nothing more to come.
func testAdvances(t *testing.T, b *browser.Browser) {
	for name, look := range map[string]browser.Look{"with script": {}, "without": {NoScript: true}} {
		c := &changing{told: told{}}
		c.set(setUp())
		v := newVisit(t, c)
		v.run()
		p := b.Page(t, look)
		v.follows(p)
		p.Open(v.url + "/me/devices/d-1")
		p.Until(`document.body.innerText.includes("3 of 5 certificates are on this iPhone.")`)
		if !look.NoScript {
			browser.Eval[bool](p, `document.querySelector(".button").focus(), window.mine = true`)
		}
		c.set(finished())
		p.Until(`document.body.innerText.includes("All 5 certificates are on this iPhone.")`)
		p.Until(`document.querySelector("h1").innerText === "Your iPhone is ready"`)
		if look.NoScript {
			if browser.Eval[bool](p, `document.querySelector("noscript meta") !== null`) {
				t.Errorf("%s: the page goes on asking", name)
			}
			continue
		}
		if !browser.Eval[bool](p, `window.mine && document.activeElement.className.includes("button") && !document.querySelector("main").hasAttribute("data-live")`) {
			t.Errorf("%s: the page was loaded anew, or lost its focus, or goes on listening", name)
		}
		p.Sound("after the change")
	}
}

// A silent phone asks for its user, on its own.
func testHint(t *testing.T, b *browser.Browser) {
	c := &changing{told: told{}}
	c.set(setUp())
	v := newVisit(t, c)
	v.run()
	p := b.Page(t, browser.Look{})
	v.follows(p)
	silent := setUp()
	silent.Hint = "Unlock your iPhone."
	c.set(silent)
	p.Until(`document.querySelector("[role=status]").innerText.includes("Unlock your iPhone.")`)
}

// Names out of a nightmare change nothing but letters.
func testHostileNames(t *testing.T, b *browser.Browser) {
	var list []delivery.Progress
	names := map[string]string{
		"markup":  `"><script>document.title="ran"</script><img src=x onerror=document.title='ran'>`,
		"rtl":     "Alice \u202e\u2066gnp.exe\u200f أليس",
		"emoji":   "👩‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿 iPhone",
		"nul":     "Alice\x00\x1b[31m\r\nSet-Cookie: a=b",
		"long":    strings.Repeat("Ünïcödé", 9000)[:64<<10],
		"formula": `=cmd|'/c calc'!A0 {{.ID}} ${7*7} javascript:alert(1)`,
	}
	for kind, name := range names {
		nasty := setUp()
		nasty.Device.ID, nasty.Device.Name, nasty.Hint, nasty.Notes = subject.DeviceID(kind), name, name, []string{name}
		if kind == "long" {
			nasty.Hint, nasty.Notes = "", nil // as long a name once is enough
		} else {
			nasty.Device.OSVersion = name
			for i := range nasty.Lines {
				nasty.Lines[i].Words, nasty.Lines[i].Reason = name, name
			}
		}
		list = append(list, nasty)
	}
	v := newVisit(t, told{"u-1": list})
	p := b.Page(t, browser.Look{})
	v.follows(p)
	inert := func(path string) {
		t.Helper()
		p.Open(v.url + path)
		if n := browser.Eval[int](p, `document.scripts.length + document.images.length + 100 * (document.title === "ran")
			+ 1000 * (document.documentElement.scrollWidth > innerWidth)`); n != 1 {
			t.Errorf("%s: got %d, want our one script, nothing run and nothing too wide", path, n)
		}
	}
	inert("/me")
	for kind := range names {
		inert("/me/devices/" + kind)
		inert("/me/devices/" + kind + "/lost")
	}
	inert("/me/devices/rtl")
	p.Sound("names")
	p.Shot("names")
}
