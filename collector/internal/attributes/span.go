package attributes

import "math/bits"

// Scope is the instrumentation scope of a span. Service is the name on its resource: one coding agent is known by it.
type Scope struct{ Name, Version, Service string }

// SpanKind is what a reader must know of the kind of a span.
type SpanKind uint8

// The kinds that differ for money: a server's or consumer's span repeats what its client pays.
const (
	KindOther SpanKind = iota
	KindServer
)

// Span holds the attributes of one span that a rule reads. A caller enters a scope, and for each span of it resets,
// observes every attribute, and reads. It may be reused for any number of spans.
type Span struct {
	// Kind, Failed (the span's status is ERROR), Exception (the type of its first exception event) and
	// StartMillis (UTC since 1970) are what a reading needs beside the attributes.
	Kind        SpanKind
	Failed      bool
	Exception   string
	StartMillis int64

	emitter     *emitter
	agent       *Agent
	event       *Event
	own, vercel bool

	values  [slotCount]Value
	ranks   [slotCount]uint8
	present slotSet
	// vercelDetail is set where a key of the Vercel AI SDK 6 or later is there.
	vercelDetail bool
	// units is set where a count of a unit of ours is there: most spans have none, and need no look at each.
	units bool
}

// Enter says which instrumentation made the spans that follow.
func (s *Span) Enter(scope Scope) {
	s.emitter = emitterOf(scope)
	s.own = scope.Name == OwnScope
	s.vercel = vercelScope(scope.Name)
	s.agent = AgentOf(scope)
}

// Reset forgets the span before.
func (s *Span) Reset() {
	s.present = slotSet{}
	s.event = nil
	s.Kind, s.Failed, s.Exception, s.StartMillis, s.vercelDetail, s.units = KindOther, false, "", 0, false, false
}

// Observe takes one attribute, see Take.
func (s *Span) Observe(key string, value Value) {
	if entry := Find(key); entry != nil {
		s.Take(entry, value)
	}
}

// Take takes the value of one attribute. Of several spellings of one word the first of the spelling map stays, of
// duplicate keys the first. An empty name says nothing, and does not hide the next spelling.
func (s *Span) Take(entry *Spelling, value Value) {
	if value.Type == TypeEmpty && !entry.own || value.Type == TypeString && value.Text == "" && entry.name {
		return
	}
	s.vercelDetail = s.vercelDetail || entry.detail
	s.units = s.units || entry.slot >= slotUnit && entry.slot < slotOther
	if s.has(entry.slot) && s.ranks[entry.slot] <= entry.rank {
		return
	}
	s.present.add(entry.slot)
	s.values[entry.slot], s.ranks[entry.slot] = value, entry.rank
}

func (s *Span) has(place slot) bool { return s.present.has(place) }

// text returns a string value, or "" where there is none.
func (s *Span) text(place slot) string {
	if !s.has(place) {
		return ""
	}
	return s.values[place].Text
}

func (s *Span) count(place slot) (int64, countState) {
	if !s.has(place) {
		return 0, countAbsent
	}
	return s.values[place].count()
}

// Ours says whether the span bears any cost attribute of ours.
func (s *Span) Ours() bool {
	return s.present.meets(&ownSlots)
}

// deciding are the words that decide what a span is; a type that no emitter can mean there makes the span malformed.
var deciding = slotsOf(
	slotOperation, slotOpenInferenceKind, slotTraceloopKind, slotRequestType, slotOperationType, slotVercelOperation,
	slotLangfuseType, slotResponseModel, slotRequestModel, slotProvider, slotHost, slotCostSource, slotCostStatus,
	slotPriceBook,
)

// malformed says whether a word that decides holds something else than text.
func (s *Span) malformed() bool {
	for word := range s.present {
		for found := s.present[word] & deciding[word]; found != 0; found &= found - 1 {
			place := word*64 + bits.TrailingZeros64(found)
			if kind := s.values[place].Type; kind != TypeString && kind != TypeEmpty {
				return true
			}
		}
	}
	return false
}

// Total returns the cost of an earlier step of ours, in pico-USD. Each step writes its source beside it: without one
// the number is nobody's.
func (s *Span) Total() (int64, bool) {
	if !s.has(slotCostTotal) || s.text(slotCostSource) == "" {
		return 0, false
	}
	return s.values[slotCostTotal].money()
}
