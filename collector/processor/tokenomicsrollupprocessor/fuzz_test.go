package tokenomicsrollupprocessor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// FuzzConsume feeds raw OTLP: whatever decodes must come out with every span that went in, whether it was held or
// grouped before, and a second roll-up must change no amount.
func FuzzConsume(f *testing.F) {
	files, err := filepath.Glob("../../../tests/vectors/spans/once_*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err, len(files))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var vector struct {
			Out json.RawMessage `json:"out"`
		}
		if err := json.Unmarshal(data, &vector); err != nil {
			f.Fatal(err)
		}
		f.Add(protobuf(f, unmarshal(f, vector.Out)))
	}
	f.Add(protobuf(f, benchmarkTraces(2, 5, 3, 2)))
	cfg := createDefaultConfig().(*Config)
	cfg.Grouped, cfg.CountBareContainers = true, true
	f.Fuzz(func(t *testing.T, data []byte) {
		traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			t.Skip("the bytes are no payload of spans")
		}
		count := traces.SpanCount()
		sink := &consumertest.TracesSink{}
		grouped, _ := still(t, cfg, sink)
		if err := grouped.ConsumeTraces(t.Context(), copyOf(traces)); err != nil || sink.SpanCount() != count {
			t.Fatal(err, sink.SpanCount(), count)
		}
		once := sink.AllTraces()[0]
		first := amounts(once)
		sink.Reset()
		if err := grouped.ConsumeTraces(t.Context(), copyOf(once)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first, amounts(sink.AllTraces()...)) {
			t.Fatal("a second roll-up changed an amount")
		}
		sink.Reset()
		holder, clock := still(t, createDefaultConfig().(*Config), sink)
		for range 2 {
			if err := holder.ConsumeTraces(t.Context(), copyOf(traces)); err != nil {
				t.Fatal(err)
			}
			clock.add(10 * time.Second)
			holder.tick()
		}
		if sink.SpanCount() != 2*count || holder.held != 0 || holder.counts.malformed.Load() != 0 || grouped.counts.malformed.Load() != 0 {
			t.Fatal(sink.SpanCount(), count, holder.held)
		}
	})
}

// amounts are the lines of describe that hold money.
func amounts(all ...ptrace.Traces) []string {
	return slices.DeleteFunc(describe(all...), func(line string) bool { return !strings.Contains(line, "cost.total = ") })
}

func copyOf(traces ptrace.Traces) ptrace.Traces {
	copied := ptrace.NewTraces()
	traces.CopyTo(copied)
	return copied
}

func protobuf(f *testing.F, traces ptrace.Traces) []byte {
	f.Helper()
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		f.Fatal(err)
	}
	return data
}
