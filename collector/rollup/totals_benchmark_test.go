package rollup

import (
	"fmt"
	"testing"
)

// agentTrace is a root with agents below it, each with model calls and tools: children come before their parents, as
// they end.
func agentTrace(size int) []Node {
	nodes := make([]Node, 0, size)
	for number := size; number > 1; number-- {
		node := Node{ID: id(number), Parent: id((number-2)/5 + 1), Start: uint64(number)}
		if number%4 == 0 {
			node.Own, node.HasOwn, node.Call = int64(number)*1_000_000, true, true
			node.Input, node.Output, node.Model = 1000, 100, [...]string{"gpt-5.4", "claude-sonnet-5"}[number%8/4]
		}
		nodes = append(nodes, node)
	}
	return append(nodes, Node{ID: id(1)})
}

// BenchmarkTotals is the walk over a trace: index, links, sums. Every fourth span is a model call.
func BenchmarkTotals(b *testing.B) {
	for _, size := range []int{10, 100, 1000, 8192, 100_000} {
		b.Run(fmt.Sprintf("spans=%d", size), func(b *testing.B) {
			nodes := agentTrace(size)
			var totals Totals
			totals.Add(nodes, false)
			b.ReportAllocs()
			for b.Loop() {
				totals.Add(nodes, false)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/span")
		})
	}
}

// TestTheWalkAllocatesNothing once its room is there.
func TestTheWalkAllocatesNothing(t *testing.T) {
	nodes := agentTrace(1000)
	var totals Totals
	totals.Add(nodes, false)
	if count := testing.AllocsPerRun(20, func() { totals.Add(nodes, false) }); count != 0 {
		t.Errorf("%v allocations", count)
	}
}
