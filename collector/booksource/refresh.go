package booksource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// remote is what is known of the address of a book. Only whoever asks it reads and changes it, but the book, which wants
// the reload's lock.
type remote struct {
	// book is the last good one, below an overlay; nil before the first.
	book     *pricing.Book
	digest   string
	known    validators
	failures int
}

// follow asks the address again and again until the context ends, or nothing newer can come.
func (s *Source) follow(ctx context.Context, client *http.Client) {
	if s.settings.Remote.SHA256 != "" && s.remote.book != nil {
		return // the copy on disk is what was pinned
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := s.refresh(ctx, client)
		if wait == 0 {
			return
		}
		timer.Reset(wait)
	}
}

// refresh asks once and returns how long to wait until the next time, 0 where nothing newer can come.
func (s *Source) refresh(ctx context.Context, client *http.Client) time.Duration {
	settings := s.settings.Remote
	result, err := s.fetch(ctx, client)
	if ctx.Err() != nil {
		return 0
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	if err != nil {
		s.remote.failures++
		var nothing *fetchError
		var asked time.Duration
		if errors.As(err, &nothing) {
			result, asked = ResultFailed, nothing.retryAfter
		}
		s.report(Report{KindRemote, result, err})
		return settings.wait(s.remote.failures, asked)
	}
	s.remote.failures = 0
	now := time.Now()
	s.asked.Store(&now)
	s.report(Report{Kind: KindRemote, Result: result})
	if settings.SHA256 != "" {
		return 0
	}
	return settings.wait(0, 0)
}

// fetch asks for the book and, where it is another one, for its signature, and puts it into use.
func (s *Source) fetch(ctx context.Context, client *http.Client) (Result, error) {
	settings := s.settings.Remote
	origin := shownURL(settings.URL)
	found, err := get(ctx, client, settings.URL, s.remote.known, maxFileBytes)
	if err != nil {
		return ResultRefused, err
	}
	if found.unchanged {
		return ResultUnchanged, nil
	}
	copied := kept{ETag: found.validators.etag, Modified: found.validators.modified, content: found.content}
	if s.remote.book != nil && digestOf(copied.content) == s.remote.digest {
		s.remote.known = found.validators
		return ResultUnchanged, nil
	}
	if len(settings.Keys) > 0 {
		address := *settings.URL
		address.Path += signatureSuffix
		if address.RawPath != "" {
			address.RawPath += signatureSuffix
		}
		signed, err := get(ctx, client, &address, validators{}, maxSignatureBytes)
		if err != nil {
			return ResultRefused, err
		}
		copied.Signature = string(signed.content)
	}
	next, err := s.acceptable(&copied, origin)
	if err != nil {
		return ResultRefused, err
	}
	s.reload.Lock()
	defer s.reload.Unlock()
	if err := s.follows(next, copied.content, origin); err != nil {
		return ResultRefused, err
	}
	if err := s.swapRemote(next, &copied); err != nil {
		return ResultRefused, err
	}
	s.keep(next, &copied)
	return ResultSwapped, nil
}

// acceptable returns the book of what came, where it is the one that the settings accept.
func (s *Source) acceptable(copied *kept, origin string) (*pricing.Book, error) {
	settings := s.settings.Remote
	if digest := digestOf(copied.content); settings.SHA256 != "" && digest != settings.SHA256 {
		return nil, fmt.Errorf("%s: its sha256 is %s, \"book::http::sha256\" says %s", origin, digest, settings.SHA256)
	}
	if len(settings.Keys) > 0 {
		if err := verify(copied.content, copied.Signature, settings.Keys, origin); err != nil {
			return nil, err
		}
	}
	book, err := pricing.Parse(copied.content, origin)
	if err != nil {
		return nil, located(err, copied.content)
	}
	if settings.Version != "" && book.Version() != settings.Version {
		return nil, fmt.Errorf("%s: version is %q, \"book::http::version\" pins %q", origin, book.Version(), settings.Version)
	}
	return book, nil
}

// follows refuses a book that goes back behind the last good one of the address or, before there is one, behind the book
// of the same name that it would replace.
func (s *Source) follows(next *pricing.Book, content []byte, origin string) error {
	before := s.remote.book
	if before == nil && s.lower.Name() == next.Name() {
		before = s.lower
	}
	if before == nil || s.settings.Remote.pinned() {
		return nil
	}
	return located(before.CheckSuccessor(next, origin, s.settings.MaxChangeRatio), content)
}

// swapRemote puts an accepted book of the address into use.
func (s *Source) swapRemote(next *pricing.Book, copied *kept) error {
	book, err := s.laidOver(next, s.overlayText())
	if err != nil {
		return fmt.Errorf("the overlay in use does not fit the new book: %w", err)
	}
	s.remote.book, s.remote.digest = next, digestOf(copied.content)
	s.remote.known = validators{copied.ETag, copied.Modified}
	s.current.Store(book)
	return nil
}

// restore puts the copy on disk into use, checked like a book that came this minute. It is passed over where the book
// below it is newer: a release brings one.
func (s *Source) restore() {
	path := s.settings.Remote.cachePath()
	copied, err := readCopy(path)
	if copied == nil && err == nil {
		return
	}
	if err == nil {
		known := validators{copied.ETag, copied.Modified}.clean()
		copied.ETag, copied.Modified = known.etag, known.modified
		var book *pricing.Book
		if book, err = s.acceptable(copied, path); err == nil {
			if !s.settings.Remote.pinned() && book.Name() == s.lower.Name() && book.GeneratedAtMillis() < s.lower.GeneratedAtMillis() {
				return
			}
			err = s.swapRemote(book, copied)
		}
	}
	if err != nil {
		s.report(Report{KindCache, ResultRefused, err})
		return
	}
	s.report(Report{Kind: KindCache, Result: ResultSwapped})
}

// keep writes the copy for the next start, unless another collector kept a newer one meanwhile.
func (s *Source) keep(next *pricing.Book, copied *kept) {
	path := s.settings.Remote.cachePath()
	if path == "" {
		return
	}
	if other, err := readCopy(path); err == nil && other != nil {
		if book, err := s.acceptable(other, path); err == nil && book.Name() == next.Name() && book.GeneratedAtMillis() > next.GeneratedAtMillis() {
			return
		}
	}
	if err := copied.write(path); err != nil {
		s.report(Report{KindCache, ResultFailed, err})
	}
}
