package booksource

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

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
