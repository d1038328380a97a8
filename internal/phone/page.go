package phone

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// attr gives an attribute of an element.
func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// elements gives the elements below n with one of these names, in order.
func elements(n *html.Node, names ...string) []*html.Node {
	var out []*html.Node
	for d := range n.Descendants() {
		if d.Type != html.ElementNode {
			continue
		}
		for _, name := range names {
			if d.Data == name {
				out = append(out, d)
			}
		}
	}
	return out
}

func root(n *html.Node) *html.Node {
	for n.Parent != nil {
		n = n.Parent
	}
	return n
}

// text gives the words inside n.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "style" && d.Parent.Data != "script" {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// says gives what a page tells its reader when something went wrong: its
// alerts, else its beginning.
func says(page *html.Node) string {
	for d := range page.Descendants() {
		if d.Type == html.ElementNode && (attr(d, "role") == "alert" || attr(d, "role") == "status") {
			if s := text(d); s != "" {
				return cut(s)
			}
		}
	}
	return cut(text(page))
}

func cut(s string) string { return s[:min(len(s), 200)] }

// codeForm finds the form that asks for the code.
func codeForm(page *html.Node) *html.Node {
	for _, form := range elements(page, "form") {
		for _, in := range elements(form, "input") {
			if attr(in, "name") == "code" && attr(in, "type") != "hidden" {
				return form
			}
		}
	}
	return nil
}

// submission is the request that a form makes when its first button is
// tapped.
func submission(form *html.Node, page *url.URL) step {
	s := step{method: strings.ToUpper(attr(form, "method")), fields: url.Values{}}
	if s.method != http.MethodPost {
		s.method = http.MethodGet
	}
	tapped := false
	for _, in := range elements(form, "input", "button", "select", "textarea") {
		kind := strings.ToLower(attr(in, "type"))
		submits := kind == "submit" || in.Data == "button" && kind == ""
		switch {
		case attr(in, "name") == "" || hasAttr(in, "disabled"):
		case submits && tapped, kind == "button", kind == "reset", kind == "image", kind == "file":
		case (kind == "checkbox" || kind == "radio") && !hasAttr(in, "checked") && !hasAttr(in, "required"):
		case kind == "checkbox" && !hasAttr(in, "value"):
			s.fields.Add(attr(in, "name"), "on")
		default:
			s.fields.Add(attr(in, "name"), attr(in, "value"))
		}
		tapped = tapped || submits
	}
	s.to = resolve(page, attr(form, "action"))
	return s
}

// offers are the links and forms of a page that could lead to a profile, on
// the same host.
func offers(page *html.Node, at *url.URL) []step {
	var out []step
	for _, a := range elements(page, "a") {
		to := resolve(at, attr(a, "href"))
		if !sameHost(at, to) || to == at.String() {
			continue
		}
		if rank := likelihood(text(a), to, attr(a, "type"), hasAttr(a, "download")); rank > 0 {
			out = append(out, step{method: http.MethodGet, to: to, rank: rank})
		}
	}
	for _, form := range elements(page, "form") {
		s := submission(form, at)
		if s.rank = likelihood(text(form), s.to, "", false); s.rank > 0 && sameHost(at, s.to) {
			out = append(out, s)
		}
	}
	return out
}

// likelihood guesses as a user would whether something leads to the profile.
func likelihood(words, to, kind string, download bool) int {
	words, to = strings.ToLower(words), strings.ToLower(to)
	for _, no := range []string{"sign out", "log out", "logout", "remove", "lost", "help", "privacy"} {
		if strings.Contains(words, no) {
			return 0
		}
	}
	rank := 0
	if kind == profileType {
		rank += 8
	}
	if strings.Contains(to, ".mobileconfig") || strings.Contains(to, "profile") {
		rank += 4
	}
	if download {
		rank += 2
	}
	for _, yes := range []string{"profile", "download", "install", "start", "continue", "agree", "next"} {
		if strings.Contains(words, yes) {
			rank++
		}
	}
	return rank
}

func resolve(base *url.URL, ref string) string {
	u, err := base.Parse(ref)
	if err != nil {
		return ""
	}
	u.Fragment = ""
	return u.String()
}

func sameHost(page *url.URL, to string) bool {
	u, err := url.Parse(to)
	return err == nil && u.Host == page.Host && u.Scheme == page.Scheme
}
