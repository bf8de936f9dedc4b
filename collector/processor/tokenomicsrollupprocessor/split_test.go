package tokenomicsrollupprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestATraceThatBeganBeforeTheProcessor may have left spans with another instance, or with this one before it was
// restarted: its total is a lower bound and says so, though no parent is missing here.
func TestATraceThatBeganBeforeTheProcessor(t *testing.T) {
	const second = int64(time.Second)
	for name, it := range map[string]struct {
		start, end int64
		complete   bool
	}{
		"began after us":                             {1, 2 * second, true},
		"began as we did":                            {0, second, true},
		"under way when we began":                    {-1, second, false},
		"on its way to us when we began":             {-20 * second, -10 * second, false},
		"ended a max_wait before we began":           {-400 * second, -300 * second, true},
		"nearly that":                                {-400 * second, -299 * second, false},
		"a recording of last year":                   {-400 * 24 * 3600 * second, -399 * 24 * 3600 * second, true},
		"without an end, as if it had never been on": {-400 * second, -1 << 40, true},
	} {
		for _, grouped := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				cfg, sink := createDefaultConfig().(*Config), &consumertest.TracesSink{}
				cfg.Grouped = grouped
				holder, clock := still(t, cfg, sink)
				holder.began = clock.now()
				batch := batchOf(piece{trace: 1, id: 2, parent: 1, cost: 0.5}, piece{trace: 1, id: 1})
				for _, span := range batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
					span.SetStartTimestamp(pcommon.Timestamp(clock.now().UnixNano() + it.start))
					span.SetEndTimestamp(pcommon.Timestamp(clock.now().UnixNano() + it.end))
				}
				assert.NoError(t, holder.ConsumeTraces(t.Context(), batch))
				clock.add(2 * time.Second)
				holder.tick()
				root := bears(sink.AllTraces())[[2]int{1, 1}]
				assert.Equal(t, 0.5, root["tokenomics.trace.cost.total"])
				assert.Equal(t, it.complete, root["tokenomics.trace.complete"])
				assert.Equal(t, !it.complete, root["tokenomics.subtree.partial"])
			})
		}
	}
}

// TestStartSaysWhenItBegan: the rule above needs it.
func TestStartSaysWhenItBegan(t *testing.T) {
	holder, clock := still(t, createDefaultConfig().(*Config), &consumertest.TracesSink{})
	assert.True(t, holder.began.IsZero())
	assert.NoError(t, holder.Start(t.Context(), nil))
	assert.Equal(t, clock.now(), holder.began)
	assert.NoError(t, holder.Shutdown(t.Context()))
}

// TestEveryPartOfASplitTraceSaysSo: however a trace is cut between two instances, one that claims a complete total that
// is too low stands beside a span that says that its parent is missing.
func TestEveryPartOfASplitTraceSaysSo(t *testing.T) {
	parents := []int{0, 0, 1, 2, 2, 1, 5} // of the spans 1 to 6; every span is a call
	cfg := createDefaultConfig().(*Config)
	cfg.DedupeNested = false
	for cut := range 1 << 6 {
		claimed, flagged := 0.0, false
		for half := range 2 {
			var pieces []piece
			for id := 1; id < len(parents); id++ {
				if cut>>(id-1)&1 == half {
					pieces = append(pieces, piece{trace: 1, id: id, parent: parents[id], cost: 0.5})
				}
			}
			if len(pieces) == 0 {
				continue
			}
			for _, attrs := range bears(through(t, cfg, batchOf(pieces...))) {
				flagged = flagged || attrs["tokenomics.subtree.partial"] == true
				if attrs["tokenomics.trace.complete"] == true {
					claimed = attrs["tokenomics.trace.cost.total"].(float64)
				}
			}
		}
		whole := cut == 0 || cut == 1<<6-1
		assert.Equal(t, !whole, flagged, "cut %06b", cut)
		if whole {
			assert.Equal(t, 3.0, claimed)
		}
	}
}
