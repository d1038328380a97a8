package apnstest_test

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/signet-mdm/signet/notify/apns/apnstest"
)

// The double refuses what Apple refuses: a client that passes it is right.
func TestStrict(t *testing.T) {
	s, err := apnstest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const topic = "com.apple.mgmt.External.1"
	cred, err := s.Credential(topic)
	if err != nil {
		t.Fatal(err)
	}
	own := tls.Certificate{Certificate: [][]byte{cred.Certificate.Raw}, PrivateKey: cred.Key}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: s.Roots(), Certificates: []tls.Certificate{own}}}}
	defer client.CloseIdleConnections()
	token := strings.Repeat("ab", 32)
	type request struct {
		method, path, body string
		header             http.Header
	}
	for name, c := range map[string]struct {
		change func(*request)
		want   string
	}{
		"good":             {func(*request) {}, ""},
		"get":              {func(r *request) { r.method = "GET" }, "MethodNotAllowed"},
		"path":             {func(r *request) { r.path = "/3/devices/" + token }, "BadPath"},
		"no token":         {func(r *request) { r.path = "/3/device/" }, "MissingDeviceToken"},
		"capital letters":  {func(r *request) { r.path = "/3/device/" + strings.ToUpper(token) }, "BadDeviceToken"},
		"not hexadecimal":  {func(r *request) { r.path = "/3/device/" + strings.Repeat("x", 64) }, "BadDeviceToken"},
		"no topic":         {func(r *request) { r.header.Del("apns-topic") }, "MissingTopic"},
		"wrong topic":      {func(r *request) { r.header.Set("apns-topic", topic+"2") }, "BadTopic"},
		"two topics":       {func(r *request) { r.header.Add("apns-topic", topic) }, "DuplicateHeaders"},
		"alert":            {func(r *request) { r.header.Set("apns-push-type", "alert") }, "InvalidPushType"},
		"low priority":     {func(r *request) { r.header.Set("apns-priority", "5") }, "BadPriority"},
		"no expiry":        {func(r *request) { r.header.Del("apns-expiration") }, "BadExpirationDate"},
		"expired":          {func(r *request) { r.header.Set("apns-expiration", "0") }, "BadExpirationDate"},
		"nothing":          {func(r *request) { r.body = "" }, "PayloadEmpty"},
		"an alert in it":   {func(r *request) { r.body = `{"mdm":"x","aps":{}}` }, "PayloadEmpty"},
		"no magic":         {func(r *request) { r.body = `{"mdm":""}` }, "PayloadEmpty"},
		"a novel in there": {func(r *request) { r.body = `{"mdm":"` + strings.Repeat("x", 5000) + `"}` }, "PayloadTooLarge"},
	} {
		r := &request{"POST", "/3/device/" + token, `{"mdm":"x"}`, http.Header{}}
		for k, v := range map[string]string{"apns-topic": topic, "apns-push-type": "mdm", "apns-priority": "10",
			"apns-expiration": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)} {
			r.header.Set(k, v)
		}
		c.change(r)
		req, err := http.NewRequest(r.method, "https://"+s.Addr+r.path, strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = r.header
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var said struct{ Reason string }
		if c.want != "" {
			if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		resp.Body.Close()
		if said.Reason != c.want || (resp.StatusCode == 200) != (c.want == "") || resp.Header.Get("apns-id") == "" {
			t.Errorf("%s: got %d %q, want %q", name, resp.StatusCode, said.Reason, c.want)
		}
	}
	if got := len(s.Taken()); got != 1 {
		t.Errorf("%d pushes were taken, want 1", got)
	}
}
