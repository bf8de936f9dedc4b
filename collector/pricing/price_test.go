package pricing

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// flexCall is the worked example of the price-book format: gpt-5.4 flex, 300,000 input of which 200,000 cached.
func flexCall() Query {
	q := Query{Provider: "openai", ResponseModel: "gpt-5.4", AtMillis: 1_795_000_000_000, Facts: Facts{ServiceTier: "flex"}}
	q.Usage.Set(Input, 100_000)
	q.Usage.Set(CacheRead, 200_000)
	q.Usage.Set(Output, 1_000)
	return q
}

func TestPriceReusesItsResult(t *testing.T) {
	book := mustParse(t, bookText)
	var r Result
	q := Query{Provider: "openai", ResponseModel: "a", Flags: FlagStaleBook}
	q.Usage.Set(Input, 10)
	q.Usage.Set(CacheRead, 5)
	book.Price(&q, &r)
	// 15 is above the tier's 10: 15 * 3000, the cached part at the input rate.
	if r.Total != 45_000 || r.Flags != FlagAssumedRate|FlagStaleBook || r.SKU != "openai/a;tier=10" {
		t.Fatalf("got %+v", r)
	}
	book.Price(&Query{Provider: "openai", ResponseModel: "zzz"}, &r)
	if r != (Result{Status: StatusUnpriced, Reason: ReasonNoUsage, Provider: "openai"}) {
		t.Errorf("something of the call before is left: %+v", r)
	}
}

func TestReaderReasons(t *testing.T) {
	book := mustParse(t, bookText)
	for reason, want := range map[string]string{
		ReasonPending: StatusUnpriced, ReasonBillingUnknown: StatusUnpriced, ReasonInvalidUsage: StatusUnpriced,
		ReasonIncompleteUsage: StatusPartial,
	} {
		var r Result
		q := Query{Provider: "openai", ResponseModel: "c", Reason: reason}
		q.Usage.Set(Input, 1)
		book.Price(&q, &r)
		if r.Status != want || r.Reason != reason || r.HasTotal != (want == StatusPartial) {
			t.Errorf("%s: %+v", reason, r)
		}
	}
	var r Result
	q := Query{Provider: "openai", ResponseModel: "c"}
	q.Usage.Set(Input, 1)
	q.Usage.Estimated = true
	book.Price(&q, &r)
	if r.Status != StatusPartial || r.Reason != ReasonIncompleteUsage || r.Total != 7 {
		t.Errorf("an estimate: %+v", r)
	}
	book.Price(&Query{Provider: "openai", ResponseModel: "c", Reason: ReasonMissingRate}, &r)
	if r.Status != StatusUnpriced || r.Reason != ReasonMissingRate {
		t.Errorf("usage of an unknown unit alone: %+v", r)
	}
}

func TestSavings(t *testing.T) {
	book := mustParse(t, strings.Replace(bookText, `{"rates":{"input":7}}`,
		`{"rates":{"input":1000,"cache_read":100,"cache_write":1250,"output":2000}},{"when":{"processing":["batch"]},"rates":{"input":500,"cache_read":50,"cache_write":625,"output":1000}}`, 1))
	var r Result
	q := Query{Provider: "openai", ResponseModel: "c"}
	q.Usage.Set(CacheRead, 10)
	q.Usage.Set(CacheWrite, 4)
	book.Price(&q, &r)
	// 10 * (1000-100) saved, 4 * (1250-1000) spent.
	if !r.HasSavingsCache || r.SavingsCache != 8_000 || r.HasSavingsBatch {
		t.Errorf("cache: %+v", r)
	}
	q.Usage.Set(CacheRead, 1)
	book.Price(&q, &r)
	if r.SavingsCache != -100 {
		t.Errorf("writes not earned back: %+v", r)
	}
	q = Query{Provider: "openai", ResponseModel: "c", Facts: Facts{ServiceTier: "Batch"}}
	q.Usage.Set(Output, 3)
	book.Price(&q, &r)
	if r.Total != 3_000 || !r.HasSavingsBatch || r.SavingsBatch != 3_000 || r.Status != StatusPriced {
		t.Errorf("batch: %+v", r)
	}
}

func TestCacheIsBoundedAndKeepsMisses(t *testing.T) {
	book := mustParse(t, bookText)
	for index := range 3 * cacheSize {
		book.resolve(&Query{Provider: "openai", ResponseModel: fmt.Sprintf("hostile-%d", index)})
	}
	if got := book.CacheStats().Size; got != cacheSize {
		t.Errorf("%d answers are kept, want %d", got, cacheSize)
	}
	first := book.resolve(&Query{Provider: "openai", ResponseModel: "missing"})
	if second := book.resolve(&Query{Provider: "openai", ResponseModel: "missing"}); first != second || first.model != nil {
		t.Error("a miss is not kept")
	}
	book.resolve(&Query{Provider: "openai", ResponseModel: strings.Repeat("x", maxIDBytes+1)})
	hostile := matchKey{provider: "openai", response: strings.Repeat("x", maxIDBytes+1)}
	if book.cache.get(hostile.encode(nil)) != nil {
		t.Error("a hostile name is kept")
	}
}

func TestPriceConcurrently(t *testing.T) {
	book := mustParse(t, bookText)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			var r Result
			for index := range 2_000 {
				q := Query{Provider: "openai", ResponseModel: "c", RequestModel: fmt.Sprintf("%d-%d", worker, index)}
				q.Usage.Set(Input, int64(index))
				book.Price(&q, &r)
				if r.Total != 7*int64(index) {
					t.Errorf("%d is %+v", index, r)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestPriceDoesNotAllocate(t *testing.T) {
	book, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]Query{"tiered": flexCall()}
	multiplied := flexCall()
	multiplied.Provider, multiplied.ResponseModel = "anthropic", "claude-opus-4-6"
	multiplied.Facts = Facts{InferenceGeo: "us"}
	calls["multiplied"] = multiplied
	missing := flexCall()
	missing.ResponseModel = "gpt-7-turbo"
	calls["missing"] = missing
	for name, q := range calls {
		var r Result
		book.Price(&q, &r)
		if allocations := testing.AllocsPerRun(100, func() { book.Price(&q, &r); _ = r.Flags.Strings() }); allocations != 0 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}
