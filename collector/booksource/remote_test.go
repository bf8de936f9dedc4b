package booksource

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

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
