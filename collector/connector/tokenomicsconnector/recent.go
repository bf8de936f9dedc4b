package tokenomicsconnector

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// spanID names a span over all traces.
type spanID struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// recent remembers the ids of spans for at least a window and at most two of them, in two generations: forgetting costs
// nothing then. Where there are more than half the limit in one window, the window is cut short.
type recent struct {
	window     time.Duration
	most       int
	young, old map[spanID]struct{}
	turned     int64
	cutShort   int64
}

func newRecent(cfg *DedupeConfig) *recent {
	if cfg.Window == 0 {
		return nil
	}
	return &recent{window: cfg.Window, most: cfg.MaxSpans / 2, young: map[spanID]struct{}{}, old: map[spanID]struct{}{}}
}

// again says whether an id came before, and remembers it. now is in nanoseconds.
func (r *recent) again(id spanID, now int64) bool {
	switch age := time.Duration(now - r.turned); {
	case age >= 2*r.window:
		clear(r.young)
		r.turn(now)
	case age >= r.window:
		r.turn(now)
	}
	if _, there := r.young[id]; there {
		return true
	}
	_, there := r.old[id]
	if len(r.young) >= r.most {
		r.cutShort += int64(len(r.old))
		r.turn(now)
	}
	r.young[id] = struct{}{}
	return there
}

func (r *recent) turn(now int64) {
	clear(r.old)
	r.young, r.old = r.old, r.young
	r.turned = now
}
