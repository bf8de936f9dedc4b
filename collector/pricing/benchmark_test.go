package pricing

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkPrice(b *testing.B) {
	book, err := Embedded()
	if err != nil {
		b.Fatal(err)
	}
	plain := Query{Provider: "openai", ResponseModel: "gpt-5-mini", AtMillis: 1_795_000_000_000}
	plain.Usage.Set(Input, 1200)
	plain.Usage.Set(Output, 300)
	five := flexCall()
	five.Usage.Set(Reasoning, 100)
	five.Usage.Set(WebSearch, 2)
	multiplied := five
	multiplied.Provider, multiplied.ResponseModel = "anthropic", "claude-opus-4-6"
	multiplied.Facts = Facts{InferenceGeo: "us"}
	missing := plain
	missing.ResponseModel = "gpt-7-turbo"
	for name, q := range map[string]Query{
		"two_units": plain, "five_units_tier_fact": five, "five_units_multiplied": multiplied, "unknown_model": missing,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var r Result
			for b.Loop() {
				book.Price(&q, &r)
			}
		})
	}
}

// BenchmarkBookSize shows that a price does not depend on how many models a book has.
func BenchmarkBookSize(b *testing.B) {
	for _, models := range []int{100, 10_000} {
		book := mustParse(b, bookOf(models))
		queries := make([]Query, 64)
		for index := range queries {
			queries[index] = Query{Provider: "openai", ResponseModel: fmt.Sprintf("model-%06d", index), AtMillis: 1_795_000_000_000}
			queries[index].Usage.Set(Input, 1200)
			queries[index].Usage.Set(Output, 300)
		}
		b.Run(fmt.Sprint(models), func(b *testing.B) {
			b.ReportAllocs()
			var r Result
			next := 0
			for b.Loop() {
				book.Price(&queries[next&63], &r)
				next++
			}
		})
	}
}

func BenchmarkParallelPrice(b *testing.B) {
	book, err := Embedded()
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		q := flexCall()
		var r Result
		for pb.Next() {
			book.Price(&q, &r)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(embedded, "embedded"); err != nil {
			b.Fatal(err)
		}
	}
}

func bookOf(models int) string {
	lines := make([]string, models)
	for index := range lines {
		lines[index] = fmt.Sprintf(`{"p":"openai","id":"model-%06d","rows":[{"rates":{"input":%d,"output":%d}}]}`, index, index+1, 2*index+1)
	}
	return fmt.Sprintf(`{"schema":"otel-tokenomics/pricebook/1","id":"t","version":"1","generated_at":"2026-11-22T05:00:00Z","currency":"USD","scale":12,
"providers":{"openai":{"kind":"first_party"}},"models":[%s]}`, strings.Join(lines, ",\n"))
}
