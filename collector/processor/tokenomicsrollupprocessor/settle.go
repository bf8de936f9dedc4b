package tokenomicsrollupprocessor

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
	"github.com/otel-tokenomics/otel-tokenomics/collector/rollup"
)

const (
	prefixSubtree = "tokenomics.subtree."
	prefixTrace   = "tokenomics.trace."

	picoPerMicro = 1_000_000
	// maxAttributes is far above the limit of any SDK (128 by default): a span with more is not worth reading.
	maxAttributes = 4096
	// maxWritten is how many attributes a root gets.
	maxWritten = 10
	// maxKept is how many spans a trace may have whose working memory is kept for the next one.
	maxKept = 16_384
)

// settler works one group out: the spans of one trace. It is reused.
type settler struct {
	dedupe, bare bool

	span    attributes.Span
	options attributes.Options
	// spans, scopes and nodes are parallel. inclusive marks those that bear subtree or trace totals already.
	spans     []ptrace.Span
	scopes    []string
	nodes     []rollup.Node
	inclusive []bool
	// calls are those of the nodes at callAt that are calls.
	calls  []rollup.Call
	callAt []int
	totals rollup.Totals
	// counts is set where anything of the group matters for a total.
	counts bool

	byRule   [2]int64
	complete bool
	// early is set where spans of the trace may be elsewhere, whatever the group itself looks like.
	early bool
}

func newSettlers(cfg *Config) *sync.Pool {
	return &sync.Pool{New: func() any { return &settler{dedupe: cfg.DedupeNested, bare: cfg.CountBareContainers} }}
}

func (s *settler) reset() {
	clear(s.spans)
	clear(s.scopes)
	clear(s.calls)
	s.spans, s.scopes, s.nodes, s.inclusive = s.spans[:0], s.scopes[:0], s.nodes[:0], s.inclusive[:0]
	s.calls, s.callAt = s.calls[:0], s.callAt[:0]
	s.counts, s.complete, s.byRule = false, false, [2]int64{}
}

// add reads one span of the group.
func (s *settler) add(span ptrace.Span, scope string, resource int) {
	node := rollup.Node{ID: span.SpanID(), Parent: span.ParentSpanID(), Start: uint64(span.StartTimestamp())}
	worth, inclusive := false, false
	for key := range span.Attributes().All() {
		if !attributes.Opens(key) {
			continue
		}
		worth = worth || attributes.Decisive(key)
		inclusive = inclusive || isInclusive(key)
	}
	if worth && span.Attributes().Len() <= maxAttributes {
		s.read(&node, span, scope, resource)
	}
	s.spans, s.scopes, s.nodes = append(s.spans, span), append(s.scopes, scope), append(s.nodes, node)
	s.inclusive = append(s.inclusive, inclusive)
	s.counts = s.counts || inclusive
}

func isInclusive(key string) bool {
	return strings.HasPrefix(key, prefixSubtree) || strings.HasPrefix(key, prefixTrace)
}

func (s *settler) read(node *rollup.Node, span ptrace.Span, scope string, resource int) {
	spancost.Observe(&s.span, span)
	owned := s.span.Owned(&s.options)
	node.Own, node.HasOwn = owned.Pico, owned.HasTotal
	node.Call, node.Unpriced = owned.Call, owned.Unpriced
	node.Computed, node.HasComputed = owned.Computed, owned.HasComputed
	if owned.HasTotal || owned.HasComputed {
		node.Model = spancost.Text(span, attributes.TokenomicsPriceModel)
	}
	node.Container, node.Input, node.Output = owned.Container, owned.InputTokens, owned.OutputTokens
	s.counts = s.counts || node.HasOwn || node.Call || node.Input+node.Output > 0 && (s.bare || !node.Container)
	if !s.dedupe {
		return
	}
	status, reason := spancost.Text(span, attributes.TokenomicsCostStatus), spancost.Text(span, attributes.TokenomicsCostReason)
	if id, ok := s.span.Identify(&s.options, status, reason); ok {
		s.calls = append(s.calls, spancost.CallOf(span, &id, scope, resource))
		s.callAt = append(s.callAt, len(s.nodes))
	}
}

// settle takes repeated charges off, adds up, and writes.
func (s *settler) settle(why cause, began time.Time, longest time.Duration) {
	s.takeBack()
	s.totals.Add(s.nodes, s.bare)
	s.early = why.early() || s.underWay(began, longest) || s.fewer()
	s.complete = s.totals.Whole && !s.early
	if s.bare && s.complete {
		s.charge()
	} else if s.bare {
		// Of a part of a trace nobody knows whether a container's calls are in another one.
		s.forgetBare()
		s.totals.Add(s.nodes, false)
	}
	if !s.counts && !s.early {
		return
	}
	for place := range s.spans {
		s.write(place)
	}
}

// charge puts the cost of containers that stand for calls on them.
func (s *settler) charge() {
	for place := range s.nodes {
		if node := &s.nodes[place]; node.Bare && node.HasOwn {
			spancost.Charge(s.spans[place].Attributes(), node.Own)
		}
	}
}

// forgetBare makes containers again of those that stood for calls.
func (s *settler) forgetBare() {
	for place := range s.nodes {
		if node := &s.nodes[place]; node.Bare {
			node.Bare, node.Call, node.Unpriced, node.Own, node.HasOwn = false, false, false, 0, false
		}
	}
}

// fewer says whether the SDK counted more calls below the root than are here: no parent is missing where it is the calls
// that a filter took, or that went to another instance.
func (s *settler) fewer() bool {
	if s.totals.Root < 0 {
		return false
	}
	counted, _ := s.spans[s.totals.Root].Attributes().Get(attributes.TokenomicsTraceLlmCalls)
	return counted.Int() > s.totals.Trace.Calls+s.byRule[0]+s.byRule[1]
}

// underWay says whether the trace was under way when the processor began, or on its way here: what came of it before
// went through another instance, or through this one before a restart. What ended longer ago than a trace is held is a
// replay of something old, and all here.
func (s *settler) underWay(began time.Time, longest time.Duration) bool {
	if s.totals.Root < 0 || began.IsZero() {
		return false
	}
	root := s.spans[s.totals.Root]
	return root.StartTimestamp().AsTime().Before(began) && root.EndTimestamp().AsTime().Add(longest).After(began)
}

// takeBack takes off what another span of the trace holds.
func (s *settler) takeBack() {
	for index, found := range rollup.Repeated(s.calls, s.standing) {
		place := s.callAt[index]
		target, node := s.spans[place].Attributes(), &s.nodes[place]
		if found.Verdict != rollup.Keeps {
			reason := attributes.ReasonShadowed
			if found.Verdict == rollup.Container {
				reason = attributes.ReasonContainer
			}
			spancost.Withdraw(target, node.Own, s.calls[index].HasTotal, reason)
			*node = rollup.Node{ID: node.ID, Parent: node.Parent, Start: node.Start}
			if found.Rule == rollup.ByResponseID {
				s.byRule[0]++
			} else {
				s.byRule[1]++
			}
		}
		if found.Holder < 0 || spancost.Text(s.spans[place], attributes.TokenomicsCostReason) != attributes.ReasonShadowed {
			continue
		}
		// Of several equal calls an earlier step may have chosen another one: its word stays.
		if _, told := target.Get(attributes.TokenomicsShadowedBy); !told || found.Verdict != rollup.Keeps {
			target.PutStr(attributes.TokenomicsShadowedBy, s.spans[s.callAt[found.Holder]].SpanID().String())
		}
	}
}

// standing returns where every span of the group stands.
func (s *settler) standing() map[rollup.Link]rollup.Above {
	found := make(map[rollup.Link]rollup.Above, len(s.spans))
	for place, span := range s.spans {
		link := rollup.Link{Trace: span.TraceID(), ID: span.SpanID()}
		if _, there := found[link]; !there {
			found[link] = rollup.Above{Parent: span.ParentSpanID(), Scope: s.scopes[place]}
		}
	}
	return found
}

// write puts on one span what it and all below it come to. What the SDK wrote is overwritten where the group is
// complete; else the larger figure stays, for both are lower bounds then.
func (s *settler) write(place int) {
	subtree, target := &s.totals.Subtrees[place], s.spans[place].Attributes()
	if s.inclusive[place] && s.complete {
		target.RemoveIf(func(key string, _ pcommon.Value) bool { return isInclusive(key) })
	}
	root := s.totals.Root >= 0 && s.nodes[place].ID == s.nodes[s.totals.Root].ID
	if root {
		target.EnsureCapacity(target.Len() + maxWritten)
	}
	if subtree.Exceeds {
		if subtree.Priced {
			putMoney(target, attributes.TokenomicsSubtreeCostTotal, subtree.Total)
		}
		target.PutBool(attributes.TokenomicsSubtreePartial, subtree.Partial || s.early)
	} else if subtree.Partial && (s.nodes[place].HasOwn || s.nodes[place].Call) {
		// Its ancestors are in another group, which may hold itself for complete: of the two somebody must know.
		target.PutBool(attributes.TokenomicsSubtreePartial, true)
	}
	if root {
		s.writeTrace(target)
	}
}

// writeTrace puts the totals of the trace on its root.
func (s *settler) writeTrace(target pcommon.Map) {
	trace := &s.totals.Trace
	target.PutBool(attributes.TokenomicsTraceComplete, s.complete)
	if !s.counts {
		return
	}
	if trace.Priced {
		putMoney(target, attributes.TokenomicsTraceCostTotal, trace.Total)
	}
	if total, there := moneyAt(target, attributes.TokenomicsTraceCostTotal); there {
		target.PutInt(attributes.TokenomicsTraceCostTotalMicros, total/picoPerMicro)
	}
	if calls, there := target.Get(attributes.TokenomicsTraceLlmCalls); there && calls.Int() > trace.Calls {
		return // the SDK saw more of the trace than is here
	}
	target.PutInt(attributes.TokenomicsTraceLlmCalls, trace.Calls)
	target.PutInt(attributes.TokenomicsTraceUnpricedCalls, trace.Unpriced)
	target.PutInt(attributes.TokenomicsTraceTokensInput, trace.Input)
	target.PutInt(attributes.TokenomicsTraceTokensOutput, trace.Output)
	if trace.TopModel != "" {
		target.PutStr(attributes.TokenomicsTraceTopModel, trace.TopModel)
	}
}

// putMoney writes an amount, converted once, unless a larger one stands there.
func putMoney(target pcommon.Map, key string, pico int64) {
	if earlier, there := moneyAt(target, key); !there || earlier < pico {
		target.PutDouble(key, pricing.ToDouble(pico))
	}
}

func moneyAt(target pcommon.Map, key string) (int64, bool) {
	value, there := target.Get(key)
	if !there || value.Type() != pcommon.ValueTypeDouble {
		return 0, false
	}
	pico, err := pricing.ParseUSDFloat(value.Double())
	return pico, err == nil
}

var errPanic = errors.New("trace could not be rolled up")

// safely keeps a trace that nobody foresaw from stopping the pipeline: it goes on as it is.
func (p *rollupProcessor) safely(why cause, read func(*settler)) {
	work := p.settlers.Get().(*settler)
	defer func() {
		if failure := recover(); failure != nil {
			p.counts.malformed.Add(1)
			// The kind of the failure, not its text, which may hold what a span held.
			p.logger.Error("internal failure", zap.Error(errPanic), zap.String("panic", fmt.Sprintf("%T", failure)), zap.Stack("stack"))
		}
	}()
	read(work)
	work.settle(why, p.began, p.maxWait)
	p.counts.settled(work, why)
	if cap(work.nodes) <= maxKept {
		work.reset()
		p.settlers.Put(work)
	}
}

// settle works a held trace out.
func (p *rollupProcessor) settle(h *held) {
	p.safely(h.cause, func(work *settler) {
		for index := range h.sections {
			from := h.sections[index].origin
			work.span.Enter(attributes.Scope{Name: from.scope.Name(), Version: from.scope.Version()})
			for _, span := range h.sections[index].spans.All() {
				work.add(span, from.scope.Name(), index)
			}
		}
	})
}

// settleBatch works a batch out that holds whole traces, in place.
func (p *rollupProcessor) settleBatch(traces ptrace.Traces) {
	type place struct {
		span     ptrace.Span
		scope    pcommon.InstrumentationScope
		resource int
	}
	groups := map[pcommon.TraceID][]place{}
	var order []pcommon.TraceID
	for index, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				id := span.TraceID()
				if _, there := groups[id]; !there {
					order = append(order, id)
				}
				groups[id] = append(groups[id], place{span, scope.Scope(), index})
			}
		}
	}
	for _, id := range order {
		p.safely(causeGrouped, func(work *settler) {
			for _, at := range groups[id] {
				work.span.Enter(attributes.Scope{Name: at.scope.Name(), Version: at.scope.Version()})
				work.add(at.span, at.scope.Name(), at.resource)
			}
		})
	}
}
