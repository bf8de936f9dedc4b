package tokenomicsconnector

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/hostile"
)

// decided adds what the processor would have written, so that more than the status is looked at.
func decided(traces ptrace.Traces) ptrace.Traces {
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for index, span := range scope.Spans().All() {
				if count := span.Attributes().Len(); count > 1000 || count == 0 {
					continue
				}
				for key, value := range map[string]string{
					"tokenomics.cost.status": "priced", "tokenomics.cost.source": "collector", "tokenomics.cost.currency": "USD",
					"tokenomics.price.model": fmt.Sprint("gpt-", index),
				} {
					if _, there := span.Attributes().Get(key); !there {
						span.Attributes().PutStr(key, value)
					}
				}
				if _, there := span.Attributes().Get("tokenomics.cost.total"); !there {
					span.Attributes().PutDouble("tokenomics.cost.total", 0.0075)
				}
			}
		}
	}
	return traces
}

// TestHostilePayloads: every span and record is counted as something, no series holds what is no number, and there are no
// more of them than the limit.
func TestHostilePayloads(t *testing.T) {
	for _, temporality := range []string{temporalityCumulative, temporalityDelta} {
		for _, one := range hostile.Payloads() {
			t.Run(temporality+" "+one.Name, func(t *testing.T) {
				c, sink := fuzzed(t, temporality)
				feed(t, c, sink, one.Traces)
				feed(t, c, sink, decided(one.Traces))
				records := logsFrom(one.Traces)
				require.NoError(t, c.ConsumeLogs(t.Context(), records))
				sum := int64(0)
				for _, count := range c.counters.items[signalLogs] {
					sum += count
				}
				assert.Equal(t, int64(records.LogRecordCount()), sum)
				require.NoError(t, c.flush(t.Context()))
				for _, metrics := range sink.AllMetrics() {
					sound(t, metrics)
				}
				for index := range c.state.tables {
					assert.LessOrEqual(t, len(c.state.tables[index].series), 51)
				}
			})
		}
	}
}

// logsFrom makes a record of each span.
func logsFrom(traces ptrace.Traces) plog.Logs {
	logs := plog.NewLogs()
	for _, resource := range traces.ResourceSpans().All() {
		holder := logs.ResourceLogs().AppendEmpty()
		resource.Resource().CopyTo(holder.Resource())
		for _, scope := range resource.ScopeSpans().All() {
			records := holder.ScopeLogs().AppendEmpty().LogRecords()
			for _, span := range scope.Spans().All() {
				record := records.AppendEmpty()
				span.Attributes().CopyTo(record.Attributes())
				record.SetTimestamp(span.EndTimestamp())
				record.SetTraceID(span.TraceID())
				record.SetSpanID(span.SpanID())
			}
		}
	}
	return logs
}

// TestAMillionSpansOfOneTrace: the state does not grow with the spans, also where each is remembered to be counted once.
func TestAMillionSpansOfOneTrace(t *testing.T) {
	s := staged(t, nopSettings(), func(cfg *Config) {
		cfg.Dedupe = DedupeConfig{Window: time.Hour, MaxSpans: 1000}
	})
	defer s.end()
	const batches, size = 20, 50_000
	for number := range batches {
		require.NoError(t, s.ConsumeTraces(t.Context(), decided(hostile.OneTrace(number*size, size, 100))))
	}
	seen := int64(0)
	for _, count := range s.counters.items[signalTraces] {
		seen += count
	}
	assert.Equal(t, int64(batches*size), seen)
	assert.LessOrEqual(t, len(s.recent.young)+len(s.recent.old), 1000)
	assert.Positive(t, s.recent.cutShort)
	for index := range s.state.tables {
		assert.LessOrEqual(t, len(s.state.tables[index].series), 2001)
	}
}

const secret = "s3cr3t-of-a-customer"

// TestNothingOfASpanIsSaid: spans whose texts hold a mark, in a flush that the next component refuses, and in one in which
// it fails; neither a log line nor a status nor an error holds it. Only the dimensions that were asked for do, as metrics.
func TestNothingOfASpanIsSaid(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	set := nopSettings()
	set.Logger = zap.New(core)
	s := staged(t, set)
	for _, one := range hostile.Payloads() {
		if one.Traces.SpanCount() > 1000 {
			continue
		}
		for _, span := range one.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
			if span.Attributes().Len() > 1000 {
				continue
			}
			for _, key := range []string{"gen_ai.input.messages", "gen_ai.response.model", "user.id", "tokenomics.tag.team", "gen_ai.provider.name", "error.type"} {
				span.Attributes().PutStr(key, secret)
			}
		}
		require.NoError(t, s.ConsumeTraces(t.Context(), decided(one.Traces)))
	}
	assert.Zero(t, logs.Len())
	groups := s.state.groups
	s.state.groups = nil // the first of a kind fails inside
	s.traces(call(map[string]any{"tokenomics.tag.team": secret, "service.name": secret, "gen_ai.provider.name": secret + "2"}))
	s.state.groups = groups
	assert.Equal(t, 1, logs.FilterMessageSnippet("internal failure").Len())
	var said []string
	host := &statusHost{componenttest.NewNopHost(), make(chan componentstatus.Status, 9)}
	s.host = host
	for _, refusal := range []error{errors.New("backend is down"), consumererror.NewPermanent(errors.New("bad request"))} {
		s.sink.err = refusal
		s.time = s.time.Add(15 * time.Second)
		said = append(said, s.flush(t.Context()).Error())
	}
	s.tick <- s.time
	require.Equal(t, componentstatus.StatusRecoverableError, <-host.events)
	s.sink.err = nil
	s.end()
	require.NotZero(t, logs.Len(), "a refusal is said")
	for _, entry := range logs.All() {
		encoder := zapcore.NewMapObjectEncoder()
		for _, field := range entry.Context {
			field.AddTo(encoder)
		}
		said = append(said, entry.Message, fmt.Sprint(encoder.Fields))
	}
	for _, text := range said {
		require.NotContains(t, strings.ToLower(text), secret)
	}
	for _, metrics := range s.sink.AllMetrics() {
		for _, one := range pointsOf(metrics) {
			for key, value := range one.attributes {
				if key != "tokenomics.tag.team" && key != "gen_ai.provider.name" && key != "gen_ai.request.model" && key != "error.type" {
					require.NotContains(t, fmt.Sprint(value), secret, key)
				}
			}
		}
	}
}
