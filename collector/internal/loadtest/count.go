package main

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const picoPerUSD = 1e12

// counter adds up what arrived. Each span is priced a second time, by tokens times rate.
type counter struct {
	price         rates
	spansPerTrace int

	mu       sync.Mutex
	requests int64
	all      int64
	stated   int64 // by what spans say, each arrival
	wrong    int64
	distinct worth
	seen     map[[8]byte]struct{}
	byTrace  map[[16]byte]*traceState
	points   map[string]float64
}

// traceState is what is known of one trace.
type traceState struct {
	worth   worth
	roots   int
	partial bool
	// claims are the totals of roots that say that they are complete, doubts the roots that say that they are not.
	claims []int64
	doubts int
}

func (c *counter) begin() {
	c.seen, c.byTrace, c.points = map[[8]byte]struct{}{}, map[[16]byte]*traceState{}, map[string]float64{}
}

func (c *counter) traces(body []byte) error {
	arrived, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	for _, resource := range arrived.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				c.span(span)
			}
		}
	}
	return nil
}

func (c *counter) span(span ptrace.Span) {
	found := span.Attributes()
	one, model := worth{Spans: 1}, ""
	if value, there := found.Get("gen_ai.response.model"); there {
		model = value.Str()
		one.Calls = 1
	}
	stated := int64(0)
	if model != "" {
		pico, known := c.price.cost(model, whole(found, "gen_ai.usage.input_tokens"), whole(found, "gen_ai.usage.output_tokens"))
		total, priced := picoAt(found, "tokenomics.cost.total")
		if known {
			one.Pico = pico
		} else {
			one.Unpriced = 1
		}
		if stated = total; priced != known || total != one.Pico {
			c.wrong++
		}
	}
	c.all++
	c.stated += stated
	at := c.byTrace[span.TraceID()]
	if at == nil {
		at = &traceState{}
		c.byTrace[span.TraceID()] = at
	}
	if value, there := found.Get("tokenomics.subtree.partial"); there && value.Bool() {
		at.partial = true
	}
	if value, there := found.Get("tokenomics.trace.complete"); there {
		if total, _ := picoAt(found, "tokenomics.trace.cost.total"); value.Bool() {
			at.claims = append(at.claims, total)
		} else {
			at.doubts++
		}
	}
	if _, again := c.seen[span.SpanID()]; again {
		return
	}
	c.seen[span.SpanID()] = struct{}{}
	c.distinct.add(one)
	at.worth.add(one)
	if span.ParentSpanID().IsEmpty() {
		at.roots++
	}
}

func whole(found pcommon.Map, key string) int64 {
	value, there := found.Get(key)
	if !there {
		return 0
	}
	return value.Int()
}

func picoAt(found pcommon.Map, key string) (int64, bool) {
	value, there := found.Get(key)
	if !there {
		return 0, false
	}
	return int64(math.Round(value.Double() * picoPerUSD)), true
}

func (c *counter) metrics(body []byte) error {
	arrived, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range arrived.ResourceMetrics().All() {
		from := fmt.Sprint(resource.Resource().Attributes().AsRaw())
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				if metric.Type() != pmetric.MetricTypeSum {
					continue
				}
				for _, point := range metric.Sum().DataPoints().All() {
					value := point.DoubleValue()
					if value == 0 {
						value = float64(point.IntValue())
					}
					// Points are cumulative: the last of each series and start counts.
					key := fmt.Sprintf("%s|%s|%d|%s", metric.Name(), from, point.StartTimestamp(), series(point.Attributes()))
					c.points[key] = max(c.points[key], value)
				}
			}
		}
	}
	return nil
}

func series(found pcommon.Map) string {
	var pairs []string
	for key, value := range found.All() {
		pairs = append(pairs, key+"="+value.AsString())
	}
	sort.Strings(pairs)
	return strings.Join(pairs, ",")
}

// answer is what a test compares.
type answer struct {
	Requests   int64 `json:"requests"`
	Spans      int64 `json:"spans"`
	Duplicates int64 `json:"duplicates"`
	// Distinct is what arrived, each span once, priced by its tokens; PicoStated what spans say, each arrival.
	Distinct   worth       `json:"distinct"`
	PicoStated int64       `json:"pico_stated"`
	WrongPrice int64       `json:"wrong_price"`
	Traces     traceCounts `json:"traces"`
	// Metrics are the sums of the connector's counters; cost is in pico-USD.
	MetricPico     int64 `json:"metric_pico"`
	MetricRequests int64 `json:"metric_requests"`
}

// traceCounts says what the roots claim. Right and Wrong are traces with a root that says that it is complete: by its total.
// Contradicted are wrong ones in which another span says that it is partial.
type traceCounts struct {
	Seen         int64 `json:"seen"`
	Short        int64 `json:"short"`
	Right        int64 `json:"right"`
	Wrong        int64 `json:"wrong"`
	Contradicted int64 `json:"contradicted"`
	Flagged      int64 `json:"flagged"`
	Bare         int64 `json:"bare"`
}

func (c *counter) answer() answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	result := answer{
		Requests: c.requests, Spans: c.all, Duplicates: c.all - int64(len(c.seen)), Distinct: c.distinct,
		PicoStated: c.stated, WrongPrice: c.wrong,
	}
	for key, value := range c.points {
		switch name, _, _ := strings.Cut(key, "|"); name {
		case "tokenomics.span.cost":
			result.MetricPico += int64(math.Round(value * picoPerUSD))
		case "tokenomics.span.requests":
			result.MetricRequests += int64(value)
		}
	}
	for _, at := range c.byTrace {
		c.judge(at, &result.Traces)
	}
	return result
}

func (c *counter) judge(at *traceState, into *traceCounts) {
	into.Seen++
	if c.spansPerTrace > 0 && at.worth.Spans < int64(c.spansPerTrace) {
		into.Short++
	}
	wrong := false
	for _, total := range at.claims {
		wrong = wrong || total != at.worth.Pico
	}
	switch {
	case wrong && (at.partial || at.doubts > 0):
		into.Contradicted++
	case wrong:
		into.Wrong++
	case len(at.claims) > 0:
		into.Right++
	case at.doubts > 0 || at.partial:
		into.Flagged++
	default:
		into.Bare++
	}
}
