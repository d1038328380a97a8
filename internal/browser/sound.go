package browser

import (
	_ "embed"
	"fmt"
	"net/url"
	"strings"

	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1; see axe/README.md.
//
//go:embed axe/axe.min.js
var axe string

// What a page must keep to.
const (
	maxBytes  = 60 << 10 // with all that it loads
	minText   = 17       // pixels
	minTarget = 44
)

// Sound fails the test when axe-core finds something on the page, when the
// browser complained, when something came from elsewhere or too much of it,
// when text is small, when a finger could miss, or when the page is wider than
// the window.
func (p *Page) Sound(name string) {
	p.t.Helper()
	p.Settle()
	for _, problem := range append(p.violations(), Eval[[]string](p, look)...) {
		p.t.Errorf("%s: %s", name, problem)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, problem := range p.problems {
		p.t.Errorf("%s: the browser says: %s", name, problem)
	}
	p.problems = nil
	if p.bytes > maxBytes {
		p.t.Errorf("%s: %d bytes were loaded", name, p.bytes)
	}
	for _, address := range p.loaded {
		if u, err := url.Parse(address); err != nil || u.Scheme != "data" && u.Hostname() != "127.0.0.1" {
			p.t.Errorf("%s: it loaded %s", name, address)
		}
	}
}

// Complaints gives what the browser complained of since the last time.
func (p *Page) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.problems
	p.problems = nil
	return list
}

// violations lets axe-core judge.
func (p *Page) violations() (list []string) {
	p.t.Helper()
	var found []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	p.run(chromedp.Evaluate(axe+"; true", nil),
		chromedp.Evaluate(`axe.run(document, {resultTypes: ["violations"]}).then((r) => r.violations)`, &found, awaited))
	for _, v := range found {
		var where []string
		for _, n := range v.Nodes {
			where = append(where, n.HTML+"\n"+n.FailureSummary)
		}
		list = append(list, fmt.Sprintf("axe: %s: %s\n%s", v.ID, v.Help, strings.Join(where, "\n")))
	}
	return list
}

// look measures what axe-core does not.
var look = fmt.Sprintf(`(() => {
  const found = [];
  const wide = document.documentElement.scrollWidth - window.innerWidth;
  if (wide > 0) found.push("the page is " + wide + " pixels too wide");
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = words.nextNode(); n; n = words.nextNode()) {
    const e = n.parentElement;
    if (!n.data.trim() || e.closest("svg, script, noscript") || !e.checkVisibility()) continue;
    const size = parseFloat(getComputedStyle(e).fontSize);
    if (size < %d) found.push(size + " pixels: " + n.data);
  }
  for (const e of document.querySelectorAll("a, button, input, summary")) {
    if (!e.checkVisibility()) continue;
    const r = e.getBoundingClientRect();
    if (r.height < %d || r.width < %[2]d) found.push("small target " + r.width + "x" + r.height + ": " + e.outerHTML);
  }
  return found;
})()`, minText, minTarget)
