package attributes

import (
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// TestEverySpellingIsFound holds the key table to the generated tables: a spelling that two words claimed would be lost.
func TestEverySpellingIsFound(t *testing.T) {
	for place, spellings := range map[slot][]string{
		slotProvider: ReadAsProvider, slotResponseModel: ReadAsResponseModel, slotRequestModel: ReadAsRequestModel,
		slotInput: ReadAsInput, slotOutput: ReadAsOutput, slotCacheRead: ReadAsCacheRead, slotCacheWrite: ReadAsCacheWrite,
		slotCacheWrite5m: ReadAsCacheWrite5m, slotCacheWrite1h: ReadAsCacheWrite1h, slotReasoning: ReadAsReasoning,
		slotAudioInput: ReadAsAudioInput, slotAudioOutput: ReadAsAudioOutput, slotAudioCacheRead: ReadAsAudioCacheRead,
		slotImageInput: ReadAsImageInput, slotImageOutput: ReadAsImageOutput, slotTotal: ReadAsTotal, slotHost: ReadAsHost,
		slotAPIBase: ReadAsApiBase, slotBilled: ReadAsBilled, slotBilledAmount: ReadAsBilledAmount, slotBilledSource: ReadAsBilledSource,
	} {
		for rank, key := range spellings {
			entry := keys.find(key)
			if entry == nil || entry.slot != place || int(entry.rank) != rank {
				t.Errorf("%s is read as %+v, not as slot %d rank %d", key, entry, place, rank)
			}
		}
	}
	for _, key := range ReadAsKind {
		if keys.find(key) == nil {
			t.Errorf("%s is not read", key)
		}
	}
	if len(ReadAsEstimateOfOthers) > maxEstimates {
		t.Errorf("%d spellings of estimates, room for %d", len(ReadAsEstimateOfOthers), maxEstimates)
	}
	for unit := pricing.WebSearch; unit <= pricing.Image; unit++ {
		if key := "tokenomics.usage." + pricing.UnitNames[unit]; keys.find(key).slot != slotUnit+slot(unit) {
			t.Errorf("%s is not read as its unit", key)
		}
	}
}

func TestDecisive(t *testing.T) {
	for _, key := range []string{"gen_ai.operation.name", "llm.model_name", "ai.operationId", "model", "input_tokens", "tokenomics.cost.source"} {
		if !Decisive(key) {
			t.Errorf("%s does not decide", key)
		}
	}
	for _, key := range []string{"", "m", "gen_ai.provider.name", "http.route", "server.address", "model_", "gen_ai.prompt.0.content", "gen_ai.input.messages"} {
		if Decisive(key) {
			t.Errorf("%s decides", key)
		}
	}
}

// TestContentIsNeverRead holds the promise that no prompt or completion is looked at.
func TestContentIsNeverRead(t *testing.T) {
	for _, key := range []string{
		"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.call.arguments",
		"gen_ai.tool.call.result", "gen_ai.prompt.0.content", "gen_ai.completion.0.content", "input.value", "output.value",
		"llm.input_messages.0.message.content", "ai.prompt", "ai.response.text",
		// Copies, sums and raw objects would count a second time what stands on the span.
		"gen_ai.usage.details.cache_read_tokens", "gen_ai.aggregated_usage.input_tokens", "gen_ai.usage.raw",
		"gen_ai.usage.partial.input_tokens", "github.copilot.cost",
	} {
		if Find(key) != nil {
			t.Errorf("%s is read", key)
		}
	}
}

// read returns what a span with these texts and numbers says.
func read(scope string, attributes map[string]any, change func(*Span)) Reading {
	var span Span
	span.Enter(Scope{Name: scope})
	span.Reset()
	for key, value := range attributes {
		switch value := value.(type) {
		case string:
			span.Observe(key, StringValue(value))
		case int:
			span.Observe(key, IntValue(int64(value)))
		}
	}
	if change != nil {
		change(&span)
	}
	var reading Reading
	span.Read(&Options{}, &reading)
	return reading
}

func TestRoles(t *testing.T) {
	for name, test := range map[string]struct {
		attributes map[string]any
		verdict    Verdict
		operation  string
	}{
		"langfuse generation":    {map[string]any{"langfuse.observation.type": "generation"}, VerdictPrice, opChat},
		"langfuse span":          {map[string]any{"langfuse.observation.type": "span"}, VerdictPass, ""},
		"langfuse tool":          {map[string]any{"langfuse.observation.type": "TOOL"}, VerdictNotApplicable, ""},
		"ddtrace llm":            {map[string]any{"span.type": "llm", "gen_ai.request.model": "m"}, VerdictPrice, opChat},
		"ddtrace web":            {map[string]any{"span.type": "web", "model": "T"}, VerdictPass, ""},
		"no kind, model and use": {map[string]any{"model": "m", "input_tokens": 5, "output_tokens": 5}, VerdictPrice, opChat},
		"no kind, use alone":     {map[string]any{"input_tokens": 5}, VerdictPass, ""},
		"vercel embed":           {map[string]any{"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 5}, VerdictPrice, opEmbeddings},
		"vercel outer embed":     {map[string]any{"ai.operationId": "ai.embed", "ai.usage.tokens": 5}, VerdictNotApplicable, ""},
		"openinference reranker": {map[string]any{"openinference.span.kind": "RERANKER", "gen_ai.operation.name": "retrieval"}, VerdictPrice, opRerank},
		"llm.request.type":       {map[string]any{"llm.request.type": "completion"}, VerdictPrice, opText},
		"unknown operation":      {map[string]any{"gen_ai.operation.name": "dance"}, VerdictPass, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read("somebody", test.attributes, nil); got.Verdict != test.verdict || got.Operation != test.operation {
				t.Errorf("verdict %d operation %q", got.Verdict, got.Operation)
			}
		})
	}
}

func TestLostCalls(t *testing.T) {
	for errorType, want := range map[string]string{
		"APITimeoutError": pricing.ReasonBillingUnknown, "openai.APIConnectionError": pricing.ReasonBillingUnknown,
		"httpx.ReadTimeout": pricing.ReasonBillingUnknown, "ECONNRESET": pricing.ReasonBillingUnknown,
	} {
		got := read(OwnScope, map[string]any{"gen_ai.operation.name": "chat", "error.type": errorType}, nil)
		if got.Verdict != VerdictPrice || got.Query.Reason != want {
			t.Errorf("%s: verdict %d reason %q", errorType, got.Verdict, got.Query.Reason)
		}
	}
	for _, errorType := range []string{"429", "400", "504", "RateLimitError", "AuthenticationError"} {
		got := read(OwnScope, map[string]any{"gen_ai.operation.name": "chat", "error.type": errorType}, nil)
		if got.Verdict != VerdictNotApplicable || got.Reason != ReasonCallFailed {
			t.Errorf("%s: verdict %d reason %q", errorType, got.Verdict, got.Reason)
		}
	}
}

// TestEndsOfOurSDK: the SDK's own word for the end of a call comes before the status of the span.
func TestEndsOfOurSDK(t *testing.T) {
	for name, test := range map[string]struct {
		end, errorType string
		begun          bool
		want           string
	}{
		"cancelled before an answer": {"cancelled", "CancelledError", false, pricing.ReasonBillingUnknown},
		"cancelled in the stream":    {"cancelled", "CancelledError", true, pricing.ReasonNoUsage},
		"abandoned":                  {"abandoned", "", true, pricing.ReasonNoUsage},
		"failed in the stream":       {"error", "500", true, pricing.ReasonNoUsage},
	} {
		attributes := map[string]any{"gen_ai.operation.name": "chat", "tokenomics.call.end": test.end}
		if test.errorType != "" {
			attributes["error.type"] = test.errorType
		}
		if test.begun {
			attributes["gen_ai.response.time_to_first_chunk"] = 1
		}
		got := read(OwnScope, attributes, func(s *Span) { s.Failed = test.end == "error" })
		if got.Query.Reason != test.want || got.Verdict != VerdictPrice {
			t.Errorf("%s: verdict %d reason %q", name, got.Verdict, got.Query.Reason)
		}
	}
}

func TestAddress(t *testing.T) {
	base := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.openai.api_base": "https://gw.acme.example:8443/eu/openai/v1"}
	got := read("somebody", base, nil)
	if got.Query.Host != "gw.acme.example" || got.Port != 8443 || got.Path != "/eu/openai/v1" {
		t.Errorf("%q %d %q", got.Query.Host, got.Port, got.Path)
	}
	base["server.address"] = "api.openai.com"
	if got = read("somebody", base, nil); got.Query.Host != "api.openai.com" || got.Path != "" {
		t.Errorf("%q %q", got.Query.Host, got.Path)
	}
}

func TestCutAddress(t *testing.T) {
	for address, want := range map[string]struct {
		host string
		port int
		path string
	}{
		"https://api.openai.com/v1/?x=/y#z":    {"api.openai.com", 0, "/v1/"},
		"http://user:key@gw.example:8080":      {"gw.example", 8080, ""},
		"http://[::1]:8000/v1":                 {"::1", 8000, "/v1"},
		"http://[fe80::1]/v1":                  {"fe80::1", 0, "/v1"},
		"https://x.example:/v1":                {"x.example", 0, "/v1"},
		"https://x.example:99999/v1":           {"", 0, ""},
		"https://x.example:port":               {"", 0, ""},
		"api.openai.com/v1":                    {"", 0, ""},
		"https://":                             {"", 0, ""},
		"https:///v1":                          {"", 0, "/v1"},
		"https://y.example?next=http://a/b":    {"y.example", 0, ""},
		"https://api.openai.com@evil.example/": {"evil.example", 0, "/"},
	} {
		host, port, path := cutAddress(address)
		if host != want.host || port != want.port || path != want.path {
			t.Errorf("%s: %q %d %q", address, host, port, path)
		}
	}
	if count := testing.AllocsPerRun(100, func() { cutAddress("https://api.openai.com:443/v1/") }); count != 0 {
		t.Errorf("%v allocations", count)
	}
}
