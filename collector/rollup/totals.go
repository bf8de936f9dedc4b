package rollup

import (
	"bytes"
	"math"
)

// Node is one span of a trace with what it bears itself.
type Node struct {
	ID, Parent [8]byte
	Start      uint64
	// Own is what the span itself costs in pico-USD, where HasOwn is set.
	Own    int64
	HasOwn bool
	// Call: the span is a model call that counts. Unpriced: nobody knows what it costs.
	Call, Unpriced bool
	// Computed is what the usage of a container would cost, where HasComputed is set.
	Computed    int64
	HasComputed bool
	// Bare: the container stands for calls which nobody else saw.
	Bare bool
	// Container: the span repeats the usage of calls below it, which may not be there.
	Container bool
	// Input and Output are the tokens of the span; those of a container count only where it stands for a call.
	Input, Output int64
	// Model is the name in the price book of what was called.
	Model string
}

// Subtree is what a span and all below it cost.
type Subtree struct {
	// Total is in pico-USD, where Priced is set.
	Total  int64
	Priced bool
	// Partial: a parent is missing, so that something may stand elsewhere that belongs here.
	Partial bool
	// Exceeds: something below the span costs, or is a model call. Nothing is to be said of a span where nothing does.
	Exceeds bool
}

// Trace is what the spans of a group cost, wherever they stand.
type Trace struct {
	// Total is in pico-USD, where Priced is set.
	Total  int64
	Priced bool
	// Calls are the model calls, Unpriced those of them without a price.
	Calls, Unpriced int64
	Input, Output   int64
	// TopModel has the highest cost; of equal ones the first by name.
	TopModel string
}

// Totals is what a group of spans comes to. It may be reused for any number of groups.
type Totals struct {
	// Subtrees holds one entry for each node. A span that came twice counts once, and both bear the same.
	Subtrees []Subtree
	Trace    Trace
	// Root is the place of the span without a parent, the earliest of several; negative where there is none.
	Root int
	// Whole: there is a root, and no parent is missing.
	Whole bool

	index  map[[8]byte]int32
	grown  int
	work   []int32
	sums   []sum
	models map[string]int64
}

// none stands for no place.
const none int32 = -1

// sum is what stands below a span.
type sum struct {
	total    int64
	calls    int32
	priced   bool
	overflow bool
}

func (s *sum) add(pico int64) {
	s.priced = true
	if pico > 0 && s.total > math.MaxInt64-pico {
		s.overflow = true
		return
	}
	s.total += pico
}

// Add computes the totals of one group: the spans of one trace, in any order. countContainers counts a container with
// usage below and above which nothing else counts as one call, which costs what is computed for it, and marks its node so.
func (t *Totals) Add(nodes []Node, countContainers bool) {
	t.reset(len(nodes))
	parents, first, order := t.link(nodes)
	t.accumulate(nodes, parents, order)
	if countContainers && t.bareContainers(nodes, parents, order) {
		clear(t.sums)
		t.accumulate(nodes, parents, order)
	}
	t.write(nodes, first)
}

func (t *Totals) reset(size int) {
	if t.index == nil || t.grown > 32*size {
		// A map that once was large would be slow to clear for every small trace to come.
		t.index, t.grown = make(map[[8]byte]int32, size), size
	}
	t.grown = max(t.grown, size)
	clear(t.index)
	if len(t.models) > size {
		t.models = nil
	}
	clear(t.models)
	t.Trace, t.Root, t.Whole = Trace{}, -1, false
	if cap(t.work) < 4*size {
		t.work = make([]int32, 4*size)
	}
	if cap(t.sums) < size {
		t.sums, t.Subtrees = make([]sum, size), make([]Subtree, size)
	}
	t.sums, t.Subtrees = t.sums[:size], t.Subtrees[:size]
	clear(t.sums)
	clear(t.Subtrees)
}

// link returns each node's parent, the first node of its id, and an order in which every node stands before its parent.
//
// Whoever sends spans may say anything of their parents: a span that is its own parent, or above itself, has none.
func (t *Totals) link(nodes []Node) (parents, first, order []int32) {
	size := len(nodes)
	parents, first, order = t.work[:size], t.work[size:2*size], t.work[2*size:2*size:3*size]
	open := t.work[3*size : 4*size]
	for place := range nodes {
		id := nodes[place].ID
		first[place] = int32(place)
		if id == ([8]byte{}) {
			continue // an id that is none names no span
		}
		if known, there := t.index[id]; there {
			first[place] = known
		} else {
			t.index[id] = int32(place)
		}
	}
	clear(open)
	t.Whole = true
	for place := range nodes {
		node := &nodes[place]
		parents[place] = none
		if first[place] != int32(place) {
			continue
		}
		if node.Parent == ([8]byte{}) {
			if t.Root < 0 || before(node, &nodes[t.Root]) {
				t.Root = place
			}
			continue
		}
		parent, there := t.index[node.Parent]
		if !there || parent == int32(place) {
			t.Subtrees[place].Partial, t.Whole = true, false
			continue
		}
		parents[place] = parent
		open[parent]++
	}
	t.Whole = t.Whole && t.Root >= 0
	ready := func(place int32) {
		for ; place != none && open[place] == 0; place = parents[place] {
			order = append(order, place)
			open[place] = none
			if parent := parents[place]; parent != none {
				open[parent]--
			}
		}
	}
	for place := range nodes {
		if first[place] == int32(place) && open[place] == 0 {
			ready(int32(place))
		}
	}
	for place := range nodes {
		// What is left stands in rings. Each is cut above its smallest id, whatever came first.
		if first[place] != int32(place) || open[place] < 0 {
			continue
		}
		cut := int32(place)
		for at := parents[place]; at != int32(place); at = parents[at] {
			if bytes.Compare(nodes[at].ID[:], nodes[cut].ID[:]) < 0 {
				cut = at
			}
		}
		above := parents[cut]
		parents[cut] = none
		t.Subtrees[cut].Partial, t.Whole = true, false
		open[above]--
		ready(above)
	}
	return parents, first, order
}

func before(one, other *Node) bool {
	if one.Start != other.Start {
		return one.Start < other.Start
	}
	return bytes.Compare(one.ID[:], other.ID[:]) < 0
}

// accumulate adds every node to its parent, the leaves first.
func (t *Totals) accumulate(nodes []Node, parents, order []int32) {
	for _, place := range order {
		node, own := &nodes[place], &t.sums[place]
		if node.HasOwn {
			own.add(node.Own)
		}
		parent := parents[place]
		if parent == none {
			continue
		}
		above := &t.sums[parent]
		above.calls += own.calls
		if node.Call {
			above.calls++
		}
		if own.priced {
			above.add(own.total)
			above.overflow = above.overflow || own.overflow
		}
	}
}

// bareContainers makes calls of the containers that stand for calls which nobody else saw: the outermost with usage,
// for it repeats what those below it say. It returns whether there is any.
func (t *Totals) bareContainers(nodes []Node, parents, order []int32) bool {
	found := false
	covered := make([]bool, len(nodes))
	for index := len(order) - 1; index >= 0; index-- {
		place := order[index]
		node := &nodes[place]
		if parent := parents[place]; node.Call || parent != none && covered[parent] {
			covered[place] = true
			continue
		}
		bare := node.Container && node.Input+node.Output > 0 && t.sums[place].calls == 0 && !t.sums[place].priced
		if bare {
			node.Bare, node.Call, node.Unpriced = true, true, !node.HasComputed
			node.Own, node.HasOwn = node.Computed, node.HasComputed
			covered[place], found = true, true
		}
	}
	return found
}

func (t *Totals) write(nodes []Node, first []int32) {
	var all sum
	for place := range nodes {
		node := &nodes[place]
		if first[place] != int32(place) {
			continue
		}
		if node.HasOwn {
			all.add(node.Own)
			t.charge(node)
		}
		if node.Call {
			t.Trace.Calls++
			if node.Unpriced {
				t.Trace.Unpriced++
			}
		}
		if node.Call || !node.Container {
			t.Trace.Input += node.Input
			t.Trace.Output += node.Output
		}
		own, subtree := &t.sums[place], &t.Subtrees[place]
		subtree.Total, subtree.Priced = own.total, own.priced && !own.overflow
		subtree.Exceeds = own.calls > 0 || own.total > node.Own
		// Whatever has no parent stands somewhere below the root.
		subtree.Partial = subtree.Partial || own.overflow || !t.Whole && node.Parent == [8]byte{}
	}
	for place := range nodes {
		t.Subtrees[place] = t.Subtrees[first[place]]
	}
	t.Trace.Total, t.Trace.Priced = all.total, all.priced && !all.overflow
	t.Whole = t.Whole && !all.overflow
	for model, pico := range t.models {
		if best := t.Trace.TopModel; best == "" || pico > t.models[best] || pico == t.models[best] && model < best {
			t.Trace.TopModel = model
		}
	}
}

func (t *Totals) charge(node *Node) {
	if node.Model == "" {
		return
	}
	if t.models == nil {
		t.models = make(map[string]int64, 4)
	}
	if pico := t.models[node.Model]; pico <= math.MaxInt64-node.Own {
		t.models[node.Model] = pico + node.Own
	}
}
