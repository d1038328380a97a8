package graph_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-mdm/signet/internal/fault"
	"github.com/signet-mdm/signet/internal/httpd/graph"
)

const someThumbprint = "0f8962dea98e831d83f6aef6f5f8f6f8f6f6f5f6"

func TestFilters(t *testing.T) {
	for query, want := range map[string]string{
		"": " ",
		"$filter=tolower(userPrincipalName)%20eq%20'a@x.example'":                                               "a@x.example ",
		"$top=5&$filter=userPrincipalName%20eq%20'a+b@x.example'":                                               "a+b@x.example ",
		"%24filter=userPrincipalName%20eq%20%27o%27%27brien@x.example%27":                                       "o'brien@x.example ",
		"$filter=tolower(userPrincipalName)%20eq%20'o'brien@x'%20and%20tolower(thumbprint)%20eq%20'THUMBPRINT'": "o'brien@x THUMBPRINT",
		"$filter=userPrincipalName%20eq%20'carol_x%23EXT%23@y'":                                                 "carol_x#EXT#@y ",
		"$Filter=TOLOWER(USERPRINCIPALNAME)%20EQ%20'a@x'":                                                       "a@x ",
		"$filter=userPrincipalName%20eq%20'carol_x":                                                             "filter_cut",
		"$filter=tolower(userPrincipalName)%20eq%20'o'brien_x":                                                  "filter_cut",
		"$filter=userPrincipalName+eq+'a@x'":                                                                    "filter_unsupported",
		"$filter=userPrincipalName%20eq%20''":                                                                   "filter_unsupported",
		"$filter=mail%20eq%20'a@x'":                                                                             "filter_unsupported",
		"$filter=":                                                                                              "filter_unsupported",
		"$filter=%zz":                                                                                           "filter_unsupported",
		"$filter=userPrincipalName%20eq%20'" + strings.Repeat("a", 3000) + "'":                                  "filter_unsupported",
	} {
		query, want = strings.ReplaceAll(query, "THUMBPRINT", someThumbprint), strings.ReplaceAll(want, "THUMBPRINT", someThumbprint)
		f, err := graph.ParseFilter(query)
		got := f.User() + " " + f.Thumbprint()
		if err != nil {
			got = fault.Code(err)
		}
		if got != want {
			t.Errorf("%.80s: got %q, want %q", query, got, want)
		}
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]string{
		"a@x.example-" + someThumbprint:                             "a@x.example",
		"'a-b@x-y.example-" + strings.ToUpper(someThumbprint) + "'": "a-b@x-y.example",
		"o'brien@x-" + someThumbprint:                               "o'brien@x",
		"'o'brien@x-" + someThumbprint + "'":                        "o'brien@x",
		"0193D6A54F2C7B1E8A90112233445566-" + someThumbprint:        "0193d6a5-4f2c-7b1e-8a90-112233445566",
		"0193d6a5-4f2c-7b1e-8a90-112233445566-" + someThumbprint:    "0193d6a5-4f2c-7b1e-8a90-112233445566",
		"-" + someThumbprint:                                        "", someThumbprint: "", "a@x": "", "": "", "'": "", "a-" + someThumbprint + "0": "", "carol_x": "",
	} {
		f, err := graph.ParseKey(key)
		if got := f.User(); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: got %q, %v, want %q", key, got, err, want)
		}
		if err == nil && f.Thumbprint() != someThumbprint {
			t.Errorf("%s: got %s, want %s", key, f.Thumbprint(), someThumbprint)
		}
	}
}

// Whatever is sent, a filter means one user, everybody or nothing.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"", "$filter=userPrincipalName%20eq%20'a@x'", "$filter=tolower(userPrincipalName)%20eq%20'o'brien@x'%20and%20tolower(thumbprint)%20eq%20'" + someThumbprint + "'",
		"$filter=userPrincipalName%20eq%20'carol_x", "%24filter=%27", "$filter=a&$filter=b", "$filter=userPrincipalName%20eq%20'%00'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		got, err := graph.ParseFilter(query)
		switch {
		case err != nil:
			if !errors.Is(err, graph.ErrFilter) && !errors.Is(err, graph.ErrCut) {
				t.Errorf("%q: got %v", query, err)
			}
		case got.User() == "" && (got.Thumbprint() != "" || strings.Contains("&"+query, "&$filter=")):
			t.Errorf("%q: a filter became none", query)
		}
		if _, err := graph.ParseFilter("$filter=userPrincipalName%20eq%20'" + strings.ReplaceAll(url.QueryEscape("x"+query+"x"), "+", "%20") + "'"); err != nil && len(query) < 500 {
			t.Errorf("the literal %q: %v", query, err)
		}
	})
}
