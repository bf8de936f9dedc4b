package tokenomicsprocessor
import ("testing";"fmt"; "github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes")
func BenchmarkZZ(b *testing.B) {
	for _, count := range []int{5, 20} {
	spans := batchOf(benchmarkBatch, count, 0).ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	b.Run(fmt.Sprint("worth",count), func(b *testing.B) { n:=0
		for b.Loop() { for i := range spans.Len() { if worthReading(spans.At(i)) {n++} } }
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchmarkBatch), "ns/span") })
	b.Run(fmt.Sprint("all",count), func(b *testing.B) { n:=0
		for b.Loop() { for i := range spans.Len() { for k := range spans.At(i).Attributes().All() { n+=len(k)} } }
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchmarkBatch), "ns/span") })
	b.Run(fmt.Sprint("decisive",count), func(b *testing.B) { n:=0
		ks := []string{}
		for k := range spans.At(0).Attributes().All() { ks=append(ks,k) }
		for b.Loop() { for range spans.Len() { for _, k := range ks { if attributes.Decisive(k) {n++}} } }
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchmarkBatch), "ns/span") })
	}
}
