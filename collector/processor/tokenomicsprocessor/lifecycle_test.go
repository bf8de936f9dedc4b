package tokenomicsprocessor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// statusHost is a host that keeps what a component reports of itself.
type statusHost struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *statusHost) Report(event *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *statusHost) last() componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) == 0 {
		return componentstatus.StatusNone
	}
	return h.events[len(h.events)-1].Status()
}

// bookFile is a price book on disk that a test may change.
type bookFile struct {
	path, text string
}

func newBookFile(t *testing.T) *bookFile {
	t.Helper()
	text, err := os.ReadFile(vectorBook)
	require.NoError(t, err)
	book := &bookFile{filepath.Join(t.TempDir(), "book.json"), string(text)}
	book.write(t, book.text)
	return book
}

// write lets another file take the name at once, as a Kubernetes volume does.
func (b *bookFile) write(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(b.path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(b.path+".new", b.path))
}

// version is the book of one day in November 2026, in which gpt-4o's input costs as many micro-dollars per thousand.
func (b *bookFile) version(day, rate int) string {
	return strings.NewReplacer(
		`"2026.11.22"`, fmt.Sprintf(`"2026.11.%d"`, day), "2026-11-22T05:00:00Z", fmt.Sprintf("2026-11-%dT05:00:00Z", day),
		`"id": "gpt-4o", "rows": [{"rates": {"input": 2500000`, fmt.Sprintf(`"id": "gpt-4o", "rows": [{"rates": {"input": %d`, rate),
	).Replace(b.text)
}

// TestBadBooksAreRefusedAloud: whatever becomes of the file, the last good book prices on; each trouble is one WARN, one
// count and a status, and a good file mends it.
func TestBadBooksAreRefusedAloud(t *testing.T) {
	file := newBookFile(t)
	cfg := vectorConfig()
	cfg.Book.Files = []FileConfig{{Path: file.path, ReloadInterval: time.Hour}}
	core, logs := observer.New(zap.InfoLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	pricer, err := newProcessor(set, cfg)
	require.NoError(t, err)
	host := &statusHost{Host: componenttest.NewNopHost()}
	require.NoError(t, pricer.start(t.Context(), host))
	defer func() { require.NoError(t, pricer.shutdown(t.Context())) }()
	total := func() any {
		out, err := pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 0)))
		require.NoError(t, err)
		return attributesOf(out)["tokenomics.cost.total"]
	}
	refused := int64(0)
	for name, change := range map[string]func(){
		"cut":         func() { file.write(t, file.text[:len(file.text)/2]) },
		"empty":       func() { file.write(t, "") },
		"gone":        func() { require.NoError(t, os.Remove(file.path)) },
		"unknown key": func() { file.write(t, strings.Replace(file.text, `"scale": 12`, `"scale": 12, "surprise": 1`, 1)) },
		"older":       func() { file.write(t, file.version(21, 2_500_000)) },
		"a jump":      func() { file.write(t, file.version(23, 99_000_000)) },
		"negative":    func() { file.write(t, file.version(23, -1)) },
	} {
		change()
		pricer.books.Reload()
		refused++
		assert.Equal(t, 0.0025, total(), name)
		assert.Equal(t, refused, pricer.counters.reloads[reloadKey{"file", "refused"}], name)
		warnings := logs.FilterLevelExact(zap.WarnLevel).All()
		require.Len(t, warnings, int(refused), name)
		assert.Contains(t, fmt.Sprint(warnings[refused-1].ContextMap()["error"]), file.path, name)
		assert.Equal(t, componentstatus.StatusRecoverableError, host.last(), name)
		pricer.books.Reload()
		assert.Len(t, logs.FilterLevelExact(zap.WarnLevel).All(), int(refused), "%s: said twice", name)
	}
	require.NoError(t, os.RemoveAll(file.path))
	pricer.books.Reload()
	file.write(t, file.text)
	pricer.books.Reload()
	assert.Equal(t, componentstatus.StatusOK, host.last(), "the same file is back")
	file.write(t, file.version(23, 3_000_000))
	pricer.books.Reload()
	assert.Equal(t, 0.003, total())
	assert.Equal(t, componentstatus.StatusOK, host.last())
}

// TestOverlayInYAML: one file gives the SDK and the collector the same prices and the same name of the book, and a slip
// in it stops the start with file and line.
func TestOverlayInYAML(t *testing.T) {
	cfg := vectorConfig()
	cfg.Book.Overlays = []FileConfig{{Path: filepath.Join(vectors, "own_prices.yaml")}}
	require.NoError(t, cfg.Validate())
	pricer, err := newProcessor(nopSettings(), cfg)
	require.NoError(t, err)
	out, err := pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 100)))
	require.NoError(t, err)
	// 1000 x $2 + 100 x $8 per million.
	assert.Equal(t, 0.0028, attributesOf(out)["tokenomics.cost.total"])
	assert.Equal(t, "contracted", attributesOf(out)["tokenomics.cost.basis"])
	assert.Equal(t, "vectors@2026.11.22+622bb5d8", attributesOf(out)["tokenomics.price.book"])

	slip := filepath.Join(t.TempDir(), "slip.yaml")
	require.NoError(t, os.WriteFile(slip, []byte("discount:\n- {p: openai, ratio: [85, 100]}\n"), 0o600))
	cfg.Book.Overlays[0].Path = slip
	_, err = newProcessor(nopSettings(), cfg)
	assert.EqualError(t, err, `"book": `+slip+":1: discount: is no key here; did you mean discounts?")
}

// TestBookIsSwappedUnderLoad: many batches at once while the file changes again and again; every span of a batch bears
// one book and the price of just that book, and every span that went in comes out.
func TestBookIsSwappedUnderLoad(t *testing.T) {
	file := newBookFile(t)
	cfg := vectorConfig()
	cfg.Book.Files = []FileConfig{{Path: file.path, ReloadInterval: time.Hour}}
	pricer, err := newProcessor(nopSettings(), cfg)
	require.NoError(t, err)
	require.NoError(t, pricer.start(t.Context(), componenttest.NewNopHost()))
	const workers, size, swaps = 4, 20, 150
	// One input token costs as many pico-dollars more as the version has behind its date.
	priceOf := map[string]float64{"vectors@2026.11.22": 2_500_000e-9}
	for swap := range swaps {
		priceOf[fmt.Sprintf("vectors@2026.11.22.%d", swap)] = float64(2_500_001+swap) / 1e9
	}
	var batches, changes atomic.Int64
	done := make(chan struct{})
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			last := ""
			for {
				select {
				case <-done:
					return
				default:
				}
				traces := ptrace.NewTraces()
				for range size {
					oneSpan(chat("gpt-4o", 1000, 0)).ResourceSpans().At(0).CopyTo(traces.ResourceSpans().AppendEmpty())
				}
				out, err := pricer.processTraces(t.Context(), traces)
				assert.NoError(t, err)
				batches.Add(1)
				first := ""
				for index, resource := range out.ResourceSpans().All() {
					raw := resource.ScopeSpans().At(0).Spans().At(0).Attributes().AsRaw()
					book, _ := raw["tokenomics.price.book"].(string)
					if index == 0 {
						first = book
					}
					if book != first || raw["tokenomics.cost.total"] != priceOf[book] {
						t.Errorf("%s beside %s costs %v", book, first, raw["tokenomics.cost.total"])
					}
				}
				if first != last {
					changes.Add(1)
					last = first
				}
			}
		})
	}
	for swap := range swaps {
		file.write(t, strings.NewReplacer(`"2026.11.22"`, fmt.Sprintf(`"2026.11.22.%d"`, swap),
			`"id": "gpt-4o", "rows": [{"rates": {"input": 2500000`, fmt.Sprintf(`"id": "gpt-4o", "rows": [{"rates": {"input": %d`, 2_500_001+swap),
		).Replace(file.text))
		pricer.books.Reload()
	}
	close(done)
	group.Wait()
	require.NoError(t, pricer.shutdown(t.Context()))
	assert.Equal(t, map[reloadKey]int64{{"file", "swapped"}: swaps}, pricer.counters.reloads)
	assert.Equal(t, batches.Load()*size, pricer.counters.total.outcomes[outcomePriced])
	assert.Greater(t, changes.Load(), int64(2*workers), "the load saw no swap")
}

// TestConservation: the sum of the costs on the spans that came out is what the processor counted, however the spans
// are cut into batches.
func TestConservation(t *testing.T) {
	source := newChaos(3)
	var spans []ptrace.Traces
	for range 500 {
		spans = append(spans, source.traces())
	}
	sums := map[int]money{}
	for _, size := range []int{1, 7, 500} {
		pricer, err := newProcessor(nopSettings(), vectorConfig())
		require.NoError(t, err)
		var onSpans float64
		for start := 0; start < len(spans); start += size {
			batch := ptrace.NewTraces()
			for _, one := range spans[start:min(start+size, len(spans))] {
				one.ResourceSpans().At(0).CopyTo(batch.ResourceSpans().AppendEmpty())
			}
			out, err := pricer.processTraces(t.Context(), batch)
			require.NoError(t, err)
			for index := range out.ResourceSpans().Len() {
				before := spans[start+index].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
				after := out.ResourceSpans().At(index).ScopeSpans().At(0).Spans().At(0).Attributes()
				if total, ok := after.Get("tokenomics.cost.total"); ok && !after.Equal(before) {
					onSpans += total.Double()
				}
			}
		}
		var counted money
		for _, entry := range pricer.counters.total.costs {
			counted.add(entry.sum.usd, entry.sum.pico)
		}
		assert.InEpsilon(t, onSpans, counted.double(), 1e-12)
		sums[size] = counted
	}
	assert.Equal(t, sums[1], sums[7])
	assert.Equal(t, sums[1], sums[500])
}

// TestUnknownProvidersAreNamed: a provider that was mistyped is said at the start, not found a month later.
func TestUnknownProvidersAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		rules []string
		want  []any
	}{
		"known by key and by name": {[]string{"a.example=openai", "b.example=Bedrock"}, nil},
		"mistyped":                 {[]string{"a.example=opnai", "b.example=openai", "c.example=opnai"}, []any{"opnai"}},
	} {
		cfg := vectorConfig()
		cfg.Endpoints = test.rules
		core, logs := observer.New(zap.WarnLevel)
		set := nopSettings()
		set.Logger = zap.New(core)
		start(t, cfg, set)
		var got []any
		for _, entry := range logs.All() {
			assert.Contains(t, entry.Message, `"endpoints"`)
			got = append(got, entry.ContextMap()["providers"].([]any)...)
		}
		assert.Equal(t, test.want, got, name)
	}
}

// TestMutatesData: the processor writes on spans, so that shared data is copied in front of it.
func TestMutatesData(t *testing.T) {
	traces, err := NewFactory().CreateTraces(t.Context(), nopSettings(), createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	assert.True(t, traces.Capabilities().MutatesData)
	require.NoError(t, traces.Shutdown(t.Context()))
}

// TestTwoFilesAreLookedAtAsOftenAsOneAsks: the interval of one file is not lost in the default of the other.
func TestTwoFilesAreLookedAtAsOftenAsOneAsks(t *testing.T) {
	for name, test := range map[string]struct{ book, overlay, want time.Duration }{
		"overlay alone says": {0, time.Second, time.Second}, "book alone says": {time.Second, 0, time.Second},
		"both": {time.Minute, time.Second, time.Second}, "none": {0, 0, 0},
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Book.Files = []FileConfig{{Path: "a", ReloadInterval: test.book}}
		cfg.Book.Overlays = []FileConfig{{Path: "b", ReloadInterval: test.overlay}}
		settings, err := cfg.source()
		require.NoError(t, err)
		assert.Equal(t, test.want, settings.PollInterval, name)
	}
}
