package booksource

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: what does not fit leaves the copy of before, and nothing half written.
func TestFullDisk(t *testing.T) {
	directory, server, remote := filled(t, bookText("2", 7))
	path := cached(t, directory)
	before, err := os.ReadFile(path)
	must(t, err)
	server.publish(strings.Replace(bookText("3", 8), `"models"`, `"x-note":"`+strings.Repeat("x", 100_000)+`","models"`, 1))
	source, seen := newSource(t, Settings{Remote: remote})
	// A limit on the size of files is as near to a full disk as a test comes without one.
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4096, Max: limit.Max}))
	report, _ := ask(t, source, seen, server)
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	if report.Result != ResultSwapped || rate(source.Book()) != 8 {
		t.Errorf("%+v", report)
	}
	if first := seen.all[0]; first.Kind != KindCache || first.Result != ResultFailed {
		t.Errorf("%+v", seen.all)
	}
	if after, err := os.ReadFile(cached(t, directory)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the copy of before is gone: %v", err)
	}
}

// TestPipe: a pipe in the place of the copy would hold up the start for ever.
func TestPipe(t *testing.T) {
	directory, _, remote := filled(t, bookText("2", 7))
	path := cached(t, directory)
	must(t, os.Remove(path))
	must(t, syscall.Mkfifo(filepath.Join(directory, filepath.Base(path)), 0o600))
	if _, seen := newSource(t, Settings{Remote: remote}); len(seen.all) != 1 || seen.all[0].Result != ResultRefused {
		t.Errorf("%+v", seen.all)
	}
}
