package rollup

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// slowTotals adds up by walking from every span to the top: the definition, without any cleverness.
func slowTotals(nodes []Node) (subtree map[[8]byte]int64, total int64) {
	subtree = map[[8]byte]int64{}
	parents := map[[8]byte][8]byte{}
	for _, node := range nodes {
		parents[node.ID] = node.Parent
	}
	for _, node := range nodes {
		total += node.Own
		for at, there := node.ID, true; there && at != [8]byte{}; {
			subtree[at] += node.Own
			at = parents[at]
			_, there = parents[at]
		}
	}
	return subtree, total
}

// forest makes spans whose parents are any earlier span, none, or one that is missing.
func forest(chance *rand.Rand, size int) []Node {
	nodes := make([]Node, size)
	for number := range nodes {
		nodes[number] = Node{ID: id(number + 1), Start: chance.Uint64()}
		switch parent := chance.IntN(number + 2); {
		case parent > number:
			nodes[number].Parent = id(1_000_000 + chance.IntN(3))
		case number > 0:
			nodes[number].Parent = id(parent)
		}
		if chance.IntN(3) == 0 {
			nodes[number].Own, nodes[number].HasOwn, nodes[number].Call = chance.Int64N(1e12), true, true
			nodes[number].Input, nodes[number].Model = chance.Int64N(1000), string(rune('a'+chance.IntN(4)))
		}
	}
	return nodes
}

// TestSumsAreConserved: whatever the tree and the order of its spans, each subtree is what a walk upwards finds, and
// all own costs are the total of the trace. One memory serves all of them.
func TestSumsAreConserved(t *testing.T) {
	chance := rand.New(rand.NewPCG(7, 11))
	var totals Totals
	for range 2000 {
		nodes := forest(chance, 1+chance.IntN(60))
		chance.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		want, total := slowTotals(nodes)
		twice := append(slices.Clone(nodes), nodes[:chance.IntN(len(nodes)+1)]...) // delivered again
		totals.Add(twice, false)
		if totals.Trace.Total != total {
			t.Fatalf("total %d, want %d", totals.Trace.Total, total)
		}
		missing := false
		for place, node := range twice {
			if got := totals.Subtrees[place].Total; got != want[node.ID] {
				t.Fatalf("subtree %d, want %d: %v", got, want[node.ID], nodes)
			}
			missing = missing || node.Parent != [8]byte{} && !slices.ContainsFunc(nodes, func(other Node) bool { return other.ID == node.Parent })
		}
		if totals.Whole != (!missing && totals.Root >= 0) {
			t.Fatalf("whole %v, missing %v, root %d", totals.Whole, missing, totals.Root)
		}
	}
}

// TestRingsEnd: whatever anybody says of parents, the walk ends, every cost is in the total once, and no subtree is more
// than the total.
func TestRingsEnd(t *testing.T) {
	chance := rand.New(rand.NewPCG(3, 5))
	var totals Totals
	for range 2000 {
		size := 1 + chance.IntN(30)
		nodes := make([]Node, size)
		var total int64
		for number := range nodes {
			nodes[number] = Node{ID: id(number + 1), Parent: id(1 + chance.IntN(size+1)), Own: int64(1 + chance.IntN(9)), HasOwn: true}
			total += nodes[number].Own
		}
		chance.Shuffle(size, func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		totals.Add(nodes, false)
		if totals.Trace.Total != total || totals.Root >= 0 || totals.Whole {
			t.Fatalf("%+v, want %d", totals.Trace, total)
		}
		tops := int64(0)
		for place := range nodes {
			if totals.Subtrees[place].Partial {
				tops += totals.Subtrees[place].Total
			}
		}
		if tops != total {
			t.Fatalf("the parts come to %d of %d", tops, total)
		}
	}
}

// TestDepthEnds: a chain of a hundred thousand spans is no deeper than any other for the stack.
func TestDepthEnds(t *testing.T) {
	nodes := make([]Node, 100_000)
	for number := range nodes {
		nodes[number] = Node{ID: id(number + 1), Parent: id(number)}
	}
	nodes[len(nodes)-1].Own, nodes[len(nodes)-1].HasOwn, nodes[len(nodes)-1].Call = 5, true, true
	var totals Totals
	totals.Add(nodes, false)
	if got := totals.Subtrees[0]; got.Total != 5 || !got.Exceeds || !totals.Whole {
		t.Fatalf("%+v", got)
	}
	// The memory of a large trace is not swept for every small one after it.
	totals.Add(nodes[:3], false)
	if totals.grown > 3 || totals.Trace != (Trace{}) {
		t.Fatalf("%d %+v", totals.grown, totals.Trace)
	}
}

// TestSpansWithoutAnID: an id of zeros names no span, so such spans are neither one span nor anybody's parent.
func TestSpansWithoutAnID(t *testing.T) {
	nodes := []Node{{Parent: id(1), Own: 2, HasOwn: true}, {Parent: id(1), Own: 3, HasOwn: true}, {ID: id(1)}}
	var totals Totals
	totals.Add(nodes, false)
	if totals.Trace.Total != 5 || totals.Subtrees[2].Total != 5 || totals.Root != 2 || !totals.Whole {
		t.Fatalf("%+v", totals)
	}
}

// TestBareContainers: what a container counted is counted once, as one call without a price, where no call is below it;
// of containers in a row by the outermost, which holds the sum of the others.
func TestBareContainers(t *testing.T) {
	nodes := []Node{
		{ID: id(1)},
		{ID: id(2), Parent: id(1), Container: true, Input: 30, Output: 4},
		{ID: id(3), Parent: id(2), Container: true, Input: 20, Output: 3},
		{ID: id(4), Parent: id(2), Container: true, Input: 10, Output: 1},
		{ID: id(5), Parent: id(1), Container: true, Input: 7, Output: 1},
		{ID: id(6), Parent: id(5), Call: true, HasOwn: true, Own: 9, Input: 7, Output: 1, Model: "m"},
		{ID: id(7), Parent: id(1), Container: true},
		{ID: id(8), Parent: id(7), Container: true, Input: 2},
	}
	var totals Totals
	totals.Add(slices.Clone(nodes), true)
	want := Trace{Total: 9, Priced: true, Calls: 3, Unpriced: 2, Input: 30 + 7 + 2, Output: 4 + 1, TopModel: "m"}
	if totals.Trace != want {
		t.Errorf("%+v, want %+v", totals.Trace, want)
	}
	if !totals.Subtrees[6].Exceeds || totals.Subtrees[6].Priced {
		t.Errorf("the one above a bare container: %+v", totals.Subtrees[6])
	}
	if totals.Subtrees[2].Exceeds {
		t.Errorf("a container inside the one that was counted: %+v", totals.Subtrees[2])
	}
}
