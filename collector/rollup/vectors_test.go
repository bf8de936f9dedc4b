package rollup

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
)

const vectorsFile = "../../tests/vectors/rollup.json"

type vectorSpan struct {
	ID         string  `json:"id"`
	Parent     string  `json:"parent"`
	Start      string  `json:"start"`
	Status     string  `json:"status"`
	Own        *string `json:"own"`
	Provider   string  `json:"provider"`
	Model      string  `json:"model"`
	ResponseID string  `json:"response_id"`
	Input      string  `json:"input"`
	Output     string  `json:"output"`
}

type vectorTrace struct {
	Total         *string `json:"total"`
	LLMCalls      string  `json:"llm_calls"`
	UnpricedCalls string  `json:"unpriced_calls"`
	Input         string  `json:"input"`
	Output        string  `json:"output"`
	TopModel      string  `json:"top_model"`
	Complete      bool    `json:"complete"`
}

type vector struct {
	Name   string       `json:"name"`
	Why    string       `json:"why"`
	Spans  []vectorSpan `json:"spans"`
	Expect struct {
		Subtree  map[string]string `json:"subtree"`
		Partial  []string          `json:"partial"`
		Trace    *vectorTrace      `json:"trace"`
		Shadowed map[string]string `json:"shadowed"`
	} `json:"expect"`
}

func loadVectors(t *testing.T) []vector {
	t.Helper()
	file, err := os.Open(vectorsFile)
	if errors.Is(err, fs.ErrNotExist) {
		if _, outside := os.Stat("../../pyproject.toml"); outside != nil {
			t.Skip("tests/vectors is not here: the module is used outside its repository")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var found []vector
	if err := decoder.Decode(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	if text == "" {
		return 0
	}
	found, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// counts says whether the span is a model call that counts; a span without a model is none.
func (s *vectorSpan) counts() bool {
	return s.Model != "" && s.Status != "not_applicable" && s.Status != ""
}

func (s *vectorSpan) node(t *testing.T) Node {
	node := Node{
		ID: id(int(number(t, s.ID))), Parent: id(int(number(t, s.Parent))), Start: uint64(number(t, s.Start)),
		Call: s.counts(), Unpriced: s.Status == "unpriced",
	}
	if s.Own != nil {
		node.Own, node.HasOwn, node.Model = number(t, *s.Own), true, s.Model
	}
	if s.Model != "" { // else what it counted repeats the calls below it
		node.Input, node.Output = number(t, s.Input), number(t, s.Output)
	}
	return node
}

// rolled is a group with one charge for each response, and its totals.
func rolled(t *testing.T, spans []vectorSpan) (totals Totals, shadowed map[string]string) {
	var calls []Call
	var at []int
	above := map[Link]Above{}
	nodes := make([]Node, len(spans))
	for place := range spans {
		span := &spans[place]
		nodes[place] = span.node(t)
		if _, there := above[Link{ID: nodes[place].ID}]; !there {
			above[Link{ID: nodes[place].ID}] = Above{Parent: nodes[place].Parent}
		}
		if !span.counts() {
			continue
		}
		calls = append(calls, Call{
			ID: nodes[place].ID, Parent: nodes[place].Parent, Start: nodes[place].Start, HasTotal: span.Own != nil,
			ResponseID: span.ResponseID, Provider: span.Provider, Models: [3]string{span.Model},
			Input: number(t, span.Input), Output: number(t, span.Output),
		})
		at = append(at, place)
	}
	shadowed = map[string]string{}
	for index, found := range Repeated(calls, func() map[Link]Above { return above }) {
		if found.Verdict == Keeps {
			continue
		}
		node := &nodes[at[index]]
		*node = Node{ID: node.ID, Parent: node.Parent, Start: node.Start}
		shadowed[spans[at[index]].ID] = spans[at[found.Holder]].ID
	}
	totals.Add(nodes, false)
	return totals, shadowed
}

func TestVectors(t *testing.T) {
	for _, vector := range loadVectors(t) {
		t.Run(vector.Name, func(t *testing.T) {
			if vector.Why == "" {
				t.Error("a case without a reason")
			}
			check(t, &vector, vector.Spans)
			backwards := slices.Clone(vector.Spans)
			slices.Reverse(backwards)
			check(t, &vector, backwards)
		})
	}
}

func check(t *testing.T, vector *vector, spans []vectorSpan) {
	t.Helper()
	totals, shadowed := rolled(t, spans)
	if !maps.Equal(shadowed, vector.Expect.Shadowed) {
		t.Errorf("shadowed %v, want %v", shadowed, vector.Expect.Shadowed)
	}
	subtree := map[string]string{}
	partial := map[string]bool{}
	for place := range totals.Subtrees {
		if found := &totals.Subtrees[place]; found.Exceeds {
			if found.Priced {
				subtree[spans[place].ID] = strconv.FormatInt(found.Total, 10)
			}
			if found.Partial {
				partial[spans[place].ID] = true
			}
		}
	}
	if !maps.Equal(subtree, vector.Expect.Subtree) {
		t.Errorf("subtree %v, want %v", subtree, vector.Expect.Subtree)
	}
	if got := slices.Sorted(maps.Keys(partial)); !slices.Equal(got, vector.Expect.Partial) {
		t.Errorf("partial %v, want %v", got, vector.Expect.Partial)
	}
	checkTrace(t, &totals, vector.Expect.Trace)
}

func checkTrace(t *testing.T, totals *Totals, want *vectorTrace) {
	t.Helper()
	if (totals.Root >= 0) != (want != nil) {
		t.Fatalf("root %d, want a trace: %v", totals.Root, want != nil)
	}
	if want == nil {
		return
	}
	got := totals.Trace
	if got.Priced != (want.Total != nil) || want.Total != nil && got.Total != number(t, *want.Total) {
		t.Errorf("total %d (priced: %v), want %v", got.Total, got.Priced, want.Total)
	}
	if got.Calls != number(t, want.LLMCalls) || got.Unpriced != number(t, want.UnpricedCalls) {
		t.Errorf("%d calls, %d of them unpriced", got.Calls, got.Unpriced)
	}
	if got.Input != number(t, want.Input) || got.Output != number(t, want.Output) {
		t.Errorf("%d, %d tokens", got.Input, got.Output)
	}
	if got.TopModel != want.TopModel || totals.Whole != want.Complete {
		t.Errorf("top model %q, complete %v", got.TopModel, totals.Whole)
	}
}
