package tokenomicsrollupprocessor

import (
	"hash/maphash"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// origin is a resource and a scope that spans came from. There is one of each, however many traces share it.
type origin struct {
	home           *home
	scope          pcommon.InstrumentationScope
	scopeSchemaURL string
	hash           uint64
	// users are the sections of held traces that name it.
	users int
}

// home is the resource of some origins.
type home struct {
	resource  pcommon.Resource
	schemaURL string
	hash      uint64
	origins   []*origin
}

// origins holds the resources and scopes of what is held.
type origins map[uint64][]*home

// homeOf returns the one home that equals the resource of a batch.
func (o origins) homeOf(from ptrace.ResourceSpans) *home {
	hash := hashOf(from.Resource().Attributes())
	for _, known := range o[hash] {
		if known.schemaURL == from.SchemaUrl() &&
			known.resource.DroppedAttributesCount() == from.Resource().DroppedAttributesCount() &&
			known.resource.Attributes().Equal(from.Resource().Attributes()) {
			return known
		}
	}
	made := &home{resource: pcommon.NewResource(), schemaURL: from.SchemaUrl(), hash: hash}
	from.Resource().CopyTo(made.resource)
	o[hash] = append(o[hash], made)
	return made
}

// originOf returns the one origin that equals a scope of a batch.
func (h *home) originOf(from ptrace.ScopeSpans) *origin {
	scope := from.Scope()
	hash := maphash.String(seed, scope.Name()) ^ maphash.String(seed, scope.Version())<<1 ^ hashOf(scope.Attributes())
	for _, known := range h.origins {
		if known.hash == hash && known.scopeSchemaURL == from.SchemaUrl() &&
			known.scope.Name() == scope.Name() && known.scope.Version() == scope.Version() &&
			known.scope.DroppedAttributesCount() == scope.DroppedAttributesCount() &&
			known.scope.Attributes().Equal(scope.Attributes()) {
			return known
		}
	}
	made := &origin{home: h, scope: pcommon.NewInstrumentationScope(), scopeSchemaURL: from.SchemaUrl(), hash: hash}
	scope.CopyTo(made.scope)
	h.origins = append(h.origins, made)
	return made
}

// leave forgets the origins that no held trace names any more.
func (o origins) leave(h *held) {
	for index := range h.sections {
		if from := h.sections[index].origin; from != nil {
			from.users--
			o.forget(from)
		}
	}
}

// forget drops an origin, and its home, where nobody names it.
func (o origins) forget(from *origin) {
	if from.users > 0 {
		return
	}
	at := from.home
	at.origins = without(at.origins, from)
	if len(at.origins) > 0 {
		return
	}
	if left := without(o[at.hash], at); len(left) > 0 {
		o[at.hash] = left
	} else {
		delete(o, at.hash)
	}
}

func without[T comparable](all []T, one T) []T {
	for index, known := range all {
		if known == one {
			all[index] = all[len(all)-1]
			var none T
			all[len(all)-1] = none
			return all[:len(all)-1]
		}
	}
	return all
}

var seed = maphash.MakeSeed()

func hashOf(attributes pcommon.Map) uint64 {
	sum := uint64(attributes.Len())
	for key, value := range attributes.All() {
		// The order of attributes says nothing, so it must not matter here.
		const odd = 0x9e3779b97f4a7c15
		sum += maphash.String(seed, key)*odd ^ maphash.String(seed, textOf(value))
	}
	return sum
}

func textOf(value pcommon.Value) string {
	if value.Type() == pcommon.ValueTypeStr {
		return value.Str()
	}
	return value.AsString()
}

// parcel is what leaves together: whole traces, their resources and scopes merged by equality.
type parcel struct {
	traces ptrace.Traces
	spans  int

	homes map[*home]ptrace.ResourceSpans
	scope map[*origin]ptrace.SpanSlice
}

func newParcel() *parcel {
	return &parcel{
		traces: ptrace.NewTraces(), homes: map[*home]ptrace.ResourceSpans{}, scope: map[*origin]ptrace.SpanSlice{},
	}
}

// pack moves the spans of a trace into the parcel.
func (p *parcel) pack(h *held) {
	for index := range h.sections {
		at := &h.sections[index]
		spans, there := p.scope[at.origin]
		if !there {
			spans = p.add(at.origin)
		}
		at.spans.MoveAndAppendTo(spans)
	}
	p.spans += h.spans
}

func (p *parcel) add(from *origin) ptrace.SpanSlice {
	resource, there := p.homes[from.home]
	if !there {
		resource = p.traces.ResourceSpans().AppendEmpty()
		from.home.resource.CopyTo(resource.Resource())
		resource.SetSchemaUrl(from.home.schemaURL)
		p.homes[from.home] = resource
	}
	scope := resource.ScopeSpans().AppendEmpty()
	from.scope.CopyTo(scope.Scope())
	scope.SetSchemaUrl(from.scopeSchemaURL)
	p.scope[from] = scope.Spans()
	return scope.Spans()
}
