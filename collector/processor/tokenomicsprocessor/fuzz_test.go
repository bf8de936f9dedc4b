package tokenomicsprocessor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// FuzzProcess feeds raw OTLP: whatever decodes must come out, with every span that went in, and a second pass must
// change nothing.
func FuzzProcess(f *testing.F) {
	files, err := filepath.Glob(vectors + "/spans/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var vector spanCase
		if err := json.Unmarshal(data, &vector); err != nil {
			f.Fatal(err)
		}
		traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(vector.In)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(protobuf(f, traces))
	}
	f.Add(protobuf(f, batchOf(2, 3, 1)))
	pricers := []*tokenomicsProcessor{fuzzed(f, vectorConfig())}
	for _, mode := range []string{onExistingVerify, onExistingKeep, onExistingOverwrite} {
		cfg := vectorConfig()
		cfg.OnExisting, cfg.Reprice, cfg.CostParts, cfg.Dialects = mode, repriceAlways, true, dialectNames
		pricers = append(pricers, fuzzed(f, cfg))
	}
	ruled := tagRulesConfig()
	ruled.Sensitive = SensitiveConfig{Drop: []string{"gen_ai.prompt.*", "exception*"}, Hash: []string{"user.id", "tokenomics.tag.customer", "litellm.*"}, Salt: "x"}
	pricers = append(pricers, fuzzed(f, ruled))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, pricer := range pricers {
			twice(t, pricer, data)
		}
	})
}

// FuzzProcessLogs is FuzzProcess for log records.
func FuzzProcessLogs(f *testing.F) {
	for _, vector := range logCases(f) {
		f.Add(logBytes(f, unmarshalLogs(f, vector.Logs.In)))
	}
	f.Add(logBytes(f, recordsOf(2, 3, 1)))
	pricers := []*tokenomicsProcessor{fuzzed(f, vectorConfig())}
	for _, mode := range []string{onExistingVerify, onExistingKeep, onExistingOverwrite} {
		cfg := vectorConfig()
		cfg.OnExisting, cfg.Reprice, cfg.CostParts = mode, repriceAlways, true
		cfg.Agents = map[string]string{"copilot": "logs", "opencode": "logs"}
		pricers = append(pricers, fuzzed(f, cfg))
	}
	for _, pricer := range pricers {
		pricer.writer.dialects = nil
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, pricer := range pricers {
			logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(data)
			if err != nil {
				t.Skip("the bytes are no payload of log records")
			}
			before := logs.LogRecordCount()
			once, err := pricer.processLogs(t.Context(), logs)
			if err != nil || once.LogRecordCount() != before {
				t.Fatalf("%d records of %d, %v", once.LogRecordCount(), before, err)
			}
			first := logBytes(t, once)
			again, err := pricer.processLogs(t.Context(), once)
			if err != nil || string(first) != string(logBytes(t, again)) {
				t.Fatal("a second pass changed the data")
			}
		}
	})
}

func logBytes(t testing.TB, logs plog.Logs) []byte {
	t.Helper()
	raw, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fuzzed(f *testing.F, cfg *Config) *tokenomicsProcessor {
	f.Helper()
	pricer, err := newProcessor(nopSettings(), cfg)
	if err != nil {
		f.Fatal(err)
	}
	return pricer
}

// twice sends data through one processor two times.
func twice(t *testing.T, pricer *tokenomicsProcessor, data []byte) {
	t.Helper()
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		t.Skip("the bytes are no payload of spans")
	}
	before := traces.SpanCount()
	once, err := pricer.processTraces(t.Context(), traces)
	if err != nil || once.SpanCount() != before {
		t.Fatalf("%d spans of %d, %v", once.SpanCount(), before, err)
	}
	first, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(once)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pricer.processTraces(t.Context(), once)
	if err != nil {
		t.Fatal(err)
	}
	second, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(again)
	if err != nil || string(first) != string(second) {
		t.Fatal("a second pass changed the data")
	}
}

func protobuf(f *testing.F, traces ptrace.Traces) []byte {
	f.Helper()
	raw, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		f.Fatal(err)
	}
	return raw
}
