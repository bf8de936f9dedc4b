package tokenomicsprocessor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// versions is a book of which a newer version can be written again and again.
type versions struct {
	path, before, after string
	count               int
}

var versionKey = regexp.MustCompile(`"version": ?"[^"]*"`)

func newVersions(b *testing.B, text string) *versions {
	b.Helper()
	places := versionKey.FindAllStringIndex(text, -1)
	require.NotEmpty(b, places)
	place := places[len(places)-1] // the sources stand before the book's own
	v := &versions{path: filepath.Join(b.TempDir(), "book.json"), before: text[:place[0]], after: text[place[1]:]}
	v.next(b)
	return v
}

func (v *versions) next(b *testing.B) {
	b.Helper()
	v.count++
	text := fmt.Sprintf(`%s"version":"2099.%d"%s`, v.before, v.count, v.after)
	require.NoError(b, os.WriteFile(v.path+".new", []byte(text), 0o600))
	require.NoError(b, os.Rename(v.path+".new", v.path))
}

// manyModels is a book of as many models, each with two rates and a batch row.
func manyModels(count int) string {
	models := make([]string, count)
	for index := range models {
		models[index] = fmt.Sprintf(`{"p":"openai","id":"model-%d","rows":[{"rates":{"input":2500000,"output":10000000}},`+
			`{"when":{"processing":["batch"]},"rates":{"input":1250000,"output":5000000}}]}`, index)
	}
	models[0] = strings.Replace(models[0], "model-0", "gpt-4o", 1)
	return `{"schema":"otel-tokenomics/pricebook/1","id":"many","version":"1","generated_at":"2026-11-22T05:00:00Z","currency":"USD",` +
		`"scale":12,"providers":{"openai":{"kind":"first_party","hosts":["api.openai.com"]}},"models":[` + strings.Join(models, ",\n") + `]}`
}

// BenchmarkSwap measures what a newer book takes from the file to its use, and what a batch of 1,000 priced spans sees
// of it: the same batches with nothing going on, beside another goroutine that reads and checks the book without a pause
// and throws it away, and beside one that puts each into use. What the last has over the one before is the swap.
func BenchmarkSwap(b *testing.B) {
	embedded, err := os.ReadFile("../../pricing/pricebook.json")
	require.NoError(b, err)
	for _, size := range []struct{ name, text string }{{"embedded", string(embedded)}, {"models=10000", manyModels(10_000)}} {
		begin := func(b *testing.B) (*tokenomicsProcessor, *versions) {
			b.Helper()
			file := newVersions(b, size.text)
			cfg := createDefaultConfig().(*Config)
			cfg.Book.Files = []FileConfig{{Path: file.path, ReloadInterval: time.Hour}}
			pricer, err := newProcessor(nopSettings(), cfg)
			require.NoError(b, err)
			return pricer, file
		}
		b.Run("load/"+size.name, func(b *testing.B) {
			pricer, file := begin(b)
			var after [2][]time.Duration
			for b.Loop() {
				b.StopTimer()
				file.next(b)
				b.StartTimer()
				pricer.books.Reload()
				b.StopTimer()
				// The first batch by a new book finds nothing in its memory of names.
				for index := range after {
					traces := batchOf(benchmarkBatch, 20, 1)
					started := time.Now()
					if _, err := pricer.processTraces(context.Background(), traces); err != nil {
						b.Fatal(err)
					}
					after[index] = append(after[index], time.Since(started))
				}
				b.StartTimer()
			}
			for index, name := range []string{"first-batch-us", "second-batch-us"} {
				slices.Sort(after[index])
				b.ReportMetric(float64(after[index][len(after[index])/2].Nanoseconds())/1000, name)
			}
			require.Equal(b, int64(file.count-1), pricer.counters.reloads[reloadKey{"file", "swapped"}])
		})
		b.Run("batch/"+size.name+"/quiet", func(b *testing.B) {
			pricer, _ := begin(b)
			latencies(b, pricer)
		})
		b.Run("batch/"+size.name+"/checking", func(b *testing.B) {
			pricer, file := begin(b)
			during(b, func() {
				file.next(b)
				text, err := os.ReadFile(file.path)
				if err == nil {
					_, err = pricing.Parse(text, file.path)
				}
				if err != nil {
					b.Error(err)
				}
			}, func() { latencies(b, pricer) })
		})
		b.Run("batch/"+size.name+"/swapping", func(b *testing.B) {
			pricer, file := begin(b)
			during(b, func() { file.next(b); pricer.books.Reload() }, func() { latencies(b, pricer) })
			require.Positive(b, pricer.counters.reloads[reloadKey{"file", "swapped"}])
			b.ReportMetric(float64(file.count-1), "swaps")
		})
	}
}

// during runs one thing over and over while another one is measured.
func during(b *testing.B, again, measured func()) {
	b.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				again()
			}
		}
	}()
	measured()
	close(stop)
	<-stopped
}

// latencies reports how long batches take: the median, the slowest of a hundred, the slowest of all.
func latencies(b *testing.B, pricer *tokenomicsProcessor) {
	b.Helper()
	var took []time.Duration
	rounds(b, batchOf(benchmarkBatch, 20, 1), func(traces ptrace.Traces) {
		started := time.Now()
		if _, err := pricer.processTraces(context.Background(), traces); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(started))
	})
	slices.Sort(took)
	for name, place := range map[string]int{"p50-us": len(took) / 2, "p99-us": len(took) * 99 / 100, "max-us": len(took) - 1} {
		b.ReportMetric(float64(took[place].Nanoseconds())/1000, name)
	}
}
