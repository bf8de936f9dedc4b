package rollup

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// Call is one span that stands for a model call: where it is, and what joins it with the others of its call.
type Call struct {
	Trace      [16]byte
	ID, Parent [8]byte
	Start, End uint64
	// Resource is equal for the spans of one service.
	Resource int
	// Scope is the instrumentation that made the span.
	Scope string
	// Own: our SDK saw the call. Repeats: an earlier step found that the span repeats another's charge.
	Own, Repeats bool
	// HasTotal is set where the span bears a cost.
	HasTotal             bool
	ResponseID, Provider string
	// Models are the names of the model, as asked for, as answered, as priced.
	Models        [3]string
	Input, Output int64
}

// Verdict says what becomes of the charge on a span.
type Verdict uint8

// The verdicts. Shadowed: another span holds the charge of the same call. Container: the span repeats the sum of several.
const (
	Keeps Verdict = iota
	Shadowed
	Container
)

// Rule is how it was found that a span repeats a charge.
type Rule uint8

// The rules. ByResponseID: both name one response. ByNesting: by place, time, model and tokens.
const (
	NoRule Rule = iota
	ByResponseID
	ByNesting
)

// Finding is what becomes of one call.
type Finding struct {
	Verdict Verdict
	Rule    Rule
	// Holder is the place of the call that holds the charge of a shadowed one, even where an earlier step took the
	// charge off; negative where none does.
	Holder int
}

// Link names a span.
type Link struct {
	Trace [16]byte
	ID    [8]byte
}

// Above is where a span stands: its parent, and the instrumentation that made it.
type Above struct {
	Parent [8]byte
	Scope  string
}

// Repeated returns what becomes of each call, or nil where all keep what they bear. places is asked for at most once,
// and only where some spans may stand for one call: it returns where every span stands that is known.
//
// What our SDK charged is never taken back, and is never somebody else's call: of the spans that it saw each is one
// charge.
func Repeated(calls []Call, places func() map[Link]Above) []Finding {
	if len(calls) < 2 || !anyOf(calls, isTheirs) {
		return nil
	}
	var findings []Finding
	var above map[Link]Above
	settle := func(group []int, step func(*repetitions)) {
		if !mayRepeat(calls, group) {
			return
		}
		if above == nil {
			above, findings = places(), newFindings(len(calls))
		}
		found := newRepetitions(calls, group, above)
		step(found)
		found.write(findings)
	}
	eachTrace(calls, func(group []int) { settle(group, (*repetitions).find) })
	// A call outside any span begins a trace, and the span of it that nobody below could see begins another one.
	if anyOf(calls, func(call *Call) bool { return call.Own && call.Parent == [8]byte{} }) {
		if above == nil {
			above, findings = places(), newFindings(len(calls))
		}
		var roots []int
		for place := range calls {
			if findings[place].Verdict == Keeps && mayBeRoot(&calls[place], above) {
				roots = append(roots, place)
			}
		}
		settle(roots, (*repetitions).beside)
	}
	return findings
}

// eachTrace calls do with the places of the calls of each trace that has more than one, in the order of the first. The
// list is the same one each time.
func eachTrace(calls []Call, do func(group []int)) {
	// Each call points to the next one of its trace: most traces of a batch are short, and a list for each costs more
	// than what is done with it.
	const none = -1
	nexts, first := make([]int, len(calls)), make([]bool, len(calls))
	last := make(map[[16]byte]int, 1)
	for place := range calls {
		nexts[place] = none
		trace := calls[place].Trace
		before := place - 1
		if before < 0 || calls[before].Trace != trace {
			var there bool
			if before, there = last[trace]; !there {
				first[place], before = true, none
			}
		}
		if before != none {
			nexts[before] = place
		}
		if place+1 == len(calls) || calls[place+1].Trace != trace {
			last[trace] = place
		}
	}
	var group []int
	for place := range calls {
		if !first[place] || nexts[place] == none {
			continue
		}
		group = group[:0]
		for next := place; next != none; next = nexts[next] {
			group = append(group, next)
		}
		do(group)
	}
}

func anyOf(calls []Call, is func(*Call) bool) bool {
	for place := range calls {
		if is(&calls[place]) {
			return true
		}
	}
	return false
}

func newFindings(size int) []Finding {
	findings := make([]Finding, size)
	for place := range findings {
		findings[place].Holder = -1
	}
	return findings
}

// mostCompared bounds the look whether anything in a trace is alike; a larger one is taken apart in any case.
const mostCompared = 64

// mayRepeat says whether a step may find anything among these calls. Where our SDK saw none, two spans stand for one call
// only if they name one response or bear the same counts: no other step begins with less.
func mayRepeat(calls []Call, group []int) bool {
	ours, theirs := 0, 0
	for _, place := range group {
		if calls[place].Own {
			ours++
		} else {
			theirs++
		}
	}
	if theirs == 0 || len(group) < 2 {
		return false
	}
	if ours > 0 || len(group) > mostCompared {
		return true
	}
	for index, place := range group {
		one := &calls[place]
		for _, before := range group[:index] {
			other := &calls[before]
			if sameCounts(one, other) || one.ResponseID != "" && one.ResponseID == other.ResponseID {
				return true
			}
		}
	}
	return false
}

// isTheirs says whether a span may repeat a charge, or was found to.
func isTheirs(call *Call) bool { return !call.Own }

// isOpen says whether a charge can be taken off a span.
func isOpen(call *Call) bool { return !call.Own && !call.Repeats }

const (
	// maxDepth ends the way up from a span: what is further above stands for no call of the span's.
	maxDepth = 256
	// leastDepth is how far up is looked in the largest groups, of which mostPlaces limits the memory.
	leastDepth = 16
	mostPlaces = 1 << 22
	// mostSteps ends the search for calls that stand for each other, which grows with the square of those that are equal
	// and at one time. What is not found by then keeps its charge.
	mostSteps = 1 << 23
)

type meeting struct {
	call  int
	scope string
}

// repetitions finds the spans of one trace that repeat a charge. The steps go from what is sure to what is inferred.
type repetitions struct {
	calls []Call
	// order holds the places of the group, who keeps a charge first: ours, then the deepest, the earliest, the one with
	// the smallest id.
	order         []int
	chains, hangs map[int][][8]byte
	places        map[[8]byte]int
	lost          map[int]Finding
	// met says which call of ours has met its span of which instrumentation: each makes one span for one call.
	met map[meeting]bool
	// under holds those of ours that stand somewhere below a span; below none the roots.
	under map[[8]byte][]int
	// copies were delivered twice.
	copies map[int]int
	// sorted says which lists of under stand in the order of their starts. steps counts what was compared.
	sorted map[[8]byte]bool
	steps  int
}

func newRepetitions(calls []Call, group []int, above map[Link]Above) *repetitions {
	r := &repetitions{
		calls: calls, chains: make(map[int][][8]byte, len(group)),
		hangs: make(map[int][][8]byte, len(group)), places: make(map[[8]byte]int, len(group)),
		under: map[[8]byte][]int{}, lost: map[int]Finding{}, met: map[meeting]bool{}, copies: map[int]int{},
		sorted: map[[8]byte]bool{},
	}
	seen := map[[8]byte]bool{}
	depth := min(maxDepth, max(leastDepth, mostPlaces/len(group)))
	for _, place := range group {
		if first, there := r.places[calls[place].ID]; there {
			r.copies[place] = first
			continue
		}
		r.places[calls[place].ID] = place
		r.chains[place], r.hangs[place] = chain(&calls[place], above, seen, depth)
		r.order = append(r.order, place)
	}
	slices.SortStableFunc(r.order, func(one, other int) int {
		a, b := &calls[one], &calls[other]
		return cmp.Or(
			-compare(a.Own, b.Own), cmp.Compare(len(r.chains[other]), len(r.chains[one])),
			cmp.Compare(a.Start, b.Start), bytes.Compare(a.ID[:], b.ID[:]),
		)
	})
	for _, place := range r.order {
		if calls[place].Own && r.holds(place) {
			for _, id := range r.chains[place] {
				r.under[id] = append(r.under[id], place)
			}
			if len(r.chains[place]) == 0 {
				r.under[[8]byte{}] = append(r.under[[8]byte{}], place)
			}
		}
	}
	return r
}

// mayBeRoot says whether the call that a span stands for may have been made below no span at all.
func mayBeRoot(call *Call, above map[Link]Above) bool {
	if call.Parent == ([8]byte{}) {
		return true
	}
	_, hangs := chain(call, above, map[[8]byte]bool{}, maxDepth)
	return slices.Contains(hangs, [8]byte{})
}

// chain returns the ids above a span, nearest first, the last of them perhaps of a span that is not known.
//
// hangs are the spans, zero for none, that may be current where the span's own call is made: its parent, and what stands
// above parents that its own instrumentation made, for one that hides a span may hide them all.
func chain(call *Call, above map[Link]Above, seen map[[8]byte]bool, depth int) (ids, hangs [][8]byte) {
	clear(seen)
	seen[call.ID] = true
	parent, hidden := call.Parent, true
	hangs = append(hangs, parent)
	for parent != ([8]byte{}) && !seen[parent] && len(ids) < depth {
		ids = append(ids, parent)
		seen[parent] = true
		known, there := above[Link{call.Trace, parent}]
		if !there {
			break
		}
		parent = known.Parent
		if hidden = hidden && known.Scope == call.Scope; hidden {
			hangs = append(hangs, parent)
		}
	}
	return ids, hangs
}

func compare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (r *repetitions) find() {
	r.byResponseID()
	r.byAncestry()
	r.containers()
	r.beside()
}

func (r *repetitions) write(findings []Finding) {
	for place, found := range r.lost {
		findings[place] = r.said(place, found)
	}
	for place, first := range r.copies {
		if found, lost := r.lost[first]; lost {
			findings[place] = r.said(place, found)
		}
	}
}

// said leaves a charge where it was taken off before; who holds it is said all the same. A holder that lost its charge
// in a later step passes it on.
func (r *repetitions) said(place int, found Finding) Finding {
	for range r.lost {
		next, lost := r.lost[found.Holder]
		if !lost {
			break
		}
		found.Holder = next.Holder
	}
	if !isOpen(&r.calls[place]) {
		found.Verdict = Keeps
	}
	return found
}

// open says whether a span may lose its charge; one that lost it before meets its call once more.
func (r *repetitions) open(place int) bool { return !r.gone(place) && !r.calls[place].Own }

// holds says whether a span bears a charge; where ours could not be priced, nobody else's count of it is either.
func (r *repetitions) holds(place int) bool {
	call := &r.calls[place]
	return !r.gone(place) && (call.HasTotal || call.Own && call.counted())
}

func (c *Call) counted() bool { return c.Input > 0 || c.Output > 0 }

func (r *repetitions) gone(place int) bool {
	_, lost := r.lost[place]
	return lost
}

func (r *repetitions) shadow(place, holder int, rule Rule) {
	r.lost[place] = Finding{Shadowed, rule, holder}
	r.met[meeting{holder, r.calls[place].Scope}] = true
}

// sameModel compares every name of two models, without the makers that some put before them.
func sameModel(one, other *Call) bool {
	for _, name := range one.Models {
		if name = bare(name); name == "" {
			continue
		}
		for _, candidate := range other.Models {
			if strings.EqualFold(name, bare(candidate)) {
				return true
			}
		}
	}
	return false
}

func bare(name string) string {
	name = strings.TrimSpace(name)
	return name[strings.LastIndexByte(name, '/')+1:]
}

func sameCounts(one, other *Call) bool {
	return one.counted() && one.Input == other.Input && one.Output == other.Output
}

func bothNamed(one, other *Call) bool { return one.ResponseID != "" && other.ResponseID != "" }

// otherResponse says whether both name their responses, and these differ.
func otherResponse(one, other *Call) bool {
	return bothNamed(one, other) && one.ResponseID != other.ResponseID
}

func sameParty(one, other *Call) bool {
	return strings.EqualFold(strings.TrimSpace(one.Provider), strings.TrimSpace(other.Provider)) || sameModel(one, other)
}

func (r *repetitions) byResponseID() {
	responses := map[string][]int{}
	for _, place := range r.order {
		id := r.calls[place].ResponseID
		if id == "" {
			continue
		}
		if r.open(place) {
			for _, other := range responses[id] {
				if r.steps++; r.steps > mostSteps {
					break
				}
				if r.holds(other) && sameParty(&r.calls[place], &r.calls[other]) {
					r.shadow(place, other, ByResponseID)
					break
				}
			}
		}
		if r.holds(place) {
			responses[id] = append(responses[id], place)
		}
	}
}

// byAncestry joins a framework's span with its client's: one line of ancestors, the same model and the same tokens.
func (r *repetitions) byAncestry() {
	for _, place := range r.order {
		for _, id := range r.chains[place] {
			ancestor, there := r.places[id]
			if !there || !sameCall(&r.calls[place], &r.calls[ancestor]) {
				continue
			}
			if r.open(ancestor) && r.holds(place) {
				r.shadow(ancestor, place, ByNesting)
			} else if r.open(place) && r.calls[ancestor].Own && r.holds(ancestor) {
				r.shadow(place, ancestor, ByNesting)
			}
		}
	}
}

func sameCall(one, other *Call) bool {
	return sameCounts(one, other) && sameModel(one, other) && !otherResponse(one, other)
}

// containers finds somebody else's span above calls of ours, with at least their tokens: it repeats their sum.
func (r *repetitions) containers() {
	for _, place := range r.order {
		call := &r.calls[place]
		inner := r.under[call.ID]
		if len(inner) == 0 || !r.open(place) || slices.ContainsFunc(inner, func(other int) bool {
			return !sameModel(call, &r.calls[other]) || otherResponse(call, &r.calls[other])
		}) {
			continue
		}
		input, output := r.sum(inner)
		if (input > 0 || output > 0) && input <= call.Input && output <= call.Output {
			r.lost[place] = Finding{Container, ByNesting, -1}
		}
	}
}

func (r *repetitions) sum(places []int) (input, output int64) {
	for _, place := range places {
		input += r.calls[place].Input
		output += r.calls[place].Output
	}
	return input, output
}
