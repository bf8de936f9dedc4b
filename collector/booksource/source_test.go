package booksource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

func bookText(version string, rate int64) string {
	return fmt.Sprintf(`{"schema":"otel-tokenomics/pricebook/1","id":"t","version":%q,"generated_at":"2026-11-22T05:00:00Z",
"currency":"USD","scale":12,"providers":{"openai":{"kind":"first_party"}},
"models":[{"p":"openai","id":"m","rows":[{"rates":{"input":%d}}]}]}`, version, rate)
}

const overlayText = `{"models":[{"p":"openai","id":"m","rows":[{"rates":{"input":3}}]}]}`

// place writes a file as a Kubernetes volume does: another inode takes the name at once.
func place(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// rate prices one input token.
func rate(book *pricing.Book) int64 {
	q := pricing.Query{Provider: "openai", ResponseModel: "m"}
	q.Usage.Set(pricing.Input, 1)
	var r pricing.Result
	book.Price(&q, &r)
	return r.Total
}

type reports struct {
	all  []Report
	errs []error
}

func (r *reports) add(report Report) {
	r.all, r.errs = append(r.all, report), append(r.errs, report.Err)
}

func newSource(t *testing.T, settings Settings) (*Source, *reports) {
	t.Helper()
	seen := &reports{}
	settings.OnReload = seen.add
	source, err := New(settings)
	if err != nil {
		t.Fatal(err)
	}
	return source, seen
}

func TestEmbeddedByDefault(t *testing.T) {
	source, seen := newSource(t, Settings{})
	embedded, err := pricing.Embedded()
	if err != nil || source.Book() != embedded {
		t.Errorf("%v, %v", source.Book().ID(), err)
	}
	source.Start(t.Context(), nil)
	source.Reload()
	source.Close()
	if len(seen.all) != 0 {
		t.Errorf("nothing can change, reported %v", seen)
	}
}

func TestNewRefusesWhatIsWrong(t *testing.T) {
	directory := t.TempDir()
	good, bad := filepath.Join(directory, "good.json"), filepath.Join(directory, "bad.json")
	place(t, good, bookText("1", 7))
	place(t, bad, `{"schema":"x"}`)
	for name, settings := range map[string]Settings{
		"missing book":    {Path: filepath.Join(directory, "none.json")},
		"bad book":        {Path: bad},
		"missing overlay": {OverridesPath: filepath.Join(directory, "none.json")},
		"bad overlay":     {Path: good, OverridesPath: bad},
		"bad in place":    {Overrides: []byte(`{"discount":[]}`)},
		"two overlays":    {OverridesPath: good, Overrides: []byte("{}")},
	} {
		if _, err := New(settings); err == nil {
			t.Errorf("%s: started", name)
		}
	}
	_, err := New(Settings{Path: bad})
	var refused *pricing.BookError
	if !errors.As(err, &refused) || refused.Origin != bad {
		t.Errorf("the error does not name the file: %v", err)
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.json")
	place(t, path, bookText("2", 7))
	source, seen := newSource(t, Settings{Path: path, Overrides: []byte(`{"discounts":[{"p":"openai","ratio":[1,1]}]}`), MaxChangeRatio: 10})
	if rate(source.Book()) != 7 {
		t.Fatal(source.Book().ID())
	}
	steps := []struct {
		name, text string
		rate       int64
		reported   int
		refused    string
	}{
		{"unchanged", bookText("2", 7), 7, 0, ""},
		{"better", bookText("3", 8), 8, 1, ""},
		{"broken", bookText("4", -1), 8, 1, "models[0].rows[0].rates.input"},
		{"no JSON", bookText("4", 9)[:50], 8, 1, "line"},
		{"empty", "", 8, 1, "line 1"},
		{"going back", bookText("1", 8), 8, 1, "version"},
		{"jump", bookText("4", 81), 8, 1, "models[0].rows[0].rates.input"},
		{"healed", bookText("4", 9), 9, 1, ""},
	}
	for _, step := range steps {
		*seen = reports{}
		place(t, path, step.text)
		source.Reload()
		source.Reload()
		if got := rate(source.Book()); got != step.rate {
			t.Errorf("%s: the rate is %d, want %d", step.name, got, step.rate)
		}
		if len(seen.errs) != step.reported {
			t.Fatalf("%s: reported %v", step.name, seen)
		}
		var refused *pricing.BookError
		if step.reported == 1 && errors.As(seen.errs[0], &refused) != (step.refused != "") {
			t.Errorf("%s: reported %v", step.name, seen.errs[0])
		}
		if refused != nil && !strings.HasPrefix(refused.Path, step.refused) {
			t.Errorf("%s: refused at %s", step.name, refused.Path)
		}
	}
	if id := source.Book().ID(); !strings.HasPrefix(id, "t@4+") {
		t.Errorf("the overlay did not follow the book: %s", id)
	}
}

func TestFileThatVanishesIsReportedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.json")
	place(t, path, bookText("1", 7))
	source, seen := newSource(t, Settings{Path: path})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	source.Reload()
	source.Reload()
	if len(seen.errs) != 1 || !errors.Is(seen.errs[0], fs.ErrNotExist) || rate(source.Book()) != 7 {
		t.Errorf("reported %v, rate %d", seen, rate(source.Book()))
	}
	place(t, path, bookText("2", 8))
	source.Reload()
	if rate(source.Book()) != 8 {
		t.Error("the file is back and was not read")
	}
}

// TestVolumeOfKubernetes: there the file is a link through a link, of which the inner one is replaced.
func TestVolumeOfKubernetes(t *testing.T) {
	volume := t.TempDir()
	publish := func(version string, rate int64) {
		t.Helper()
		must(t, os.Mkdir(filepath.Join(volume, version), 0o700))
		place(t, filepath.Join(volume, version, "book.json"), bookText(version, rate))
		must(t, os.Symlink(version, filepath.Join(volume, "..data_new")))
		must(t, os.Rename(filepath.Join(volume, "..data_new"), filepath.Join(volume, "..data")))
	}
	publish("1", 7)
	path := filepath.Join(volume, "book.json")
	must(t, os.Symlink("..data/book.json", path))
	source, seen := newSource(t, Settings{Path: path})
	publish("2", 8)
	must(t, os.RemoveAll(filepath.Join(volume, "1")))
	source.Reload()
	if rate(source.Book()) != 8 || len(seen.all) != 1 || seen.all[0].Result != ResultSwapped {
		t.Errorf("%s, %+v", source.Book().ID(), seen.all)
	}
}

func TestOverlayFile(t *testing.T) {
	directory := t.TempDir()
	book, overlay := filepath.Join(directory, "book.json"), filepath.Join(directory, "own.json")
	place(t, book, bookText("1", 7))
	place(t, overlay, "{}")
	source, seen := newSource(t, Settings{Path: book, OverridesPath: overlay})
	for _, step := range []struct {
		overlay, book string
		rate          int64
		refused       bool
	}{
		{overlayText, bookText("1", 7), 3, false},
		{`{"models":[]`, bookText("2", 8), 3, true},
		{"{}", bookText("2", 8), 8, false},
	} {
		*seen = reports{}
		place(t, book, step.book)
		place(t, overlay, step.overlay)
		source.Reload()
		if got := rate(source.Book()); got != step.rate {
			t.Errorf("%s: the rate is %d, want %d", step.overlay, got, step.rate)
		}
		if last := seen.errs[len(seen.errs)-1]; (last != nil) != step.refused {
			t.Errorf("%s: reported %v", step.overlay, seen)
		}
	}
}

func TestLargeFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.json")
	place(t, path, "")
	if err := os.Truncate(path, maxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Settings{Path: path}); !errors.Is(err, errTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestPollSwapsUnderReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book.json")
	place(t, path, bookText("1", 1))
	swapped := make(chan error, 64)
	source, err := New(Settings{Path: path, PollInterval: time.Millisecond, OnReload: func(r Report) { swapped <- r.Err }})
	if err != nil {
		t.Fatal(err)
	}
	source.Start(t.Context(), nil)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := int64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Versions only go forward, and version and rate are of one book.
				book := source.Book()
				if got := rate(book); got < last || book.Version() != fmt.Sprint(got) {
					t.Errorf("the rate is %d in version %s after %d", got, book.Version(), last)
					return
				} else {
					last = got
				}
			}
		})
	}
	for version := int64(2); version <= 10; version++ {
		place(t, path, bookText(fmt.Sprint(version), version))
		if err := <-swapped; err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
	source.Close()
	if rate(source.Book()) != 10 {
		t.Error("the last book is not in use")
	}
}
