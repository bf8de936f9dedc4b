package booksource

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// lineEnd is what YAML takes for the end of a line.
var lineEnd = regexp.MustCompile("\n|\r|\u0085|\u2028|\u2029")

// FuzzOverlayFile: whatever a file holds, it is an overlay or it is refused, with a line that the file has.
func FuzzOverlayFile(f *testing.F) {
	for _, name := range []string{"own_prices.yaml", "overlay.json", "yaml.json"} {
		data, err := os.ReadFile(filepath.Join(vectors, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, true)
		f.Add(data, false)
	}
	f.Add([]byte("a: &a [*a]"), true)
	f.Add([]byte("[1 2]"), false)
	base, err := pricing.Parse([]byte(bookText("1", 7)), "book.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, isYAML bool) {
		name := "own.json"
		if isYAML {
			name = "own.yaml"
		}
		text, err := jsonText(data, name)
		if err == nil {
			if isYAML && !json.Valid(text) {
				t.Fatalf("%q became %q", data, text)
			}
			if err = pricing.RefuseKeyTwice(text, name); err == nil {
				_, err = base.WithOverlayOf(text, data, name)
			}
		}
		var refused *pricing.BookError
		if err != nil && !errors.As(located(err, text), &refused) {
			t.Fatalf("%q is told as %v", data, err)
		}
		if refused != nil && refused.Line > 1+len(lineEnd.FindAll(data, -1)) {
			t.Fatalf("%q is told with line %d", data, refused.Line)
		}
	})
}

// answers is a server that says what a fuzzer wants.
type answers struct {
	book, signature http.Response
}

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	answer := a.book
	if strings.HasSuffix(request.URL.Path, signatureSuffix) {
		answer = a.signature
	}
	answer.Request = request
	return &answer, nil
}

// FuzzRemoteBook: whatever an address answers, only a newer book that was signed comes into use, and the next question
// waits neither too short nor for ever.
func FuzzRemoteBook(f *testing.F) {
	good := bookText("2", 7)
	f.Add(200, `"tag"`, "Sun, 22 Nov 2026 05:00:00 GMT", "", []byte(bookText("3", 8)), "", true)
	f.Add(200, "", "", "", []byte(bookText("1", 7)), "", true)
	f.Add(200, "", "", "", []byte(bookText("3", 8)), signatureOf(good, privateKey), false)
	f.Add(304, "\r\nEvil: yes", "", "", []byte(nil), "", false)
	f.Add(429, "", "", "Fri, 31 Dec 9999 23:59:59 GMT", []byte(nil), "", false)
	f.Add(302, "", "", "file:///etc/passwd", []byte(nil), "", false)
	address, err := ParseAddress("https://prices.example/book.json?token=hunter2", false)
	if err != nil {
		f.Fatal(err)
	}
	remote := &Remote{URL: address, Keys: []ed25519.PublicKey{public(privateKey)}}
	f.Fuzz(func(t *testing.T, status int, etag, modified, hint string, body []byte, signature string, sign bool) {
		seen := &reports{}
		source, err := New(Settings{Remote: remote, MaxChangeRatio: 10, OnReload: seen.add})
		if err != nil {
			t.Fatal(err)
		}
		if sign {
			signature = signatureOf(string(body), privateKey)
		}
		answer := func(status int, content []byte, length int64) http.Response {
			return http.Response{
				StatusCode: status, ContentLength: length, Body: io.NopCloser(bytes.NewReader(content)),
				Header: http.Header{"Etag": {etag}, "Last-Modified": {modified}, "Retry-After": {hint}, "Location": {hint}},
			}
		}
		server := &answers{answer(200, []byte(good), -1), answer(200, []byte(signatureOf(good, privateKey)), -1)}
		client := &http.Client{Transport: server, CheckRedirect: sameHost}
		source.refresh(t.Context(), client)
		first := source.Book()
		if rate(first) != 7 {
			t.Fatal(seen.all)
		}
		server.book, server.signature = answer(status, body, -1), answer(200, []byte(signature), -1)
		wait := source.refresh(t.Context(), client)
		if wait < MinFetchInterval || wait > 2*maxRetryAfter {
			t.Errorf("waits %s", wait)
		}
		last := seen.all[len(seen.all)-1]
		if last.Err != nil && (strings.Contains(last.Err.Error(), "hunter2") || len(last.Err.Error()) > 1000) {
			t.Errorf("told as %q", last.Err)
		}
		if swapped := source.Book() != first; swapped != (last.Result == ResultSwapped) {
			t.Errorf("%+v, %s", last, source.Book().ID())
		} else if swapped && (verify(body, signature, remote.Keys, "") != nil || first.CheckSuccessor(source.Book(), "", 10) != nil) {
			t.Errorf("%s is in use", source.Book().ID())
		}
		if known := source.remote.known; strings.ContainsAny(known.etag+known.modified, "\r\n") {
			t.Errorf("would be asked with %q", known)
		}
	})
}
