package pricing

import "testing"

func FuzzParse(f *testing.F) {
	f.Add([]byte(bookText))
	f.Add([]byte(`{"models":[{"p":"openai","id":"a","rows":[{"usd_per_million":{"input":"1"}}]}]}`))
	f.Add([]byte(`{"discounts":[{"p":"openai","match":"a*","ratio":[1,2]}],"aliases":{"openai":{"X":{"model":"a"}}}}`))
	f.Add([]byte(`{"capacity":[{"p":"openai","ids":["a"],"kind":"gpu","usd_per_gpu_hour":"2.1","gpus":4,"account":["x"],
		"tokens_per_second":{"input":3},"utilization":[6,10],"until":"2026-12-01T00:00:00Z"}]}`))
	base := mustParse(f, bookText)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parse := range []func([]byte, string) (*Book, error){Parse, base.WithOverlay} {
			book, err := parse(data, "fuzz")
			if err != nil {
				continue
			}
			var r Result
			q := Query{Provider: "openai", ResponseModel: "a"}
			q.Usage.Set(Input, 12)
			q.Usage.Set(Output, 3)
			book.Price(&q, &r)
			checkResult(t, &r)
		}
	})
}

func FuzzMatch(f *testing.F) {
	book, err := Embedded()
	if err != nil {
		f.Fatal(err)
	}
	for _, id := range []string{
		"gpt-4o", "azure/eu/gpt-4o", "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.x", "ft:gpt-4o:a::b", "claude[1m]",
		"publishers/google/models/gemini-2.5-flash", "x:free", "claude-sonnet-4@20250514", "",
	} {
		f.Add("openai", id, "api.openai.com")
		f.Add("openrouter", id, "")
	}
	f.Fuzz(func(t *testing.T, provider, id, host string) {
		found := book.find(matchKey{provider: provider, response: id, host: host})
		if (found.model == nil) == (found.reason == "") || (found.model == nil) != (found.how == "") {
			t.Errorf("%q: neither a model nor a reason, or both: %+v", id, found)
		}
	})
}

func FuzzPrice(f *testing.F) {
	book, err := Embedded()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("openai", "gpt-5.4", "flex", int64(100_000), int64(200_000), int64(1_000), int64(1_795_000_000_000), int64(0))
	f.Add("anthropic", "claude-opus-4-6", "batch", int64(-1), int64(1e12), int64(1e12+1), int64(-1), int64(-5))
	f.Fuzz(func(t *testing.T, provider, id, tier string, input, cached, output, at, stated int64) {
		q := Query{Provider: provider, ResponseModel: id, AtMillis: at, Facts: Facts{ServiceTier: tier, InferenceGeo: "us"}}
		q.Usage.Set(Input, input)
		q.Usage.Set(CacheRead, cached)
		q.Usage.Set(Output, output)
		q.StatedPico, q.HasStated = stated, stated != 0
		var r Result
		book.Price(&q, &r)
		checkResult(t, &r)
	})
}

// checkResult holds what is true of every result.
func checkResult(t *testing.T, r *Result) {
	t.Helper()
	sum := int64(0)
	for _, part := range r.Parts {
		if part < 0 {
			t.Errorf("a negative part: %+v", r)
		}
		sum += part
	}
	if r.Source != SourceProvider && sum != r.Total {
		t.Errorf("the parts are %d: %+v", sum, r)
	}
	if r.HasTotal == (r.Status == StatusUnpriced) || r.Total < 0 || !r.HasTotal && r.Total != 0 {
		t.Errorf("status and total: %+v", r)
	}
	if (r.Reason == "") != (r.Status == StatusPriced || r.Status == StatusFree) {
		t.Errorf("status and reason: %+v", r)
	}
}
