package booksource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// DefaultPollInterval is how often files are looked at. Notifications would miss the symlink swap of a Kubernetes
// volume.
const DefaultPollInterval = 30 * time.Second

// Kind names what a report is about.
type Kind string

// The files that a source can read.
const (
	KindBook     Kind = "file"
	KindOverlay  Kind = "overrides"
	KindEmbedded Kind = "embedded"
)

// Settings say which book is used. The zero value is the embedded book, never reloaded.
type Settings struct {
	// Path is the file of a whole book that stands in the place of the embedded one; empty for none.
	Path string
	// OverridesPath is the file of an overlay, JSON or by its name (.yaml, .yml) YAML; empty for none. Overrides is an overlay in place (JSON).
	OverridesPath string
	Overrides     []byte
	// PollInterval is how often the files are looked at; 0 is DefaultPollInterval.
	PollInterval time.Duration
	// MaxChangeRatio is by how much a rate may move from one book to the next; 0 switches the check off.
	MaxChangeRatio int64
	// OnReload is called after every try to reload that found a changed file, err nil where it succeeded. The book in
	// use is the last good one either way. It must not call the source's Close.
	OnReload func(kind Kind, err error)
}

// errBothOverlays is the error where an overlay is given twice.
var errBothOverlays = errors.New("overrides: give a file or an overlay in place, not both")

// Source holds the book in use. Book may be called from any goroutine.
type Source struct {
	settings Settings
	current  atomic.Pointer[pricing.Book]

	// reload holds everything below, which only one reload at a time may change.
	reload  sync.Mutex
	base    *pricing.Book
	book    file
	overlay file

	cancel context.CancelFunc
	done   chan struct{}
}

// New reads the book and the overlay. A file that is missing or refused is an error: nothing wrong starts.
func New(settings Settings) (*Source, error) {
	if settings.OverridesPath != "" && len(settings.Overrides) > 0 {
		return nil, errBothOverlays
	}
	base, err := pricing.Embedded()
	if err != nil {
		return nil, err
	}
	source := &Source{
		settings: settings, base: base,
		book: file{path: settings.Path}, overlay: file{path: settings.OverridesPath},
	}
	if settings.Path != "" {
		data, _, err := source.book.read()
		if err != nil {
			return nil, err
		}
		if source.base, err = pricing.Parse(data, settings.Path); err != nil {
			return nil, located(err, data)
		}
	}
	if len(settings.Overrides) == 0 {
		source.settings.Overrides = nil
	}
	overlay := source.settings.Overrides
	if settings.OverridesPath != "" {
		if overlay, _, err = source.overlay.read(); err != nil {
			return nil, err
		}
	}
	book, err := source.laidOver(source.base, overlay)
	if err != nil {
		return nil, err
	}
	source.overlay.accept(overlay)
	source.current.Store(book)
	return source, nil
}

// Book returns the book in use. Take it once per batch: a batch never mixes two books.
func (s *Source) Book() *pricing.Book { return s.current.Load() }

// Start polls the files until Close. Without files it does nothing.
func (s *Source) Start(ctx context.Context) {
	if s.settings.Path == "" && s.settings.OverridesPath == "" || s.done != nil {
		return
	}
	interval := s.settings.PollInterval
	if interval <= 0 {
		interval = DefaultPollInterval
	}
	// The start of a component has a context of its own that ends with the start.
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				s.Reload()
			}
		}
	}()
}

// Close ends the polling and waits for a reload under way. The book in use stays.
func (s *Source) Close() {
	if s.done != nil {
		s.cancel()
		<-s.done
	}
}

// Reload looks at the files now and puts a changed, correct book in the place of the one in use.
func (s *Source) Reload() {
	s.reload.Lock()
	defer s.reload.Unlock()
	if data, changed := s.changed(&s.book, KindBook); changed {
		s.report(KindBook, s.swapBook(data))
	}
	if data, changed := s.changed(&s.overlay, KindOverlay); changed {
		s.report(KindOverlay, s.swapOverlay(data))
	}
}

func (s *Source) changed(f *file, kind Kind) (data []byte, changed bool) {
	if f.path == "" {
		return nil, false
	}
	data, changed, err := f.readIfChanged()
	if err != nil {
		s.report(kind, err)
	}
	return data, changed && err == nil
}

func (s *Source) swapBook(data []byte) error {
	next, err := pricing.Parse(data, s.book.path)
	if err != nil {
		return located(err, data)
	}
	if err := s.base.CheckSuccessor(next, s.book.path, s.settings.MaxChangeRatio); err != nil {
		return located(err, data)
	}
	book, err := s.laidOver(next, s.overlayText())
	if err != nil {
		return fmt.Errorf("the overlay in use does not fit the new book: %w", err)
	}
	s.base = next
	s.current.Store(book)
	return nil
}

func (s *Source) swapOverlay(data []byte) error {
	book, err := s.laidOver(s.base, data)
	if err != nil {
		return err
	}
	s.overlay.accept(data)
	s.current.Store(book)
	return nil
}

// overlayText returns the overlay that was accepted last.
func (s *Source) overlayText() []byte {
	if s.settings.OverridesPath != "" {
		return s.overlay.accepted
	}
	return s.settings.Overrides
}

func (s *Source) laidOver(base *pricing.Book, overlay []byte) (*pricing.Book, error) {
	// A file of no bytes is no overlay that says nothing: it is refused like any other text that is no JSON.
	if overlay == nil {
		return base, nil
	}
	origin := s.settings.OverridesPath
	if origin == "" {
		origin = "overrides"
	}
	text, err := jsonText(overlay, origin)
	if err != nil {
		return nil, located(err, nil)
	}
	if err := pricing.RefuseKeyTwice(text, origin); err != nil {
		return nil, located(err, text)
	}
	book, err := base.WithOverlayOf(text, overlay, origin)
	if err != nil && s.settings.OverridesPath != "" {
		err = located(err, text)
	}
	return book, err
}

// located adds the line to a refusal of a file; data is its JSON text.
func located(err error, data []byte) error {
	var refused *pricing.BookError
	if errors.As(err, &refused) {
		refused.Locate(data)
	}
	return err
}

func (s *Source) report(kind Kind, err error) {
	if s.settings.OnReload != nil {
		s.settings.OnReload(kind, err)
	}
}
