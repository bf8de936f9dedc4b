package booksource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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

// Where prices come from. The cache is the copy on disk of what came over http.
const (
	KindBook    Kind = "file"
	KindOverlay Kind = "overrides"
	KindRemote  Kind = "http"
	KindCache   Kind = "cache"
)

// Result is what became of one look for something newer.
type Result string

// Unchanged: the address has nothing newer, or a file has, but the book of the address stands above it. Refused: it came
// and broke a rule. Failed: the address gave nothing, or the copy could not be written.
const (
	ResultSwapped   Result = "swapped"
	ResultUnchanged Result = "unchanged"
	ResultRefused   Result = "refused"
	ResultFailed    Result = "failed"
)

// Report is one look for something newer. Err is set where it was refused or failed.
type Report struct {
	Kind   Kind
	Result Result
	Err    error
}

// Settings say which book is used. The zero value is the embedded book, never reloaded.
type Settings struct {
	// Path is the file of a whole book that stands in the place of the embedded one; empty for none.
	Path string
	// OverridesPath is the file of an overlay, JSON or by its name (.yaml, .yml) YAML; empty for none. Overrides is an overlay in place (JSON).
	OverridesPath string
	Overrides     []byte
	// Remote is the address of a whole book that stands in the place of the embedded one and of the file; nil for none.
	Remote *Remote
	// PollInterval is how often the files are looked at; 0 is DefaultPollInterval.
	PollInterval time.Duration
	// MaxChangeRatio is by how much a rate may move from one book to the next; 0 switches the check off.
	MaxChangeRatio int64
	// OnReload is called after every look that found a changed file, and after every answer of the address. The book in
	// use is the last good one whatever came. Calls never overlap. It must not call the source's Close.
	OnReload func(Report)
}

// errBothOverlays is the error where an overlay is given twice.
var errBothOverlays = errors.New("overrides: give a file or an overlay in place, not both")

// Source holds the book in use. Book may be called from any goroutine.
type Source struct {
	settings Settings
	current  atomic.Pointer[pricing.Book]

	// asked is when the address last gave a book that was accepted, or said that there is none newer.
	asked atomic.Pointer[time.Time]

	// reload holds everything below, which only one reload at a time may change.
	reload sync.Mutex
	// lower is the book of the file, else the embedded one; that of the address stands above it.
	lower   *pricing.Book
	remote  remote
	book    file
	overlay file

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New reads the book, the overlay and the copy of the address's book. A file that is missing or refused is an error:
// nothing wrong starts. A copy that is refused is reported, and the book below it is used until the address answers.
func New(settings Settings) (*Source, error) {
	if settings.OverridesPath != "" && len(settings.Overrides) > 0 {
		return nil, errBothOverlays
	}
	base, err := pricing.Embedded()
	if err != nil {
		return nil, err
	}
	source := &Source{
		settings: settings, lower: base,
		book: file{path: settings.Path}, overlay: file{path: settings.OverridesPath},
	}
	if settings.Path != "" {
		data, _, err := source.book.read()
		if err != nil {
			return nil, err
		}
		if source.lower, err = pricing.Parse(data, settings.Path); err != nil {
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
	book, err := source.laidOver(source.lower, overlay)
	if err != nil {
		return nil, err
	}
	source.overlay.accept(overlay)
	source.current.Store(book)
	if settings.Remote != nil {
		source.restore()
	}
	return source, nil
}

// Book returns the book in use. Take it once per batch: a batch never mixes two books.
func (s *Source) Book() *pricing.Book { return s.current.Load() }

// Fetched returns when the address last gave a book that was accepted, or said that there is none newer; the zero time
// before, without an address, and where the book is pinned by its digest: nothing newer can come.
func (s *Source) Fetched() time.Time {
	at := s.asked.Load()
	if at == nil || s.settings.Remote.SHA256 != "" {
		return time.Time{}
	}
	return *at
}

// Start polls the files and asks the address, at once and then in its interval, until Close. The client bounds the time
// of an answer; it may be nil without an address.
func (s *Source) Start(ctx context.Context, client *http.Client) {
	if s.cancel != nil {
		return
	}
	// The start of a component has a context of its own that ends with the start.
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if s.settings.Path != "" || s.settings.OverridesPath != "" {
		s.running.Go(func() { s.poll(ctx) })
	}
	if s.settings.Remote != nil {
		within := *client
		within.CheckRedirect = sameHost
		s.running.Go(func() { s.follow(ctx, &within) })
	}
}

func (s *Source) poll(ctx context.Context) {
	interval := s.settings.PollInterval
	if interval <= 0 {
		interval = DefaultPollInterval
	}
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
}

// Close ends the polling and asking, and waits for a reload under way. The book in use stays.
func (s *Source) Close() {
	if s.cancel != nil {
		s.cancel()
		s.running.Wait()
	}
}

// Reload looks at the files now and puts a changed, correct book in the place of the one in use.
func (s *Source) Reload() {
	s.reload.Lock()
	defer s.reload.Unlock()
	if data, changed := s.changed(&s.book, KindBook); changed {
		result, err := s.swapBook(data)
		s.report(Report{KindBook, result, err})
	}
	if data, changed := s.changed(&s.overlay, KindOverlay); changed {
		result, err := s.swapOverlay(data)
		s.report(Report{KindOverlay, result, err})
	}
}

func (s *Source) changed(f *file, kind Kind) (data []byte, changed bool) {
	if f.path == "" {
		return nil, false
	}
	data, changed, err := f.readIfChanged()
	if err != nil {
		s.report(Report{kind, ResultRefused, err})
	}
	return data, changed && err == nil
}

func (s *Source) swapBook(data []byte) (Result, error) {
	next, err := pricing.Parse(data, s.book.path)
	if err != nil {
		return ResultRefused, located(err, data)
	}
	if err := s.lower.CheckSuccessor(next, s.book.path, s.settings.MaxChangeRatio); err != nil {
		return ResultRefused, located(err, data)
	}
	if s.remote.book != nil {
		s.lower = next
		return ResultUnchanged, nil
	}
	book, err := s.laidOver(next, s.overlayText())
	if err != nil {
		return ResultRefused, fmt.Errorf("the overlay in use does not fit the new book: %w", err)
	}
	s.lower = next
	s.current.Store(book)
	return ResultSwapped, nil
}

func (s *Source) swapOverlay(data []byte) (Result, error) {
	base := s.lower
	if s.remote.book != nil {
		base = s.remote.book
	}
	book, err := s.laidOver(base, data)
	if err != nil {
		return ResultRefused, err
	}
	s.overlay.accept(data)
	s.current.Store(book)
	return ResultSwapped, nil
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

func (s *Source) report(report Report) {
	if s.settings.OnReload != nil {
		s.settings.OnReload(report)
	}
}
