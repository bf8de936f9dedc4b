package tokenomicsconnector

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// maxAttributes is far above the limit of any SDK (128 by default): an item with more is not worth reading.
const maxAttributes = 4096

// oldEnvironment is what deployment.environment.name was called before.
const oldEnvironment = "deployment.environment"

var partKeys = [pricing.PartCount]string{
	attributes.TokenomicsCostInput, attributes.TokenomicsCostCacheRead, attributes.TokenomicsCostCacheWrite,
	attributes.TokenomicsCostOutput, attributes.TokenomicsCostReasoning, attributes.TokenomicsCostTools,
	attributes.TokenomicsCostRequests,
}

// work is what reading one item after the other needs, kept so that nothing is allocated for them.
type work struct {
	span     attributes.Span
	settled  attributes.Settled
	from, of place
	parts    partAmounts
	measured measurement
	key      []byte
	// order remembers what the last item bore in each place: most calls of a service bear the same keys in one order.
	order [64]*attributes.Spelling
}

// ConsumeTraces counts the spans of a batch. It never fails: the spans go their own way.
func (c *tokenomicsConnector) ConsumeTraces(_ context.Context, traces ptrace.Traces) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrive()
	items := &c.counters.items[signalTraces]
	for _, resource := range traces.ResourceSpans().All() {
		c.readResource(resource.Resource().Attributes())
		for _, scope := range resource.ScopeSpans().All() {
			c.work.span.Enter(attributes.Scope{Name: scope.Scope().Name(), Version: scope.Scope().Version()})
			// After one of ours the next is likely one too, and is read without asking first.
			ours := false
			for _, span := range scope.Spans().All() {
				found := span.Attributes()
				if ours = ours || isDecided(found); !ours {
					items[outcomeSkipped]++
					continue
				}
				c.work.measured.id = spanID{span.TraceID(), span.SpanID()}
				if c.weighted {
					c.work.measured.weight = weightOf(span.TraceState().AsRaw())
				}
				result := c.safely(found, c.recent)
				ours = result != outcomeSkipped
				items[result]++
			}
		}
	}
	return nil
}

// ConsumeLogs counts the records of a batch, such as those of coding agents. Several may belong to one span, so none is
// taken for another's repetition, and none stands for others.
func (c *tokenomicsConnector) ConsumeLogs(_ context.Context, logs plog.Logs) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrive()
	c.work.measured.weight = one
	items := &c.counters.items[signalLogs]
	for _, resource := range logs.ResourceLogs().All() {
		c.readResource(resource.Resource().Attributes())
		for _, scope := range resource.ScopeLogs().All() {
			c.work.span.Enter(attributes.Scope{Name: scope.Scope().Name(), Version: scope.Scope().Version()})
			// After one of ours the next is likely one too, and is read without asking first.
			ours := false
			for _, record := range scope.LogRecords().All() {
				found := record.Attributes()
				if ours = ours || isDecided(found); !ours {
					items[outcomeSkipped]++
					continue
				}
				c.work.measured.id = spanID{record.TraceID(), record.SpanID()}
				result := c.safely(found, nil)
				ours = result != outcomeSkipped
				items[result]++
			}
		}
	}
	return nil
}

// isDecided says whether a step of ours decided about an item.
func isDecided(found pcommon.Map) bool {
	_, ours := found.Get(attributes.TokenomicsCostStatus)
	return ours
}

func (c *tokenomicsConnector) arrive() {
	c.work.measured.now, c.work.measured.epoch = c.clock.now().UnixNano(), c.state.epoch
}

// readResource keeps what all items of a resource have in common.
func (c *tokenomicsConnector) readResource(found pcommon.Map) {
	c.work.of = place{}
	for key, value := range found.All() {
		switch key {
		case attributes.ServiceName:
			c.work.of.service = text(value)
		case oldEnvironment:
			if c.work.of.environment == "" {
				c.work.of.environment = text(value)
			}
		default:
			c.readPlace(&c.work.of, key, value)
		}
	}
}

// mayTellPlace rules most keys out by their first letter.
func mayTellPlace(key string) bool { return key != "" && (key[0] == 't' || key[0] == 'd') }

// readPlace takes an attribute that says whose an item is; the item's own word wins over its resource's.
func (c *tokenomicsConnector) readPlace(target *place, key string, value pcommon.Value) {
	if key == attributes.DeploymentEnvironmentName {
		if stated := text(value); stated != "" {
			target.environment = stated
		}
		return
	}
	if !strings.HasPrefix(key, attributes.TokenomicsTagPrefix) {
		return
	}
	for index, name := range c.state.tagKeys {
		if key == name {
			if stated := text(value); stated != "" {
				target.tags[index] = stated
			}
		}
	}
}

// text returns a text as a dimension has it, nothing for a value of another type.
func text(value pcommon.Value) string {
	if value.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return clip(value.Str())
}

var errPanic = errors.New("item could not be read")

// safely keeps an item that nobody foresaw from stopping the pipeline: it is counted as malformed.
func (c *tokenomicsConnector) safely(found pcommon.Map, seen *recent) (result outcome) {
	defer func() {
		if failure := recover(); failure != nil {
			result = outcomeMalformed
			// The kind of the failure, not its text, which may hold what the item held.
			c.logger.Error("internal failure", zap.Error(errPanic), zap.String("panic", fmt.Sprintf("%T", failure)), zap.Stack("stack"))
		}
	}()
	return c.count(found, seen)
}

func (c *tokenomicsConnector) count(found pcommon.Map, seen *recent) outcome {
	w := &c.work
	if found.Len() > maxAttributes {
		if isDecided(found) {
			return outcomeMalformed
		}
		return outcomeSkipped
	}
	c.observe(found)
	if !w.span.Decided() {
		return outcomeSkipped
	}
	if !w.span.Settle(&w.settled) {
		return outcomeMalformed
	}
	if result := judge(&w.settled); result != outcomeCounted {
		return result
	}
	if id := w.measured.id; seen != nil && !id.span.IsEmpty() && seen.again(id, w.measured.now) {
		return outcomeDeduplicated
	}
	if c.state.byPart {
		c.readParts(found)
	}
	weighted := !w.measured.weight.exact()
	w.key = c.state.key(w.key[:0], &w.from, &w.settled, weighted)
	c.state.record(c.state.groupOf(w.key, &w.from, &w.settled, weighted), &w.settled, &w.parts, &w.measured)
	return outcomeCounted
}

// observe hands the attributes of an item to the reader. Only values that a rule reads are looked at.
func (c *tokenomicsConnector) observe(found pcommon.Map) {
	w := &c.work
	w.span.Reset()
	w.from.service, w.from.environment = w.of.service, w.of.environment
	copy(w.from.tags[:len(c.state.tagKeys)], w.of.tags[:])
	position, order := 0, &w.order
	for key, value := range found.All() {
		guess := &order[position&(len(order)-1)]
		position++
		spelling := *guess
		if !spelling.Is(key) {
			spelling = nil
			// Most other keys end at their first two letters.
			if attributes.Reads(key) {
				spelling = attributes.Find(key)
			}
			if spelling == nil {
				if mayTellPlace(key) {
					c.readPlace(&w.from, key, value)
				}
				continue
			}
			*guess = spelling
		}
		if spelling.Settles() {
			w.span.Take(spelling, spancost.Value(value))
		}
	}
}

// judge says whether an item is counted. What is not applicable repeats another's call and adds nothing; a call of its
// own that failed, or that somebody else bills, is still a request.
func judge(it *attributes.Settled) outcome {
	switch it.Status {
	case pricing.StatusPriced, pricing.StatusPartial, pricing.StatusFree:
		if !it.HasTotal || it.Currency != "" && it.Currency != currencyUSD {
			return outcomeMalformed
		}
	case pricing.StatusUnpriced:
	case statusNotApplicable:
		if it.Charge != "" || it.Reason != attributes.ReasonCallFailed && it.Reason != reasonBilledElsewhere {
			return outcomeNotApplicable
		}
	default:
		return outcomeMalformed
	}
	return outcomeCounted
}

const (
	statusNotApplicable   = "not_applicable"
	reasonBilledElsewhere = "billed_elsewhere"
)

func (c *tokenomicsConnector) readParts(found pcommon.Map) {
	for part, key := range partKeys {
		c.work.parts[part] = 0
		if value, there := found.Get(key); there {
			c.work.parts[part], _ = attributes.Pico(spancost.Value(value))
		}
	}
}
