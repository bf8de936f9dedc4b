package booksource

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
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
