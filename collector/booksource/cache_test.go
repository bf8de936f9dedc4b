package booksource

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// cached returns the one file of a directory.
func cached(t *testing.T, directory string) string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	return filepath.Join(directory, entries[0].Name())
}

// filled returns a directory with the copy of a book, and what made it.
func filled(t *testing.T, text string) (string, *publisher, *Remote) {
	t.Helper()
	server := newPublisher(t)
	server.publish(text)
	remote := server.remote(t, "?token=hunter2")
	remote.CacheDirectory = filepath.Join(t.TempDir(), "deep", "cache")
	source, seen := newSource(t, Settings{Remote: remote})
	if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped {
		t.Fatalf("%+v", report)
	}
	return remote.CacheDirectory, server, remote
}

func TestARestartWorksOffline(t *testing.T) {
	directory, server, remote := filled(t, bookText("2", 7))
	path := cached(t, directory)
	for name, want := range map[string]os.FileMode{path: 0o600, directory: 0o700} {
		if stat, err := os.Stat(name); err != nil || stat.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, stat.Mode(), err)
		}
	}
	if content, err := os.ReadFile(path); err != nil || bytes.Contains(content, []byte("hunter2")) || strings.Contains(path, "hunter2") {
		t.Error("the copy shows the address's credential")
	}
	source, seen := newSource(t, Settings{Remote: remote, Overrides: []byte("{}")})
	if rate(source.Book()) != 7 || fmt.Sprint(seen.all) != "[{cache swapped <nil>}]" {
		t.Errorf("%s, %v", source.Book().ID(), seen.all)
	}
	if report, _ := ask(t, source, seen, server); report.Result != ResultUnchanged || server.lastAsked().Get("If-None-Match") == "" {
		t.Errorf("the copy's tag was not sent: %+v", report)
	}
	server.Close()
	if report, _ := ask(t, source, seen, server); report.Result != ResultFailed || rate(source.Book()) != 7 {
		t.Errorf("%+v", report)
	}
}

// TestAnOlderBookAfterARestart: who replays yesterday's signed book does not win by waiting for a restart.
func TestAnOlderBookAfterARestart(t *testing.T) {
	_, server, remote := filled(t, bookText("2", 7))
	server.publish(bookText("1", 5))
	source, seen := newSource(t, Settings{Remote: remote})
	if report, _ := ask(t, source, seen, server); report.Result != ResultRefused || rate(source.Book()) != 7 {
		t.Errorf("%+v", report)
	}
}

// TestTamperedCopies: a copy that is not just what was kept, or not by a trusted key, is no book; the start goes on.
func TestTamperedCopies(t *testing.T) {
	forged := kept{content: []byte(bookText("9", 1)), Signature: signatureOf(bookText("9", 1), otherKey)}
	for name, tamper := range map[string]func(t *testing.T, path string){
		"a byte": func(t *testing.T, path string) { edit(t, path, `"input":7`, `"input":1`) },
		"a byte and its digest": func(t *testing.T, path string) {
			edit(t, path, `"input":7`, `"input":1`)
			edit(t, path, digestOf([]byte(bookText("2", 7))), digestOf([]byte(bookText("2", 1))))
		},
		"cut off":            func(t *testing.T, path string) { truncate(t, path, 100) },
		"empty":              func(t *testing.T, path string) { truncate(t, path, 0) },
		"huge":               func(t *testing.T, path string) { truncate(t, path, 40<<20) },
		"another key's book": func(t *testing.T, path string) { must(t, forged.write(path)) },
		"another book signature": func(t *testing.T, path string) {
			edit(t, path, signatureOf(bookText("2", 7), privateKey)[:20], signatureOf(bookText("1", 7), privateKey)[:20])
		},
		"no head":  func(t *testing.T, path string) { place(t, path, bookText("2", 7)) },
		"no JSON":  func(t *testing.T, path string) { place(t, path, "{\n"+bookText("2", 7)) },
		"a folder": func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) },
		"a link": func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".there"))
			must(t, os.Symlink(path+".there", path))
		},
		"a link to nowhere": func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Symlink("/nowhere", path)) },
		"a link to itself":  func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Symlink(path, path)) },
		"a device":          func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Symlink("/dev/zero", path)) },
	} {
		t.Run(name, func(t *testing.T) {
			directory, server, remote := filled(t, bookText("2", 7))
			path := cached(t, directory)
			tamper(t, path)
			source, seen := newSource(t, Settings{Remote: remote})
			if len(seen.all) != 1 || seen.all[0].Kind != KindCache || seen.all[0].Result != ResultRefused {
				t.Fatalf("%+v", seen.all)
			}
			if said := seen.errs[0].Error(); !strings.Contains(said, path) || strings.Contains(said, "hunter2") {
				t.Error(said)
			}
			if source.Book().Name() == "t" {
				t.Errorf("%s is in use", source.Book().ID())
			}
			if report, _ := ask(t, source, seen, server); report.Result != ResultSwapped || rate(source.Book()) != 7 {
				t.Errorf("%+v", report)
			}
			if name == "a folder" {
				return // nothing takes its place
			}
			if again, seen := newSource(t, Settings{Remote: remote}); rate(again.Book()) != 7 || len(seen.all) != 1 {
				t.Errorf("the copy was not made whole: %+v", seen.all)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	must(t, os.Truncate(path, size))
}

func edit(t *testing.T, path, old, fresh string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Contains(content, []byte(old)) {
		t.Fatalf("%q is not in %s", old, content)
	}
	must(t, os.WriteFile(path, bytes.Replace(content, []byte(old), []byte(fresh), 1), 0o600))
}

// TestHeadersFromTheCopy: what stands in a tampered copy cannot stand in a request.
func TestHeadersFromTheCopy(t *testing.T) {
	directory, server, remote := filled(t, bookText("2", 7))
	path := cached(t, directory)
	edit(t, path, `"etag":"`, `"etag":"x\r\nEvil: yes`)
	edit(t, path, "Sun, 22 Nov", `\r\nEvil: Sun, 22 Nov`)
	source, seen := newSource(t, Settings{Remote: remote})
	if report, _ := ask(t, source, seen, server); report.Result != ResultUnchanged || server.lastAsked().Get("Evil") != "" {
		t.Errorf("%+v, asked with %v", report, server.lastAsked())
	}
}

// TestOtherPinsOtherCopies: a collector that trusts another key neither takes nor ruins this one's copy.
func TestOtherPinsOtherCopies(t *testing.T) {
	directory, _, remote := filled(t, bookText("2", 7))
	other := *remote
	other.Keys = []ed25519.PublicKey{public(otherKey)}
	if source, seen := newSource(t, Settings{Remote: &other}); len(seen.all) != 0 || source.Book().Name() == "t" {
		t.Errorf("%+v", seen.all)
	}
	for _, change := range []func(*Remote){
		func(r *Remote) { r.SHA256 = strings.Repeat("a", 64) }, func(r *Remote) { r.Version = "2" },
		func(r *Remote) { address := *r.URL; address.Path = "/x"; r.URL = &address },
	} {
		other := *remote
		change(&other)
		if other.cachePath() == remote.cachePath() || filepath.Dir(other.cachePath()) != directory {
			t.Error(other.cachePath())
		}
	}
}

// TestNoRoomForACopy: where none can be written the book is used all the same, and the next start begins anew.
func TestNoRoomForACopy(t *testing.T) {
	server := newPublisher(t)
	server.publish(bookText("2", 7))
	remote := server.remote(t, "")
	remote.CacheDirectory = filepath.Join(t.TempDir(), "a file")
	place(t, remote.CacheDirectory, "")
	source, seen := newSource(t, Settings{Remote: remote})
	source.refresh(t.Context(), server.client())
	var failed int
	for _, report := range seen.all {
		if report.Kind == KindCache && report.Err != nil {
			failed++
		}
	}
	if last := seen.all[len(seen.all)-1]; failed == 0 || last.Kind != KindRemote || last.Result != ResultSwapped || rate(source.Book()) != 7 {
		t.Errorf("%+v", seen.all)
	}
}

// TestTwoCollectorsOneCache: a collector that was given an older book does not put it in the place of the newer copy.
func TestTwoCollectorsOneCache(t *testing.T) {
	newer := strings.Replace(bookText("3", 8), "2026-11-22", "2026-11-23", 1)
	directory, server, remote := filled(t, newer)
	server.publish(bookText("2", 7))
	late, seen := newSource(t, Settings{})
	late.settings.Remote = remote // it read its copy before the other one wrote
	if report, _ := ask(t, late, seen, server); report.Result != ResultSwapped || rate(late.Book()) != 7 {
		t.Fatalf("%+v", report)
	}
	if again, _ := newSource(t, Settings{Remote: remote}); rate(again.Book()) != 8 {
		t.Errorf("%s is in the cache", again.Book().ID())
	}
	// Many at once: a reader sees one book or the other.
	var group sync.WaitGroup
	path := cached(t, directory)
	for writer := range 4 {
		group.Go(func() {
			for round := range 25 {
				text := bookText(fmt.Sprint(writer), int64(round+1))
				copied := kept{content: []byte(text), Signature: signatureOf(text, privateKey)}
				if err := copied.write(path); err != nil {
					t.Error(err)
				}
				if found, err := readCopy(path); err != nil || verify(found.content, found.Signature, remote.Keys, path) != nil {
					t.Errorf("%v", err)
				}
			}
		})
	}
	group.Wait()
	cached(t, directory) // nothing is left lying about
}

// TestAReleaseBringsANewerBook: a copy that was fetched before it was installed is passed over.
func TestAReleaseBringsANewerBook(t *testing.T) {
	old := strings.NewReplacer(`"id":"t"`, `"id":"otel-tokenomics"`, "2026-11-22", "2020-01-01").Replace(bookText("2020.01.01", 7))
	remote := newPublisher(t).remote(t, "")
	remote.CacheDirectory = t.TempDir()
	copied := kept{content: []byte(old), Signature: signatureOf(old, privateKey)}
	must(t, copied.write(remote.cachePath()))
	source, seen := newSource(t, Settings{Remote: remote})
	if len(seen.all) != 0 || source.Book().Version() == "2020.01.01" || source.remote.known != (validators{}) {
		t.Errorf("%s, %+v", source.Book().ID(), seen.all)
	}
}

// TestAPinnedCopyNeedsNoNetwork: by its digest it is all that can ever be asked for.
func TestAPinnedCopyNeedsNoNetwork(t *testing.T) {
	server := newPublisher(t)
	text := bookText("2", 7)
	server.publish(text)
	remote := &Remote{URL: server.remote(t, "").URL, SHA256: digestOf([]byte(text)), CacheDirectory: t.TempDir()}
	source, seen := newSource(t, Settings{Remote: remote})
	if _, wait := ask(t, source, seen, server); wait != 0 || !source.Fetched().IsZero() {
		t.Errorf("waits %s", wait)
	}
	asked := len(server.asked)
	source, _ = newSource(t, Settings{Remote: remote})
	source.Start(t.Context(), &http.Client{})
	source.Close()
	if rate(source.Book()) != 7 || len(server.asked) != asked {
		t.Error("asked for what is there")
	}
}

func TestRenameThatFails(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "a")
	must(t, os.MkdirAll(filepath.Join(path, "b"), 0o700))
	copied := kept{content: []byte("x")}
	if err := copied.write(path); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	cached(t, directory)
}
