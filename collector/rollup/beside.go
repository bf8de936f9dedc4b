package rollup

import (
	"bytes"
	"cmp"
	"slices"
)

// beside finds somebody else's span that nobody below could see: calls of ours stand under the same parent, within its
// time.
func (r *repetitions) beside() {
	var left []int
	for _, place := range r.order {
		if r.open(place) {
			left = append(left, place)
		}
	}
	// The earliest end first, each with the earliest start that it holds: no other order joins more pairs.
	slices.SortStableFunc(left, func(one, other int) int {
		a, b := &r.calls[one], &r.calls[other]
		return cmp.Or(
			-compare(a.Repeats, b.Repeats), cmp.Compare(a.End, b.End), cmp.Compare(b.Start, a.Start),
			bytes.Compare(a.ID[:], b.ID[:]),
		)
	})
	for _, step := range [...]func(int) int{r.partner, r.higherPartner} {
		for _, place := range left {
			if !r.open(place) {
				continue
			}
			if best := step(place); best >= 0 {
				r.shadow(place, best, ByNesting)
			}
		}
	}
	for _, place := range left {
		r.addUp(place)
	}
}

// partner returns the call of ours below the same parent that a span stands for, or a negative number.
func (r *repetitions) partner(place int) int {
	best := -1
	for _, other := range r.during(place, r.calls[place].Parent) {
		best = r.better(place, other, best)
	}
	return best
}

// during returns those of ours below a span that begin in the time of another one.
func (r *repetitions) during(place int, parent [8]byte) []int {
	list, span := r.under[parent], &r.calls[place]
	start := func(other int) uint64 { return r.calls[other].Start }
	if len(list) > 1 && !r.sorted[parent] {
		r.sorted[parent] = true
		slices.SortStableFunc(list, func(one, other int) int { return cmp.Compare(start(one), start(other)) })
	}
	first, _ := slices.BinarySearchFunc(list, span.Start, func(other int, at uint64) int { return cmp.Compare(start(other), at) })
	list = list[first:]
	past, _ := slices.BinarySearchFunc(list, span.End, func(other int, at uint64) int {
		if start(other) > at {
			return 1
		}
		return -1
	})
	if r.steps += past; r.steps > mostSteps {
		return nil
	}
	return list[:past]
}

// higherPartner looks beside a tree of which no span was current.
func (r *repetitions) higherPartner(place int) int {
	best := -1
	for _, parent := range r.hangs[place][1:] {
		for _, other := range r.during(place, parent) {
			if r.calls[other].Parent == parent {
				best = r.better(place, other, best)
			}
		}
	}
	return best
}

func (r *repetitions) better(place, other, best int) int {
	if r.mayMeet(place, other) && standsFor(&r.calls[place], &r.calls[other]) && (best < 0 || r.earlier(other, best)) {
		return other
	}
	return best
}

// addUp finds a span that names no response and bears just the sum of several calls of ours.
func (r *repetitions) addUp(place int) {
	call := &r.calls[place]
	if !r.open(place) || call.ResponseID != "" || !call.counted() {
		return
	}
	var parts []int
	for _, other := range r.during(place, call.Parent) {
		if sameModel(call, &r.calls[other]) && r.mayMeet(place, other) {
			parts = append(parts, other)
		}
	}
	if input, output := r.sum(parts); len(parts) < 2 || input != call.Input || output != call.Output {
		return
	}
	r.lost[place] = Finding{Container, ByNesting, -1}
	for _, part := range parts {
		r.met[meeting{part, call.Scope}] = true
	}
}

// earlier says whether a call begins before another, or else comes first.
func (r *repetitions) earlier(one, other int) bool {
	a, b := &r.calls[one], &r.calls[other]
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End), bytes.Compare(a.ID[:], b.ID[:])) < 0
}

// mayMeet says whether a call of ours lies in a span's time and met none of that instrumentation yet.
func (r *repetitions) mayMeet(place, other int) bool {
	span, inner := &r.calls[place], &r.calls[other]
	if span.Start > inner.Start || inner.Start > span.End || inner.End > span.End {
		return false
	}
	apart := inner.Parent != ([8]byte{}) || inner.Trace != span.Trace && inner.Resource == span.Resource
	return apart && !r.met[meeting{other, span.Scope}]
}

func standsFor(one, other *Call) bool {
	if bothNamed(one, other) {
		return one.ResponseID == other.ResponseID && sameParty(one, other)
	}
	return sameCounts(one, other) && sameModel(one, other)
}
