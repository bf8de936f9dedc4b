package tokenomicsprocessor

import (
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/otel-tokenomics/otel-tokenomics/collector/booksource"
)

// bookState is the health of the price book: which of its sources last gave something that could not be used.
type bookState struct {
	mu     sync.Mutex
	host   component.Host
	failed map[booksource.Kind]string
}

// follow reports to a host from now on.
func (b *bookState) follow(host component.Host) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.host = host
}

// note takes what became of one look, tells the host of a change, and returns whether it is another trouble than the one
// of the look before.
func (b *bookState) note(report booksource.Report) (isNew bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var event *componentstatus.Event
	if report.Err != nil {
		isNew = b.failed[report.Kind] != report.Err.Error()
		if b.failed == nil {
			b.failed = map[booksource.Kind]string{}
		}
		b.failed[report.Kind] = report.Err.Error()
		if !isNew {
			return false
		}
		event = componentstatus.NewRecoverableErrorEvent(report.Err)
	} else {
		_, mended := b.failed[report.Kind]
		delete(b.failed, report.Kind)
		// The other source of trouble may be there still.
		if !mended || len(b.failed) > 0 {
			return false
		}
		event = componentstatus.NewEvent(componentstatus.StatusOK)
	}
	if b.host != nil {
		componentstatus.ReportStatus(b.host, event)
	}
	return isNew
}

// reloaded reports what became of a look for a newer book. What was refused or failed keeps the last good book in use,
// with one WARN as long as the trouble is the same.
func (p *tokenomicsProcessor) reloaded(report booksource.Report) {
	p.counters.reloaded(report)
	source := zap.String("source", string(report.Kind))
	if report.Kind == booksource.KindCache {
		// The book in use is none the worse for its copy on disk: no event of health.
		if report.Err != nil {
			p.logger.Warn("copy of the price book on disk not used", source, zap.String("result", string(report.Result)), zap.Error(report.Err))
		}
		return
	}
	isNew := p.bookState.note(report)
	level := zap.DebugLevel
	switch {
	case report.Result == booksource.ResultSwapped:
		p.logger.Info("price book reloaded", source, zap.String("book", p.books.Book().ID()))
		return
	case report.Err == nil && report.Kind == booksource.KindBook:
		p.logger.Info("price book read, that of the address stays in use", source, zap.String("book", p.books.Book().ID()))
		return
	case report.Err == nil:
		p.logger.Debug("price book unchanged", source)
		return
	case isNew:
		level = zap.WarnLevel
	}
	p.logger.Log(level, "price book "+string(report.Result)+", the last good one stays in use", source, zap.Error(report.Err))
}
