package rollup

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

const langchain = "opentelemetry.instrumentation.langchain"

func id(number int) (found [8]byte) {
	binary.BigEndian.PutUint64(found[:], uint64(number))
	return found
}

func call(number, parent int, start, end uint64, own bool) Call {
	scope := langchain
	if own {
		scope = "otel_tokenomics"
	}
	return Call{
		Trace: [16]byte{1}, ID: id(number), Parent: id(parent), Start: start, End: end, Scope: scope, Own: own,
		HasTotal: true, Models: [3]string{"openai/gpt-5.4"}, Input: 1000, Output: 100,
	}
}

func standing(calls []Call) func() map[Link]Above {
	return func() map[Link]Above {
		found := map[Link]Above{}
		for _, one := range calls {
			found[Link{one.Trace, one.ID}] = Above{one.Parent, one.Scope}
		}
		return found
	}
}

// kept returns how many of the calls keep their charge.
func kept(t *testing.T, calls []Call) int {
	t.Helper()
	findings := Repeated(calls, standing(calls))
	if findings == nil {
		return len(calls)
	}
	count := 0
	for place, found := range findings {
		if found.Verdict == Keeps {
			count++
		} else if calls[place].Own {
			t.Fatal("a charge of ours was taken back")
		}
	}
	return count
}

// TestAnyOrderKeepsTheSum: of n calls that the SDK saw and m that another instrumentation alone saw, n + m are charged,
// in whatever order they come, and a second look changes nothing.
func TestAnyOrderKeepsTheSum(t *testing.T) {
	chance := rand.New(rand.NewPCG(2026, 11))
	for range 500 {
		watched, unwatched := 1+chance.IntN(6), chance.IntN(3)
		var calls []Call
		for number := range watched {
			start := uint64(chance.IntN(50))
			end := start + 4 + uint64(chance.IntN(50))
			calls = append(calls, call(10+number, 1, start, end, false), call(100+number, 1, start+1, end-1, true))
		}
		for number := range unwatched {
			start := uint64(200 + chance.IntN(50)) // no call of ours lies in its time
			calls = append(calls, call(50+number, 1, start, start+9, false))
		}
		chance.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
		if got := kept(t, calls); got != watched+unwatched {
			t.Fatalf("%d charges of %d: %v", got, watched+unwatched, calls)
		}
		findings := Repeated(calls, standing(calls))
		again := slices.Clone(calls)
		for place, found := range findings {
			if found.Verdict != Keeps {
				again[place].Repeats, again[place].HasTotal = true, false
			}
		}
		for place, found := range Repeated(again, standing(again)) {
			if found.Verdict != Keeps {
				t.Fatalf("a second look took back %v", again[place])
			}
		}
	}
}

// TestRootsOfTwoServicesAreTwoCalls: a batch of a collector holds the spans of many services.
func TestRootsOfTwoServicesAreTwoCalls(t *testing.T) {
	ours, theirs := call(1, 0, 20, 80, true), call(2, 0, 10, 90, false)
	theirs.Trace = [16]byte{2}
	if got := kept(t, []Call{ours, theirs}); got != 1 {
		t.Fatalf("one service: %d charges", got)
	}
	theirs.Resource = 1
	if got := kept(t, []Call{ours, theirs}); got != 2 {
		t.Fatalf("two services: %d charges", got)
	}
}

// TestNothingIsAskedForWhereNothingCanRepeat: most batches hold spans of the SDK alone, or one call of each trace.
func TestNothingIsAskedForWhereNothingCanRepeat(t *testing.T) {
	one, other := call(1, 0, 10, 20, false), call(2, 0, 10, 20, false)
	other.Trace = [16]byte{2}
	for _, calls := range [][]Call{nil, {one}, {one, other}, {call(1, 9, 10, 20, true), call(2, 9, 10, 20, true)}} {
		if Repeated(calls, func() map[Link]Above { t.Fatal("asked"); return nil }) != nil {
			t.Fatal("something was taken back")
		}
	}
}

// TestCyclesAndDepthEnd: whoever sends spans may say anything of their parents.
func TestCyclesAndDepthEnd(t *testing.T) {
	var calls []Call
	for number := range 5 {
		calls = append(calls, call(number+1, (number+1)%5+1, 10, 90, number == 0))
	}
	calls = append(calls, call(6, 6, 10, 90, false))
	for number := range 5000 {
		calls = append(calls, call(number+10, number+9, 10, 90, number%2 == 0))
	}
	if got := kept(t, calls); got < 1+2500 {
		t.Fatalf("%d charges", got)
	}
}

// BenchmarkRepeated is the worst that is likely: a thousand equal calls under one parent, each seen twice.
func BenchmarkRepeated(b *testing.B) {
	var calls []Call
	for number := range 1000 {
		start := uint64(number)
		calls = append(calls, call(10_000+number, 1, start, start+9, false), call(20_000+number, 1, start+1, start+8, true))
	}
	places := standing(calls)()
	for b.Loop() {
		Repeated(calls, func() map[Link]Above { return places })
	}
}

// TestManyEqualCallsEnd: fifty thousand calls of ours and as many spans of another instrumentation under one parent, one
// after another: all are found. All at one time, and equal: the search ends, and takes nothing back that it should not.
func TestManyEqualCallsEnd(t *testing.T) {
	const pairs = 50_000
	calls := make([]Call, 0, 2*pairs)
	for number := range pairs {
		start := uint64(10 * number)
		calls = append(calls, call(1_000_000+number, 1, start, start+9, false), call(2_000_000+number, 1, start+1, start+8, true))
	}
	if got := kept(t, calls); got != pairs {
		t.Fatalf("%d charges of %d", got, pairs)
	}
	for place := range calls {
		calls[place].Start, calls[place].End = 5, 50
	}
	if got := kept(t, calls); got < pairs {
		t.Fatalf("%d charges of %d", got, pairs)
	}
	for place := range calls {
		calls[place].Own, calls[place].ResponseID = false, "resp"
		calls[place].Provider, calls[place].Models = strconv.Itoa(place), [3]string{"m" + strconv.Itoa(place)}
	}
	if got := kept(t, calls); got != 2*pairs {
		t.Fatalf("%d charges of %d", got, 2*pairs)
	}
}

// TestEachTrace groups as a map would, in the order of the first call, and leaves out who is alone.
func TestEachTrace(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	for range 2000 {
		calls := make([]Call, random.IntN(40))
		want, order := map[[16]byte][]int{}, [][16]byte{}
		for place := range calls {
			calls[place].Trace[0] = byte(random.IntN(1 + random.IntN(12)))
			if place > 0 && random.IntN(3) > 0 {
				calls[place].Trace = calls[place-1].Trace
			}
			if want[calls[place].Trace] == nil {
				order = append(order, calls[place].Trace)
			}
			want[calls[place].Trace] = append(want[calls[place].Trace], place)
		}
		order = slices.DeleteFunc(order, func(trace [16]byte) bool { return len(want[trace]) < 2 })
		eachTrace(calls, func(group []int) {
			if len(order) == 0 || !slices.Equal(group, want[order[0]]) {
				t.Fatalf("%v, want %v of %v", group, order, want)
			}
			order = order[1:]
		})
		if len(order) > 0 {
			t.Fatalf("%v are missing", order)
		}
	}
}

// TestTheShortWayFindsTheSame: what mayRepeat rules out, the steps would not have found.
func TestTheShortWayFindsTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	ruledOut, found := 0, 0
	for range 20_000 {
		var calls []Call
		var group []int
		for number := range 2 + random.IntN(4) {
			one := call(number+2, random.IntN(number+2), uint64(random.IntN(9)), uint64(9+random.IntN(9)), false)
			one.Repeats = random.IntN(4) == 0
			one.Input, one.Output = int64(random.IntN(5)), int64(random.IntN(3))
			one.ResponseID = []string{"", "a", "b", "c", "d", "e"}[random.IntN(6)]
			calls, group = append(calls, one), append(group, number)
		}
		repetitions := newRepetitions(calls, group, standing(calls)())
		repetitions.find()
		switch {
		case len(repetitions.lost) > 0 && !mayRepeat(calls, group):
			t.Fatalf("%+v in %+v", repetitions.lost, calls)
		case len(repetitions.lost) > 0:
			found++
		case !mayRepeat(calls, group):
			ruledOut++
		}
	}
	if ruledOut < 1000 || found < 1000 {
		t.Errorf("%d ruled out, %d found", ruledOut, found)
	}
}
