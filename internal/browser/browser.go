// Package browser opens our pages in Chromium, as an iPhone shows them, in
// tests: what a person sees is judged by a browser and by axe-core, not by
// ourselves.
//
// Start at [Start] and [Page.Sound].
package browser

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/signet-mdm/signet/internal/judge"
)

// program is what Debian calls it.
const program = "chromium"

// patience bounds every wait.
const patience = 2 * time.Minute

// Browser is a running Chromium.
type Browser struct{ ctx context.Context }

// Start starts one for the test, which is skipped where there is none.
func Start(t testing.TB) *Browser {
	t.Helper()
	judge.Need(t, program)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.WSURLReadTimeout(patience),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, quit := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("ending %s: %v", program, err)
		}
		quit()
		stop()
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return &Browser{ctx}
}

// Look is how a page is looked at.
type Look struct {
	Dark, NoScript, Still bool   // Still: less motion is wanted
	Agent                 string // the User-Agent; "" for Safari on an iPhone
	Wide                  bool   // a computer's window
}

// Safari is the User-Agent of an iPhone.
const Safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.2 Mobile/15E148 Safari/604.1"

// Page is a window with cookies of its own.
type Page struct {
	t   testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string // that the browser complained of
	loaded   []string // addresses
	asked    map[network.RequestID]bool
	bytes    int64 // of the page, with what it loads to be shown
}

// Page opens a window.
func (b *Browser) Page(t testing.TB, look Look) *Page {
	t.Helper()
	id, err := b.window()
	if err != nil {
		t.Fatalf("opening a window: %v", err)
	}
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	t.Cleanup(stop)
	p := &Page{t: t, ctx: ctx, asked: map[network.RequestID]bool{}}
	chromedp.ListenTarget(ctx, p.hear)
	scheme, motion := "light", "no-preference"
	if look.Dark {
		scheme = "dark"
	}
	if look.Still {
		motion = "reduce"
	}
	agent, width, height, scale := look.Agent, int64(390), int64(844), 2.0
	if agent == "" {
		agent = Safari
	}
	if look.Wide {
		width, height, scale = 1280, 800, 1
	}
	p.run(log.Enable(), network.Enable(),
		emulation.SetUserAgentOverride(agent),
		emulation.SetDeviceMetricsOverride(width, height, scale, !look.Wide),
		emulation.SetTouchEmulationEnabled(!look.Wide),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}}),
		emulation.SetScriptExecutionDisabled(look.NoScript))
	return p
}

// window opens one with cookies of its own.
//
// Quirk: Chromium without a screen opens no tab in a new context, but a window.
func (b *Browser) window() (id target.ID, err error) {
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	ctx = cdp.WithExecutor(ctx, chromedp.FromContext(b.ctx).Browser)
	own, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(ctx)
	if err != nil {
		return "", err
	}
	return target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(ctx)
}

// hear notes what the browser complains of and what it loads.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			p.problems = append(p.problems, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.problems = append(p.problems, e.ExceptionDetails.Error())
	case *runtime.EventConsoleAPICalled:
		p.problems = append(p.problems, "console: "+string(e.Type))
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument {
			p.loaded, p.bytes, p.asked = nil, 0, map[network.RequestID]bool{}
		}
		p.loaded = append(p.loaded, e.Request.URL)
		p.asked[e.RequestID] = e.Type != network.ResourceTypeFetch && e.Type != network.ResourceTypeEventSource
	case *network.EventDataReceived:
		if p.asked[e.RequestID] {
			p.bytes += e.DataLength
		}
	}
}

func (p *Page) run(actions ...chromedp.Action) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Page) try(actions ...chromedp.Action) error {
	done := make(chan error, 1)
	go func() { done <- chromedp.Run(p.ctx, actions...) }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return context.DeadlineExceeded
	}
}

// Open goes to an address, and waits for the page.
func (p *Page) Open(address string) {
	p.t.Helper()
	p.run(chromedp.Navigate(address))
}

// Eval gives the value of an expression in the page.
func Eval[T any](p *Page, expression string) (v T) {
	p.t.Helper()
	p.run(chromedp.Evaluate(expression, &v, awaited))
	return v
}

// awaited waits for what is promised.
func awaited(e *runtime.EvaluateParams) *runtime.EvaluateParams { return e.WithAwaitPromise(true) }

// Until waits for an expression to become true, while pages may change.
func (p *Page) Until(expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(30 * time.Millisecond) {
		var yes bool
		if err := p.try(chromedp.Evaluate("Boolean("+expression+")", &yes)); err == nil && yes {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s never became true on this page:\n%s", expression, p.Text())
		}
	}
}

// Press clicks what is found by a CSS selector.
func (p *Page) Press(selector string) {
	p.t.Helper()
	p.run(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// Type writes into a field.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	p.run(chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// Choose gives files to a field for files.
func (p *Page) Choose(selector string, files ...string) {
	p.t.Helper()
	p.run(chromedp.SetUploadFiles(selector, files, chromedp.ByQuery))
}

// Text gives the words on the page.
func (p *Page) Text() string { return Eval[string](p, "document.body.innerText") }

// Address is where the window is.
func (p *Page) Address() string { return Eval[string](p, "location.href") }

// Cookies gives the window's cookies for an address, as a Cookie header.
func (p *Page) Cookies(address string) string {
	p.t.Helper()
	var list []string
	p.run(chromedp.ActionFunc(func(ctx context.Context) error {
		cookies, err := network.GetCookies().WithURLs([]string{address}).Do(ctx)
		for _, c := range cookies {
			list = append(list, c.Name+"="+c.Value)
		}
		return err
	}))
	return strings.Join(list, "; ")
}

// Settle ends all animations, so that pictures and colours are those that stay.
func (p *Page) Settle() {
	p.t.Helper()
	Eval[bool](p, "document.getAnimations().forEach((a) => a.cancel()), true")
}

// Shot keeps a picture of the whole page among the test's artifacts: in the
// folder named by SIGNET_TEST_SHOTS, or where go test -artifacts puts them.
func (p *Page) Shot(name string) {
	p.t.Helper()
	dir := os.Getenv("SIGNET_TEST_SHOTS")
	if dir == "" {
		dir = p.t.(interface{ ArtifactDir() string }).ArtifactDir()
	}
	var png []byte
	p.run(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithFromSurface(true).Do(ctx)
		return err
	}))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
