package booksource

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

var (
	privateKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	otherKey   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func signatureOf(text string, key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(text))) + "\n"
}

// publisher is an https server of price books, and of every answer that is none.
type publisher struct {
	*httptest.Server
	mu    sync.Mutex
	paths map[string]http.HandlerFunc
	asked []http.Header
	// patience is the timeout of whoever asks.
	patience time.Duration
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{paths: map[string]http.HandlerFunc{}, patience: time.Minute}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		if r.URL.Path == "/book.json" {
			p.asked = append(p.asked, r.Header.Clone())
		}
		answer := p.paths[r.URL.Path]
		p.mu.Unlock()
		if answer == nil {
			answer = http.NotFound
		}
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) serve(path string, answer http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paths[path] = answer
}

func (p *publisher) lastAsked() http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

// publish serves a book and its signature, with a tag that is the book's digest.
func (p *publisher) publish(text string) {
	p.serve("/book.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+digestOf([]byte(text))[:8]+`"`)
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 05:00:00 GMT")
		if r.Header.Get("If-None-Match") == w.Header().Get("ETag") {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, text)
	})
	p.serve("/book.json.sig", says(signatureOf(text, privateKey)))
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func (p *publisher) remote(t *testing.T, query string) *Remote {
	t.Helper()
	address, err := ParseAddress(p.URL+"/book.json"+query, false)
	if err != nil {
		t.Fatal(err)
	}
	return &Remote{URL: address, Keys: []ed25519.PublicKey{public(privateKey)}}
}

func (p *publisher) client() *http.Client {
	client := *p.Client()
	client.CheckRedirect, client.Timeout = sameHost, p.patience
	return &client
}

// ask has the source ask the publisher once; it returns the report and how long the source would wait.
func ask(t *testing.T, source *Source, seen *reports, p *publisher) (Report, time.Duration) {
	t.Helper()
	*seen = reports{}
	wait := source.refresh(t.Context(), p.client())
	for _, report := range seen.all {
		if report.Kind == KindRemote {
			return report, wait
		}
	}
	t.Fatalf("reported %v", seen.all)
	return Report{}, 0
}

func TestRemoteBook(t *testing.T) {
	server := newPublisher(t)
	source, seen := newSource(t, Settings{Remote: server.remote(t, ""), Overrides: []byte(`{}`)})
	if !source.Fetched().IsZero() {
		t.Error("nothing was fetched yet")
	}
	server.publish(bookText("2", 7))
	if report, wait := ask(t, source, seen, server); report.Result != ResultSwapped || rate(source.Book()) != 7 || wait < DefaultFetchInterval {
		t.Fatalf("%+v, rate %d, wait %s", report, rate(source.Book()), wait)
	}
	if header := server.lastAsked(); header.Get("If-None-Match") != "" || header.Get("If-Modified-Since") != "" {
		t.Errorf("asked for what is newer than nothing: %v", header)
	}
	if source.Fetched().IsZero() || !strings.HasPrefix(source.Book().ID(), "t@2+") {
		t.Errorf("%s at %s", source.Book().ID(), source.Fetched())
	}
	if report, _ := ask(t, source, seen, server); report.Result != ResultUnchanged {
		t.Errorf("%+v", report)
	}
	if header := server.lastAsked(); header.Get("If-None-Match") == "" || header.Get("If-Modified-Since") != "Sun, 22 Nov 2026 05:00:00 GMT" {
		t.Errorf("did not say what is known: %v", header)
	}
	// A server that knows no tags sends the same again: no signature is asked for.
	server.serve("/book.json", says(bookText("2", 7)))
	server.serve("/book.json.sig", http.NotFound)
	if report, _ := ask(t, source, seen, server); report.Result != ResultUnchanged {
		t.Errorf("%+v", report)
	}
	server.publish(bookText("3", 8))
	if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped || rate(source.Book()) != 8 {
		t.Errorf("%+v", report)
	}
}

// bomb is 65 kB of gzip that unpack to 64 MB.
var bomb = sync.OnceValue(func() []byte {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write(make([]byte, 64<<20))
	_ = writer.Close()
	return packed.Bytes()
})

func gzipped(w http.ResponseWriter, data []byte) {
	w.Header().Set("Content-Encoding", "gzip")
	packed := gzip.NewWriter(w)
	_, _ = packed.Write(data)
	_ = packed.Close()
}

func to(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusFound) }
}

// abort ends an answer in the middle, as a connection that is lost.
func abort(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// TestHostileAnswers: whatever comes, the last good book stays, the trouble is told once with its kind, in the same words
// the next time, and never with the credential in the address.
func TestHostileAnswers(t *testing.T) {
	good := bookText("2", 7)
	signed := func(text string) func(*publisher) { return func(p *publisher) { p.publish(text) } }
	answers := func(answer http.HandlerFunc) func(*publisher) {
		return func(p *publisher) { p.serve("/book.json", answer) }
	}
	signature := func(answer http.HandlerFunc) func(*publisher) {
		return func(p *publisher) {
			p.publish(bookText("3", 8))
			p.serve("/book.json.sig", answer)
		}
	}
	for name, test := range map[string]struct {
		spoil  func(*publisher)
		result Result
		told   string
	}{
		"not found":  {answers(http.NotFound), ResultFailed, "answered 404"},
		"no content": {answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }), ResultFailed, "answered 204"},
		"a part":     {answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(206) }), ResultFailed, "answered 206"},
		"teapot":     {answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }), ResultFailed, "answered 418"},
		"cut off": {answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			_, _ = io.WriteString(w, good[:50])
			abort(w)
		}), ResultFailed, "it is cut off"},
		"cut off in a chunk": {answers(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good[:50]); abort(w) }), ResultFailed, "it is cut off"},
		"no answer":          {answers(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), ResultFailed, "it is cut off"},
		"a gigabyte":         {answers(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000") }), ResultFailed, "is larger than 16777216 bytes"},
		"endless": {answers(func(w http.ResponseWriter, _ *http.Request) {
			for line := make([]byte, 1<<20); ; {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		}), ResultFailed, "is larger than 16777216 bytes"},
		"a small answer that unpacks large": {answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb())
		}), ResultFailed, "is larger than 16777216 bytes"},
		"packed and cut off": {answers(func(w http.ResponseWriter, _ *http.Request) {
			var packed bytes.Buffer
			writer := gzip.NewWriter(&packed)
			_, _ = writer.Write([]byte(good))
			_ = writer.Close()
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes()[:packed.Len()/2])
		}), ResultFailed, "it is cut off"},
		"one byte now and then": {answers(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}), ResultFailed, "it took longer than the timeout"},
		"silence":                  {answers(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), ResultFailed, "it took longer than the timeout"},
		"to another host":          {answers(to("https://prices.example/book.json?token=hunter2")), ResultFailed, "it redirects to another host or scheme"},
		"to another port":          {answers(to("https://127.0.0.1:1/book.json")), ResultFailed, "it redirects to another host or scheme"},
		"to no TLS":                {answers(func(w http.ResponseWriter, r *http.Request) { to("http://"+r.Host+"/book.json")(w, r) }), ResultFailed, "it redirects to another host or scheme"},
		"to a file":                {answers(to("file:///etc/passwd")), ResultFailed, "it redirects to another host or scheme"},
		"to somebody's account":    {answers(func(w http.ResponseWriter, r *http.Request) { to("https://a:b@"+r.Host+"/book.json")(w, r) }), ResultFailed, "it redirects to another host or scheme"},
		"in a circle":              {answers(to("/book.json?token=hunter2")), ResultFailed, "it redirects more than 5 times"},
		"unchanged since nothing":  {answers(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }), ResultUnchanged, ""},
		"a megabyte of header":     {answers(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", strings.Repeat("x", 11<<20)) }), ResultFailed, "cannot be fetched"},
		"a wrong signature":        {signature(says(signatureOf(bookText("3", 8), otherKey))), ResultRefused, `by none of "book::http::trusted_keys"`},
		"another book's signature": {signature(says(signatureOf(good, privateKey))), ResultRefused, `by none of "book::http::trusted_keys"`},
		"no signature":             {signature(http.NotFound), ResultFailed, ".sig: answered 404"},
		"an empty signature":       {signature(says("")), ResultRefused, ".sig: is no Ed25519 signature, 64 bytes as base64"},
		"a large signature":        {signature(says(strings.Repeat("A", 5000))), ResultFailed, ".sig: is larger than 4096 bytes"},
		"a signature elsewhere":    {signature(to("https://prices.example/book.json.sig")), ResultFailed, "redirects to another host"},
		"a page":                   {signed("<html>"), ResultRefused, "is no JSON"},
		"half a book":              {signed(good[:100]), ResultRefused, "is no JSON"},
		"no UTF-8":                 {signed("\xff\xfe"), ResultRefused, "is no UTF-8"},
		"NaN":                      {signed(strings.Replace(bookText("3", 8), "8}", "NaN}", 1)), ResultRefused, "is no JSON"},
		"deep":                     {signed(strings.Repeat("[", 1<<20)), ResultRefused, "is no JSON"},
		"a negative rate":          {signed(bookText("3", -1)), ResultRefused, "models[0].rows[0].rates.input"},
		"another format":           {signed(`{"schema":"otel-tokenomics/pricebook/2"}`), ResultRefused, "schema"},
		"an older version":         {signed(bookText("1", 7)), ResultRefused, "version: must not go back"},
		"an older date":            {signed(strings.Replace(bookText("3", 7), "2026-11-22", "2026-11-21", 1)), ResultRefused, "generated_at: must not go back"},
		"a jump":                   {signed(bookText("3", 700)), ResultRefused, "must not move more than 10 times"},
		"another currency":         {signed(strings.Replace(bookText("3", 7), "USD", "EUR", 1)), ResultRefused, "currency"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newPublisher(t)
			server.publish(good)
			source, seen := newSource(t, Settings{Remote: server.remote(t, "?token=hunter2"), MaxChangeRatio: 10})
			ask(t, source, seen, server)
			book := source.Book()
			test.spoil(server)
			if strings.Contains(test.told, "timeout") {
				server.patience = 300 * time.Millisecond
			}
			var before string
			for range 2 {
				report, wait := ask(t, source, seen, server)
				if source.Book() != book {
					t.Fatalf("%s is in use", source.Book().ID())
				}
				if report.Result != test.result {
					t.Fatalf("%+v", report)
				}
				if report.Err == nil {
					continue
				}
				if wait < MinFetchInterval || wait > 4*MinFetchInterval {
					t.Errorf("waits %s", wait)
				}
				said := report.Err.Error()
				if !strings.Contains(said, test.told) || !strings.HasPrefix(said, server.URL+"/book.json") {
					t.Errorf("told as %q", said)
				}
				if strings.Contains(said, "hunter2") || len(said) > 600 || before != "" && said != before {
					t.Errorf("told as %.999q, before as %.999q", said, before)
				}
				before = said
			}
			server.publish(bookText("4", 9))
			server.patience = time.Minute
			if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped || rate(source.Book()) != 9 {
				t.Errorf("the publisher is well again: %+v", report)
			}
		})
	}
}

// TestUnaskedNotModified: a server that says "as you have it" to somebody who has nothing gave nothing.
func TestUnaskedNotModified(t *testing.T) {
	server := newPublisher(t)
	server.serve("/book.json", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) })
	source, seen := newSource(t, Settings{Remote: server.remote(t, "")})
	if report, _ := ask(t, source, seen, server); report.Result != ResultFailed || !source.Fetched().IsZero() {
		t.Errorf("%+v", report)
	}
}

func TestUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + listener.Addr().String() + "/book.json?token=hunter2"
	_ = listener.Close()
	plain := httptest.NewServer(says(bookText("2", 7)))
	defer plain.Close()
	foreign := newPublisher(t)
	foreign.publish(bookText("2", 7))
	for name, test := range map[string]struct{ address, told string }{
		"nobody listens":       {nobody, "connection refused"},
		"no TLS":               {strings.Replace(plain.URL, "http:", "https:", 1) + "/book.json?token=hunter2", "HTTP response to HTTPS client"},
		"a stranger's TLS":     {foreign.URL + "/book.json?token=hunter2", "its certificate is not trusted"},
		"IPv6, nobody listens": {"https://[::1]:1/book.json?token=hunter2", ""},
	} {
		address, err := ParseAddress(test.address, false)
		if err != nil {
			t.Fatal(err)
		}
		source, seen := newSource(t, Settings{Remote: &Remote{URL: address}})
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.Proxy = nil
		source.refresh(t.Context(), &http.Client{Transport: transport, Timeout: time.Minute})
		if len(seen.all) != 1 || seen.all[0].Result != ResultFailed {
			t.Fatalf("%s: %+v", name, seen.all)
		}
		if said := seen.errs[0].Error(); !strings.Contains(said, test.told) || strings.Contains(said, "hunter2") {
			t.Errorf("%s: told as %q", name, said)
		}
		transport.CloseIdleConnections()
	}
}

func TestRedirectWithinTheHost(t *testing.T) {
	server := newPublisher(t)
	server.publish(bookText("2", 7))
	server.paths["/latest.json"] = to("/book.json")
	server.paths["/latest.json.sig"] = to("/book.json.sig")
	remote := server.remote(t, "")
	remote.URL.Path = "/latest.json"
	source, seen := newSource(t, Settings{Remote: remote})
	if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped || rate(source.Book()) != 7 {
		t.Errorf("%+v", report)
	}
}

func TestGzip(t *testing.T) {
	server := newPublisher(t)
	server.publish(bookText("2", 7))
	server.serve("/book.json", func(w http.ResponseWriter, _ *http.Request) { gzipped(w, []byte(bookText("2", 7))) })
	source, seen := newSource(t, Settings{Remote: server.remote(t, "")})
	if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped {
		t.Errorf("%+v", report)
	}
}

func TestKeysMayBeReplaced(t *testing.T) {
	server := newPublisher(t)
	server.publish(bookText("2", 7))
	remote := server.remote(t, "")
	remote.Keys = []ed25519.PublicKey{public(otherKey), public(privateKey)}
	source, seen := newSource(t, Settings{Remote: remote})
	if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped {
		t.Errorf("%+v", report)
	}
}

func TestPins(t *testing.T) {
	good, other := bookText("2", 7), bookText("3", 8)
	for name, test := range map[string]struct {
		pin  func(*Remote)
		text string
		told string
		ends bool
	}{
		"digest":          {func(r *Remote) { r.SHA256 = digestOf([]byte(good)) }, good, "", true},
		"another digest":  {func(r *Remote) { r.SHA256 = digestOf([]byte(good)) }, other, `"book::http::sha256" says `, false},
		"version":         {func(r *Remote) { r.Version = "2" }, good, "", false},
		"another version": {func(r *Remote) { r.Version = "2" }, other, `version is "3", "book::http::version" pins "2"`, false},
	} {
		server := newPublisher(t)
		server.publish(test.text)
		remote := server.remote(t, "")
		remote.Keys = nil
		test.pin(remote)
		source, seen := newSource(t, Settings{Remote: remote})
		report, wait := ask(t, source, seen, server)
		if (report.Err == nil) != (test.told == "") || report.Err != nil && !strings.Contains(report.Err.Error(), test.told) {
			t.Errorf("%s: %+v", name, report)
		}
		if (wait == 0) != test.ends {
			t.Errorf("%s: waits %s", name, wait)
		}
	}
}

// TestAPinnedBookMayBeOlder: who names a book outright means it.
func TestAPinnedBookMayBeOlder(t *testing.T) {
	old := strings.NewReplacer(`"id":"t"`, `"id":"otel-tokenomics"`, "2026-11-22", "2020-01-01").Replace(bookText("2020.01.01", 7))
	for name, test := range map[string]struct {
		pin  string
		want Result
	}{"pinned": {"2020.01.01", ResultSwapped}, "not pinned": {"", ResultRefused}} {
		server := newPublisher(t)
		server.publish(old)
		remote := server.remote(t, "")
		remote.Version = test.pin
		source, seen := newSource(t, Settings{Remote: remote})
		if report, _ := ask(t, source, seen, server); report.Result != test.want {
			t.Errorf("%s: %+v", name, report)
		}
	}
}

// TestLayers: the address stands above the file, the file above the embedded book, the overlay above all; a file that
// changes below the address is read and waits.
func TestLayers(t *testing.T) {
	directory := t.TempDir()
	file, overlay := directory+"/book.json", directory+"/own.json"
	place(t, file, bookText("2", 7))
	place(t, overlay, "{}")
	server := newPublisher(t)
	server.publish(bookText("1", 5))
	source, seen := newSource(t, Settings{Path: file, OverridesPath: overlay, Remote: server.remote(t, "")})
	if report, _ := ask(t, source, seen, server); report.Result != ResultRefused || rate(source.Book()) != 7 {
		t.Errorf("went back behind the file: %+v", report)
	}
	server.publish(bookText("3", 8))
	if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped || rate(source.Book()) != 8 {
		t.Errorf("%+v", report)
	}
	*seen = reports{}
	place(t, file, bookText("4", 9))
	source.Reload()
	if len(seen.all) != 1 || seen.all[0].Result != ResultUnchanged || rate(source.Book()) != 8 {
		t.Errorf("%+v, rate %d", seen.all, rate(source.Book()))
	}
	place(t, overlay, overlayText)
	source.Reload()
	if rate(source.Book()) != 3 || !strings.HasPrefix(source.Book().ID(), "t@3+") {
		t.Errorf("%s, rate %d", source.Book().ID(), rate(source.Book()))
	}
	server.publish(bookText("5", 10))
	ask(t, source, seen, server)
	if rate(source.Book()) != 3 || !strings.HasPrefix(source.Book().ID(), "t@5+") {
		t.Errorf("%s, rate %d", source.Book().ID(), rate(source.Book()))
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"https://prices.example/book.json":         "",
		"https://prices.example:8443/a%2Fb?x=y#z":  "",
		"https://[::1]:8443/book.json":             "",
		"HTTPS://prices.example/book.json":         "",
		"":                                         "must begin with https://",
		"prices.example/hunter2":                   "must begin with https://",
		"http://127.0.0.1/hunter2":                 "http:// needs insecure_http: true",
		"file:///etc/hunter2":                      "file:// is not supported",
		"ftp://prices.example/hunter2":             "ftp:// is not supported",
		"unix:///hunter2":                          "unix:// is not supported",
		"https:///hunter2":                         "needs a host",
		"https://:443/hunter2":                     "needs a host",
		"https://me:hunter2@prices.example/b.json": "takes no user and no password",
		"https://hunter2@prices.example/b.json":    "takes no user and no password",
		"https://prices.example:hunter2/":          "is no address",
		"https://prices.example/\r\nHost: hunter2": "is no address",
		"https://prices.example/%zz-hunter2":       "is no address",
	} {
		_, err := ParseAddress(text, false)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if address, err := ParseAddress("http://127.0.0.1/book.json", true); err != nil || address.Scheme != "http" {
		t.Errorf("%v, %v", address, err)
	}
}

// TestSignatureAddress: the suffix stands behind the path, whatever stands behind that.
func TestSignatureAddress(t *testing.T) {
	server := newPublisher(t)
	var asked []string
	var mu sync.Mutex
	for _, path := range []string{"/a/b c.json", "/a/b c.json.sig", "/x/y.json", "/x/y.json.sig"} {
		answer := says(bookText("2", 7))
		if strings.HasSuffix(path, ".sig") {
			answer = says(signatureOf(bookText("2", 7), privateKey))
		}
		server.paths[path] = func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, r.RequestURI)
			mu.Unlock()
			answer(w, r)
		}
	}
	for _, path := range []string{"/a/b%20c.json?t=1", "/x%2Fy.json"} {
		address, err := ParseAddress(server.URL+path, false)
		if err != nil {
			t.Fatal(err)
		}
		source, seen := newSource(t, Settings{Remote: &Remote{URL: address, Keys: []ed25519.PublicKey{public(privateKey)}}})
		if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped {
			t.Errorf("%s: %+v", path, report)
		}
	}
	if want := "[/a/b%20c.json?t=1 /a/b%20c.json.sig?t=1 /x%2Fy.json /x%2Fy.json.sig]"; fmt.Sprint(asked) != want {
		t.Errorf("asked %v", asked)
	}
}

func TestWaits(t *testing.T) {
	remote := &Remote{Interval: time.Hour}
	for _, test := range []struct {
		failures    int
		asked, want time.Duration
	}{
		{0, 0, time.Hour}, {0, 2 * time.Hour, time.Hour},
		{1, 0, time.Minute}, {2, 0, 2 * time.Minute}, {4, 0, 8 * time.Minute}, {7, 0, time.Hour}, {1 << 40, 0, time.Hour},
		{1, time.Second, time.Minute}, {1, 90 * time.Second, 90 * time.Second}, {9, 5 * time.Minute, 5 * time.Minute},
		{1, 3 * time.Hour, 3 * time.Hour}, {1, 365 * 24 * time.Hour, 24 * time.Hour},
	} {
		seen := map[time.Duration]bool{}
		for range 20 {
			wait := remote.wait(test.failures, test.asked)
			seen[wait] = true
			if wait < test.want || wait > test.want+test.want/8 {
				t.Errorf("%d failures, asked for %s: waits %s", test.failures, test.asked, wait)
			}
		}
		if len(seen) < 2 {
			t.Errorf("%d failures: chance adds nothing", test.failures)
		}
	}
	if wait := (&Remote{}).wait(0, 0); wait < DefaultFetchInterval {
		t.Errorf("waits %s", wait)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"Sun, 22 Nov 2026 05:02:00 GMT": 2 * time.Minute, "Sun, 22 Nov 2020 05:02:00 GMT": 0,
		"Fri, 31 Dec 9999 23:59:59 GMT": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Sub(now),
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	server := newPublisher(t)
	for _, status := range []int{429, 503} {
		server.serve("/book.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7200")
			w.WriteHeader(status)
		})
		source, seen := newSource(t, Settings{Remote: server.remote(t, "")})
		report, wait := ask(t, source, seen, server)
		if !strings.HasSuffix(report.Err.Error(), "answered "+strconv.Itoa(status)) || wait < 2*time.Hour || wait > 3*time.Hour {
			t.Errorf("%+v, waits %s", report, wait)
		}
	}
}

// TestFollow: the address is asked at once and again and again, under readers, and a server that never answers holds up
// neither the start nor the end.
func TestFollow(t *testing.T) {
	server := newPublisher(t)
	server.publish(bookText("1", 1))
	remote := server.remote(t, "")
	remote.Interval = time.Millisecond
	swapped := make(chan Report, 1024)
	source, err := New(Settings{Remote: remote, OnReload: func(r Report) {
		if r.Result != ResultUnchanged {
			swapped <- r
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	source.Start(t.Context(), server.Client())
	for version := int64(1); version <= 8; version++ {
		if report := <-swapped; report.Result != ResultSwapped || rate(source.Book()) != version {
			t.Errorf("%+v, rate %d", report, rate(source.Book()))
		}
		server.publish(bookText(fmt.Sprint(version+1), version+1))
	}
	hanging := make(chan struct{})
	var once sync.Once
	server.serve("/book.json", func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(hanging) })
		<-r.Context().Done()
	})
	<-hanging
	closed := make(chan struct{})
	go func() { source.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(time.Minute):
		t.Fatal("the end waits for the server")
	}
}

// TestClosedWhileAsked: what was cut off by our own end is no trouble of the publisher.
func TestClosedWhileAsked(t *testing.T) {
	server := newPublisher(t)
	source, seen := newSource(t, Settings{Remote: server.remote(t, "")})
	ctx, cancel := context.WithCancel(t.Context())
	server.serve("/book.json", func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	if wait := source.refresh(ctx, server.client()); wait != 0 || len(seen.all) != 0 {
		t.Errorf("waits %s, reported %v", wait, seen.all)
	}
}

func TestIPv6(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 on this machine")
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/latest" {
			http.Redirect(w, r, "https://"+r.Host+"/book.json", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, bookText("2", 7))
	}))
	server.Listener = listener
	server.StartTLS()
	defer server.Close()
	address, err := ParseAddress(server.URL+"/latest", false)
	if err != nil {
		t.Fatal(err)
	}
	source, seen := newSource(t, Settings{Remote: &Remote{URL: address}})
	client := *server.Client()
	client.CheckRedirect = sameHost
	source.refresh(t.Context(), &client)
	if len(seen.all) != 1 || seen.all[0].Result != ResultSwapped {
		t.Errorf("%+v", seen.all)
	}
}

func TestHostPort(t *testing.T) {
	same := func(a, b string) bool {
		one, _ := url.Parse(a)
		two, _ := url.Parse(b)
		return hostPort(one) == hostPort(two)
	}
	if !same("https://A.example/x", "https://a.example:443/y") || same("https://a.example", "https://a.example:80") ||
		same("https://a.example", "https://a.example.evil") || !same("http://[::1]/", "http://[::1]:80/") {
		t.Error("hosts are not compared with their ports")
	}
}

// TestWhy: what the network says is told without addresses of ours, which change, and without what a query may hold.
func TestWhy(t *testing.T) {
	address, err := ParseAddress("https://prices.example/book.json?token=hunter2", false)
	if err != nil {
		t.Fatal(err)
	}
	asked := func(err error) error { return &url.Error{Op: "Get", URL: address.String(), Err: err} }
	refused := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	for _, test := range []struct {
		err  error
		want string
	}{
		{asked(&net.DNSError{Err: "no such host", Name: "prices.example", IsNotFound: true}), "no such host"},
		{asked(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), "it took longer than the timeout"},
		{asked(context.DeadlineExceeded), "it took longer than the timeout"},
		{asked(refused), syscall.ECONNRESET.Error()},
		{asked(errors.New("proxy says token=hunter2 is wrong")), "proxy says ... is wrong"},
		{io.ErrUnexpectedEOF, "it is cut off"},
		{errors.New("gzip: invalid checksum"), "gzip: invalid checksum"},
	} {
		if got := why(test.err, address); got != test.want {
			t.Errorf("%v is told as %q", test.err, got)
		}
	}
}

// TestTold: words of a server are short, in one line, and no terminal's commands.
func TestTold(t *testing.T) {
	if got := told("a\r\n\x1b[2Jb\u202e" + strings.Repeat("\u00e9", 200)); !strings.HasPrefix(got, "a   [2Jb \u00e9") || len(got) > 203 || !strings.HasSuffix(got, "\u00e9...") {
		t.Errorf("%q", got)
	}
}

// TestOverlayMustFit: own prices that do not fit what came keep it out.
func TestOverlayMustFit(t *testing.T) {
	server := newPublisher(t)
	text := strings.NewReplacer(`"id":"t"`, `"id":"u"`, `"openai"`, `"lab"`).Replace(bookText("3", 8))
	server.publish(text)
	file := t.TempDir() + "/book.json"
	place(t, file, bookText("2", 7))
	source, seen := newSource(t, Settings{Path: file, Overrides: []byte(overlayText), Remote: server.remote(t, "")})
	report, _ := ask(t, source, seen, server)
	var refused *pricing.BookError
	if report.Result != ResultRefused || !errors.As(report.Err, &refused) || rate(source.Book()) != 3 {
		t.Errorf("%+v", report)
	}
}
