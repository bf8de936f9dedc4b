package tokenomicsprocessor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otel-tokenomics/otel-tokenomics/collector/booksource"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadata"
)

// tokenomicsProcessor prices spans and log records. It keeps nothing of them.
type tokenomicsProcessor struct {
	logger    *zap.Logger
	builder   *metadata.TelemetryBuilder
	books     *booksource.Source
	endpoints *endpoints
	options   attributes.Options
	writer    writer
	guesses   *guesses
	tags      *tagRules
	sensitive *sensitive
	counters  counters
	bookState bookState
	// client makes what asks the address of a book; nil where there is none.
	client func(context.Context, component.Host) (*http.Client, error)
	// told holds the coding agents of which was said that their other signal is charged.
	told sync.Map

	unknownHostUnpriced bool
	keep, overwrite     bool
	maxAge              time.Duration
}

func newProcessor(set processor.Settings, cfg *Config) (*tokenomicsProcessor, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	p := &tokenomicsProcessor{
		logger: set.Logger, builder: builder, options: cfg.options(), guesses: newGuesses(),
		writer: newWriter(cfg), tags: newTagRules(&cfg.Tags), sensitive: newSensitive(&cfg.Sensitive),
		unknownHostUnpriced: cfg.UnknownHost == unknownHostUnpriced,
		keep:                cfg.OnExisting == onExistingKeep,
		overwrite:           cfg.OnExisting == onExistingOverwrite,
		maxAge:              cfg.MaxAge,
	}
	settings, err := cfg.source()
	if err != nil {
		return nil, err
	}
	if cfg.Book.HTTP.HasValue() {
		remote := cfg.Book.HTTP.Get()
		p.client = func(ctx context.Context, host component.Host) (*http.Client, error) {
			return remote.client(ctx, host, set.TelemetrySettings)
		}
	}
	settings.OnReload = p.reloaded
	if p.books, err = booksource.New(settings); err != nil {
		return nil, fmt.Errorf("\"book\": %w", err)
	}
	if p.endpoints, err = newEndpoints(cfg, p.books.Book()); err != nil {
		return nil, err
	}
	return p, nil
}

// source returns where the price book comes from.
func (c *Config) source() (booksource.Settings, error) {
	overlay, err := c.overlay()
	if err != nil {
		return booksource.Settings{}, err
	}
	settings := booksource.Settings{Overrides: overlay, MaxChangeRatio: pricing.DefaultMaxChangeRatio}
	for _, file := range c.Book.Overlays {
		settings.OverridesPath, settings.PollInterval = file.Path, file.ReloadInterval
	}
	for _, file := range c.Book.Files {
		settings.Path = file.Path
		// Both files are looked at together, as often as the more impatient one asks.
		if settings.PollInterval == 0 || file.ReloadInterval > 0 && file.ReloadInterval < settings.PollInterval {
			settings.PollInterval = file.ReloadInterval
		}
	}
	if c.Book.HTTP.HasValue() {
		if settings.Remote, err = c.Book.HTTP.Get().remote(); err != nil {
			return booksource.Settings{}, err
		}
	}
	return settings, nil
}

func (p *tokenomicsProcessor) start(ctx context.Context, host component.Host) error {
	p.bookState.follow(host)
	if err := p.counters.register(p.builder, p.books, p.tags); err != nil {
		return err
	}
	var client *http.Client
	if p.client != nil {
		var err error
		if client, err = p.client(ctx, host); err != nil {
			return err
		}
	}
	if names := p.endpoints.strangers(p.books.Book()); len(names) > 0 {
		// Not refused: a provider without prices is a fact, and its calls show as unpriced.
		p.logger.Warn("\"endpoints\" names providers that the price book does not know", zap.Strings("providers", names))
	}
	p.logger.Info("price book in use", zap.String("book", p.books.Book().ID()), zap.Int("models", p.books.Book().Len()))
	p.books.Start(ctx, client)
	return nil
}

func (p *tokenomicsProcessor) shutdown(context.Context) error {
	p.books.Close()
	p.builder.Shutdown()
	return nil
}

// maxAttributes is far above the limit of any SDK (128 by default): a span with more is not worth reading.
const maxAttributes = 4096

// batch is what one ConsumeTraces needs, kept together so that it is allocated once.
type batch struct {
	book    *pricing.Book
	stale   bool
	scope   attributes.Scope
	span    attributes.Span
	reading attributes.Reading
	result  pricing.Result
	tally   tally
	guess   guess
	// tags gives those of the resource whose spans are at hand, which is the resource-th of the batch; missing are the
	// tags of a policy that the span at hand lacks.
	tags     tagger
	missing  uint32
	resource int
	calls    calls
}

func (p *tokenomicsProcessor) processTraces(_ context.Context, traces ptrace.Traces) (ptrace.Traces, error) {
	p.priceTraces(traces)
	if p.sensitive != nil {
		// After everything was read: a tag may come from what goes no further.
		p.sensitive.traces(traces)
	}
	return traces, nil
}

func (p *tokenomicsProcessor) priceTraces(traces ptrace.Traces) {
	// Made for the first span that is worth it: most batches of most pipelines hold no model call.
	var work *batch
	var passed int64
	// One book for the whole batch, whatever is swapped meanwhile.
	book := p.books.Book()
	// Own prices may charge operations that are no model call: then every span is looked at.
	adjacent := book.HasAdjacent()
	for index, resource := range traces.ResourceSpans().All() {
		arrived := false
		for _, scope := range resource.ScopeSpans().All() {
			entered := false
			for _, span := range scope.Spans().All() {
				if !adjacent && !worthReading(span) {
					passed++
					continue
				}
				if work == nil {
					work = p.newBatch(book)
				}
				if !arrived {
					work.tags.enter(resource.Resource().Attributes())
					work.resource, arrived = index, true
				}
				if !entered {
					work.scope = attributes.Scope{
						Name: scope.Scope().Name(), Version: scope.Scope().Version(), Service: serviceOf(resource.Resource()),
					}
					work.span.Enter(work.scope)
					entered = true
				}
				work.tally.outcomes[p.safely(work, span)]++
			}
		}
	}
	if work == nil {
		p.counters.passed(passed, 0)
		return
	}
	work.tally.outcomes[outcomePassed] += passed
	p.safelySettle(work, traces)
	p.counters.add(&work.tally)
	work.done()
}

// batches keeps the room that a batch took for the next one.
var batches = sync.Pool{New: func() any { return new(batch) }}

// maxKept is the most calls whose room is kept: more than a usual batch has spans.
const maxKept = 10_000

// done gives the room of a batch back, and holds on to nothing else of it.
func (b *batch) done() {
	if cap(b.calls.calls) > maxKept {
		return
	}
	b.calls.forget()
	*b = batch{calls: b.calls}
	batches.Put(b)
}

func (p *tokenomicsProcessor) newBatch(book *pricing.Book) *batch {
	work := batches.Get().(*batch)
	work.book, work.tags.rules = book, p.tags
	work.stale = p.maxAge > 0 && time.Since(time.UnixMilli(work.book.GeneratedAtMillis())) > p.maxAge
	return work
}

// worthReading says whether any attribute can make the span a model call. Most spans of a pipeline end here.
func worthReading(span ptrace.Span) bool {
	for key := range span.Attributes().All() {
		if attributes.Opens(key) && attributes.Decisive(key) {
			return true
		}
	}
	return false
}

func serviceOf(resource pcommon.Resource) string {
	name, _ := resource.Attributes().Get(attributes.ServiceName)
	return name.Str()
}

var errPanic = errors.New("item could not be read")

// recovered keeps an item that nobody foresaw from stopping the pipeline: it passes and is counted. What was written
// before a failure stays, which is nothing: everything is read and priced before the first write.
func (p *tokenomicsProcessor) recovered(result *outcome) {
	if failure := recover(); failure != nil {
		*result = outcomeMalformed
		// The kind of the failure, not its text, which may hold what the item held.
		p.logger.Error("internal failure", zap.Error(errPanic), zap.String("panic", fmt.Sprintf("%T", failure)), zap.Stack("stack"))
	}
}

func (p *tokenomicsProcessor) safely(work *batch, span ptrace.Span) (result outcome) {
	defer p.recovered(&result)
	result = p.process(work, span)
	if result != outcomeMalformed {
		work.calls.note(work, span, &p.options, result)
	}
	return result
}

func (p *tokenomicsProcessor) process(work *batch, span ptrace.Span) outcome {
	found := span.Attributes()
	work.missing = 0
	if found.Len() > maxAttributes {
		return outcomeMalformed
	}
	spancost.Observe(&work.span, span)
	if result := p.charge(work, found); result != outcomePassed {
		return result
	}
	return p.adjacent(work, span)
}

// charge prices the observed item; what is no call of a model passes.
func (p *tokenomicsProcessor) charge(work *batch, found pcommon.Map) outcome {
	reading := &work.reading
	work.span.Read(&p.options, reading)
	switch reading.Verdict {
	case attributes.VerdictPass:
		p.retag(work, found)
		return outcomePassed
	case attributes.VerdictMalformed:
		return outcomeMalformed
	case attributes.VerdictNotApplicable:
		p.tellChoice(reading.Agent)
		p.writer.notApplicable(found, &work.span, reading, reading.Reason)
		if p.options.PriceContainers && reading.Reason == attributes.ReasonContainer {
			p.container(work, found)
		}
		return outcomeNotApplicable
	case attributes.VerdictPrice:
	}
	if p.endpoints.apply(work.book, reading) && !reading.Query.HasStated {
		p.writer.notApplicable(found, &work.span, reading, reasonBilledElsewhere)
		return outcomeNotApplicable
	}
	p.price(work)
	p.tag(work, found)
	p.writer.cost(found, &work.span, reading, &work.result, work.book.ID())
	return work.tally.settled(reading, &work.result)
}

// container leaves on a span that repeats calls what its usage would cost: for the roll-up, which sees whether there are
// any. A price that is a lower bound, or none, is left out.
func (p *tokenomicsProcessor) container(work *batch, found pcommon.Map) {
	if work.reading.Query.Usage.Has == 0 || p.endpoints.apply(work.book, &work.reading) {
		return
	}
	p.price(work)
	if status := work.result.Status; status == pricing.StatusPriced || status == pricing.StatusFree {
		p.writer.computed(found, &work.reading, &work.result, work.book.ID())
	}
}

// tag gives a charge its business tags.
func (p *tokenomicsProcessor) tag(work *batch, own pcommon.Map) {
	work.missing = work.tags.put(own)
	work.tally.miss(work.missing, 1)
}

// retag gives the charge of an earlier step, whose figures stay, its tags: rules hold for it as for ours.
func (p *tokenomicsProcessor) retag(work *batch, own pcommon.Map) {
	if !p.tags.active() {
		return
	}
	if status, _ := own.Get(attributes.TokenomicsCostStatus); status.Str() != "" && status.Str() != spancost.StatusNotApplicable {
		p.tag(work, own)
	}
}

// tellChoice says once of each coding agent that what it sends here is not charged: where its other signal goes somewhere
// else, nobody shall look for its cost in vain.
func (p *tokenomicsProcessor) tellChoice(agent *attributes.Agent) {
	if agent == nil {
		return
	}
	if _, said := p.told.LoadOrStore(agent, true); !said {
		p.logger.Info("a coding agent's calls are charged on its other signal, see \"agents\"", zap.String("agent", agent.Name()))
	}
}

// adjacent charges an operation that is no model call, where own prices say what one costs.
func (p *tokenomicsProcessor) adjacent(work *batch, span ptrace.Span) outcome {
	found := span.Attributes()
	// A server's own span is the other side of the same operation; what an earlier step of ours said stays.
	if !work.book.HasAdjacent() || work.span.Kind == attributes.KindServer || work.span.Ours() || has(found, attributes.TokenomicsChargeKind) {
		return outcomePassed
	}
	cost := work.book.Adjacent(func(key string) (string, bool) {
		value, ok := found.Get(key)
		if !ok || value.Type() != pcommon.ValueTypeStr {
			return "", false
		}
		return value.Str(), true
	})
	if cost == nil {
		return outcomePassed
	}
	p.tag(work, found)
	p.writer.adjacent(found, cost, work.book.ID())
	if cost.Pico == 0 {
		return outcomeFree
	}
	return outcomePriced
}

func has(found pcommon.Map, key string) bool {
	_, ok := found.Get(key)
	return ok
}

// price fills the result of a batch from its reading.
func (p *tokenomicsProcessor) price(work *batch) {
	reading, result := &work.reading, &work.result
	q := &reading.Query
	q.UnknownHostUnpriced = p.unknownHostUnpriced
	if p.overwrite && !reading.Own && !reading.Settled && !reading.CacheHit {
		q.HasStated = false
	}
	work.book.Price(q, result)
	if reading.CacheHit {
		// Of course our price of the call differs from what its repetition cost.
		result.Flags &^= pricing.FlagPriceConflict
	}
	if !reading.Own && result.HasTotal && !q.HasStated && p.guesses.rests(work) {
		result.Flags |= pricing.FlagAssumedDefault
	}
	if reading.Estimate.Zero && result.Status != pricing.StatusFree {
		result.Flags |= pricing.FlagForeignZeroIgnored
	}
	if work.stale && (result.HasComputed || result.HasTotal && !q.HasStated) {
		result.Flags |= pricing.FlagStaleBook
	}
	work.tally.compare(reading, result)
	if p.keep && reading.Estimate.Has && !q.HasStated {
		adopt(result, reading.Estimate.Pico)
	} else if result.Source == pricing.SourceComputed {
		result.Source = attributes.SourceCollector
	}
}

const reasonBilledElsewhere = "billed_elsewhere"

// adopt makes another library's estimate the total and sets ours beside it: on_existing keep.
func adopt(result *pricing.Result, pico int64) {
	result.Computed, result.HasComputed = result.Total, result.HasTotal
	if !result.HasTotal {
		// No row priced anything. A later step knows by this, or by our figure beside it, that the total was adopted.
		result.SKU = ""
	}
	result.Total, result.HasTotal = pico, true
	result.List, result.HasList = 0, false
	result.Parts = [pricing.PartCount]int64{}
	result.HasSavingsBatch, result.HasSavingsCache = false, false
	result.Status, result.Reason = pricing.StatusPriced, ""
	if pico == 0 {
		result.Status = pricing.StatusFree
	}
	// The library that instruments the service stated it, not the party that bills.
	result.Source, result.Basis = pricing.SourceComputed, pricing.BasisList
}
