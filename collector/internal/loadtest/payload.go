package main

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// shape is what a group of traces looks like. A group is sent in parts, the roots in the last one.
type shape struct {
	traces, spansPerTrace, parts, models, attributes int
}

func (s *shape) spans() int { return s.traces * s.spansPerTrace }

// worth is what spans come to.
type worth struct {
	Spans    int64 `json:"spans"`
	Calls    int64 `json:"calls"`
	Unpriced int64 `json:"unpriced"`
	Pico     int64 `json:"pico"`
}

func (w *worth) add(more worth) {
	w.Spans += more.Spans
	w.Calls += more.Calls
	w.Unpriced += more.Unpriced
	w.Pico += more.Pico
}

// part is a payload that is marshalled once; each sending writes ids and times of its own into a copy.
type part struct {
	bytes []byte
	worth worth
	// spanIDs are the places of the id of each span of the group, its own and its children's.
	spanIDs  [][]int
	traceIDs [][]int
	starts   []int
	ends     []int
}

const (
	spanMark  = 0xA5C3_9E00_0000_0000
	traceMark = 0xB7D1_8F00_0000_0000
	startMark = 0x1B2C_3D00_0000_0000
	endMark   = 0x1E4F_5A00_0000_0000
)

// newParts builds the payloads of a group: a root, agents and tools below it, and calls of models.
func newParts(s *shape, price *rates) ([]*part, error) {
	parts := make([]*part, s.parts)
	for number := range parts {
		made, err := newPart(s, price, number)
		if err != nil {
			return nil, err
		}
		parts[number] = made
	}
	return parts, nil
}

func newPart(s *shape, price *rates, number int) (*part, error) {
	made := &part{spanIDs: make([][]int, s.spans()), traceIDs: make([][]int, s.traces)}
	traces := ptrace.NewTraces()
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "assistant")
	resource.Resource().Attributes().PutStr("service.version", "3.14.2")
	resource.Resource().Attributes().PutStr("deployment.environment.name", "production")
	resource.Resource().Attributes().PutStr("telemetry.sdk.language", "java")
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("com.example.assistant")
	for place := range s.spans() {
		// Parents come last, as they end last.
		within := s.spansPerTrace - 1 - place%s.spansPerTrace
		if partOf(s, within) == number {
			made.worth.add(fill(scope.Spans().AppendEmpty(), s, price, place, within))
		}
	}
	marshalled, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		return nil, err
	}
	made.bytes = marshalled
	return made, made.locate(s)
}

// partOf says with which part a span leaves; 0 is the root.
func partOf(s *shape, within int) int {
	return s.parts - 1 - within*s.parts/s.spansPerTrace
}

func fill(span ptrace.Span, s *shape, price *rates, place, within int) worth {
	trace := place / s.spansPerTrace
	span.SetTraceID(marked128(traceMark, trace))
	span.SetSpanID(marked(spanMark, trace*s.spansPerTrace+within))
	span.SetStartTimestamp(startMark)
	span.SetEndTimestamp(endMark)
	found := span.Attributes()
	found.EnsureCapacity(s.attributes + 7)
	count := trace*s.spansPerTrace + within
	if within > 0 {
		// Chains of three below the root.
		parent := within - 1
		if within%3 == 1 {
			parent = 0
		}
		span.SetParentSpanID(marked(spanMark, trace*s.spansPerTrace+parent))
	}
	for number := range s.attributes {
		switch number % 3 {
		case 0:
			found.PutStr(fmt.Sprintf("app.text.%d", number), fmt.Sprintf("value %d of span %d", number, count))
		case 1:
			found.PutInt(fmt.Sprintf("app.count.%d", number), int64(number*count))
		default:
			found.PutBool(fmt.Sprintf("app.flag.%d", number), number%2 == 0)
		}
	}
	total := worth{Spans: 1}
	if !isCall(s, count) {
		span.SetName("step")
		span.SetKind(ptrace.SpanKindInternal)
		return total
	}
	model := price.models[count/callEvery(s)%len(price.models)]
	input, output := int64(200+count%1800), int64(20+count%380)
	span.SetName("chat " + model)
	span.SetKind(ptrace.SpanKindClient)
	found.PutStr("gen_ai.operation.name", "chat")
	found.PutStr("gen_ai.provider.name", "openai")
	found.PutStr("gen_ai.request.model", model)
	found.PutStr("gen_ai.response.model", model)
	found.PutInt("gen_ai.usage.input_tokens", input)
	found.PutInt("gen_ai.usage.output_tokens", output)
	found.PutStr(attributes.TokenomicsTagPrefix+"team", fmt.Sprintf("team-%d", count%5))
	total.Calls = 1
	if pico, known := price.cost(model, input, output); known {
		total.Pico = pico
	} else {
		total.Unpriced = 1
	}
	return total
}

func callEvery(s *shape) int { return max(1, 100/max(1, s.models)) }

func isCall(s *shape, count int) bool { return s.models > 0 && count%callEvery(s) == callEvery(s)-1 }

func marked(mark uint64, number int) (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], mark|uint64(number))
	return id
}

func marked128(mark uint64, number int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], mark)
	binary.BigEndian.PutUint64(id[8:], mark|uint64(number))
	return id
}

// locate finds where the ids and times stand.
func (p *part) locate(s *shape) error {
	spans := 0
	for number := range p.spanIDs {
		id := marked(spanMark, number)
		p.spanIDs[number] = everywhere(p.bytes, id[:])
	}
	for number := range p.traceIDs {
		id := marked128(traceMark, number)
		p.traceIDs[number] = everywhere(p.bytes, id[:])
		spans += len(p.traceIDs[number])
	}
	p.starts, p.ends = everywhere(p.bytes, littleEndian(startMark)), everywhere(p.bytes, littleEndian(endMark))
	if int64(spans) != p.worth.Spans || len(p.starts) != spans || len(p.ends) != spans {
		return fmt.Errorf("the marks of %d spans were found as %d, %d and %d: a value looks like a mark", p.worth.Spans, spans, len(p.starts), len(p.ends))
	}
	return nil
}

func littleEndian(mark uint64) []byte { return binary.LittleEndian.AppendUint64(nil, mark) }

func everywhere(text, mark []byte) []int {
	var found []int
	for from := 0; ; {
		at := bytes.Index(text[from:], mark)
		if at < 0 {
			return found
		}
		found = append(found, from+at)
		from += at + len(mark)
	}
}

// stamp returns a copy with the ids of a group of its own. seed tells the senders of one test apart.
func (p *part) stamp(s *shape, into []byte, seed uint64, group int, start, end uint64) []byte {
	into = append(into[:0], p.bytes...)
	for number, places := range p.spanIDs {
		for _, at := range places {
			binary.BigEndian.PutUint64(into[at:], seed<<40|uint64(group*s.spans()+number+1))
		}
	}
	for number, places := range p.traceIDs {
		for _, at := range places {
			binary.BigEndian.PutUint64(into[at:], mix(seed<<40|uint64(group*s.traces+number+1)))
			binary.BigEndian.PutUint64(into[at+8:], seed<<40|uint64(group*s.traces+number+1))
		}
	}
	for index := range p.starts {
		binary.LittleEndian.PutUint64(into[p.starts[index]:], start)
		binary.LittleEndian.PutUint64(into[p.ends[index]:], end)
	}
	return into
}

// mix makes ids that look random, as those of an SDK do: routers go by their bits.
func mix(number uint64) uint64 {
	number ^= number >> 30
	number *= 0xbf58476d1ce4e5b9
	number ^= number >> 27
	number *= 0x94d049bb133111eb
	return number ^ number>>31
}
