package tokenomicsrollupprocessor

import (
	"container/heap"
	"container/list"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// cause is why a trace goes on.
type cause uint8

const (
	causeRoot cause = iota
	causeIdle
	causeGrouped
	causeMaxWait
	causeMaxSpans
	causeMaxSpansPerTrace
	causeShutdown
	causeLate
	causeCount
)

var causeNames = [causeCount]string{
	"root", "idle", "grouped", "max_wait", "max_spans", "max_spans_per_trace", "shutdown", "late",
}

// early says whether spans of the trace may be elsewhere, whatever the group itself looks like.
func (c cause) early() bool { return c >= causeMaxWait }

// held is a trace that waits for more of its spans.
type held struct {
	id       pcommon.TraceID
	sections []section
	spans    int
	// known holds the ids of the spans that came (true) and of those that were only named as a parent (false, missing).
	known   map[[8]byte]bool
	missing int
	// first, last and rootAt are when its first span, its last span and its root came, in nanoseconds; rootAt is
	// negative without a root.
	first, last, rootAt int64
	cause               cause

	// due is when it is to be looked at, place its place in the heap, age its place among all by age.
	due   int64
	place int
	age   *list.Element

	// home is where the spans of the place go that is taken in as the turn-th: a batch mixes the spans of many traces.
	home ptrace.SpanSlice
	turn uint64
}

// section is the spans of one origin.
type section struct {
	origin *origin
	spans  ptrace.SpanSlice
}

// maxSectionsCompared bounds what a trace costs whose spans all come from different places: then some stand apart that
// could stand together.
const maxSectionsCompared = 64

func newHeld(id pcommon.TraceID, now int64) *held {
	return &held{id: id, first: now, rootAt: -1}
}

// spansOf returns where the spans of an origin stand.
func (h *held) spansOf(from *origin) ptrace.SpanSlice {
	for index := len(h.sections) - 1; index >= max(0, len(h.sections)-maxSectionsCompared); index-- {
		if h.sections[index].origin == from {
			return h.sections[index].spans
		}
	}
	from.users++
	spans := ptrace.NewSpanSlice()
	h.sections = append(h.sections, section{from, spans})
	return spans
}

// note remembers which spans of a trace are there and which are missing.
func (h *held) note(id, parent [8]byte, now int64) {
	h.spans++
	h.last = now
	if h.known == nil {
		h.known = make(map[[8]byte]bool)
	}
	if came, named := h.known[id]; !came {
		if named {
			h.missing--
		}
		h.known[id] = true
	}
	if parent == ([8]byte{}) {
		if h.rootAt < 0 {
			h.rootAt = now
		}
	} else if _, named := h.known[parent]; !named {
		h.known[parent] = false
		h.missing++
	}
}

// waits are the settings that say when a trace goes on, in nanoseconds.
type waits struct{ afterRoot, idle, most int64 }

// next returns when a trace goes on if nothing more comes, and why.
func (w *waits) next(h *held) (int64, cause) {
	due, why := h.last+w.idle, causeIdle
	if h.rootAt >= 0 && h.missing == 0 && h.rootAt+w.afterRoot <= due {
		due, why = h.rootAt+w.afterRoot, causeRoot
	}
	if most := h.first + w.most; most < due {
		due, why = most, causeMaxWait
	}
	return due, why
}

// shelf holds the traces that wait, by id, by age and by when they are due.
type shelf struct {
	waits   waits
	byID    map[pcommon.TraceID]*held
	byAge   list.List
	byDue   dueHeap
	recent  recent
	origins origins
}

func newShelf(waits waits) *shelf {
	return &shelf{waits: waits, byID: map[pcommon.TraceID]*held{}, origins: origins{}}
}

// find returns the trace of an id, and whether it is new. late holds the late ones of the batch: spans of a trace that
// went on, or of none.
func (s *shelf) find(id pcommon.TraceID, late map[pcommon.TraceID]*held, now int64) (*held, bool) {
	if h, there := s.byID[id]; there {
		return h, false
	}
	if !s.recent.has(id) && !id.IsEmpty() {
		return newHeld(id, now), true
	}
	if h, there := late[id]; there {
		return h, false
	}
	h := newHeld(id, now)
	h.cause = causeLate
	late[id] = h
	return h, true
}

// arrived puts a trace where it belongs after some spans of it came.
func (s *shelf) arrived(h *held) {
	due, _ := s.waits.next(h)
	switch {
	case h.age == nil:
		h.due, h.age = due, s.byAge.PushBack(h)
		s.byID[h.id] = h
		heap.Push(&s.byDue, h)
	case due < h.due:
		h.due = due
		heap.Fix(&s.byDue, h.place)
	}
	// A trace that is due later than the heap says is put right when its turn comes: most get spans again and again.
}

// nextDue takes a trace off the shelf that is due, nil where none is.
func (s *shelf) nextDue(now int64) *held {
	for len(s.byDue) > 0 && s.byDue[0].due <= now {
		h := s.byDue[0]
		due, why := s.waits.next(h)
		if due <= now {
			s.remove(h, why)
			return h
		}
		h.due = due
		heap.Fix(&s.byDue, 0)
	}
	return nil
}

// oldest takes the trace off the shelf whose first span came first, nil where there is none.
func (s *shelf) oldest(why cause) *held {
	front := s.byAge.Front()
	if front == nil {
		return nil
	}
	h := front.Value.(*held)
	s.remove(h, why)
	return h
}

// remove takes a trace off the shelf; what comes of it from now on is late.
func (s *shelf) remove(h *held, why cause) {
	h.cause = why
	delete(s.byID, h.id)
	s.byAge.Remove(h.age)
	heap.Remove(&s.byDue, h.place)
	h.known = nil
	s.recent.add(h.id)
}

// dueHeap is a container/heap of traces, the one that is due first on top.
type dueHeap []*held

func (d dueHeap) Len() int           { return len(d) }
func (d dueHeap) Less(i, j int) bool { return d[i].due < d[j].due }

func (d dueHeap) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements heap.Interface.
func (d *dueHeap) Push(item any) {
	h := item.(*held)
	h.place = len(*d)
	*d = append(*d, h)
}

// Pop implements heap.Interface.
func (d *dueHeap) Pop() any {
	last := len(*d) - 1
	h := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return h
}

// maxRecent is how many traces are remembered that went on, so that what is late is known: 6 MB at most.
const maxRecent = 100_000

// recent remembers the traces that went on lately.
type recent struct {
	ids  map[pcommon.TraceID]struct{}
	ring []pcommon.TraceID
	next int
}

func (r *recent) has(id pcommon.TraceID) bool {
	_, there := r.ids[id]
	return there
}

func (r *recent) add(id pcommon.TraceID) {
	if r.ids == nil {
		r.ids = map[pcommon.TraceID]struct{}{}
	}
	if r.has(id) {
		return
	}
	r.ids[id] = struct{}{}
	if len(r.ring) < maxRecent {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.ids, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % maxRecent
}
