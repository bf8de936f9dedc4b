package main

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatIsSentIsWhatIsCounted: sender and sink agree with nothing between them, so a difference is the collector's.
func TestWhatIsSentIsWhatIsCounted(t *testing.T) {
	sink := &sink{}
	sink.count.begin()
	sink.count.spansPerTrace = 10
	require.NoError(t, sink.count.price.Set("dear=100:700,cheap=1:2,unheard-of"))
	server := httptest.NewServer(sink.take(sink.count.traces))
	defer server.Close()
	total := worth{}
	for seed, parts := range []int{1, 4, 10} {
		sender := &sender{
			shape: shape{traces: 7, spansPerTrace: 10, parts: parts, models: 50, attributes: 3}, endpoint: server.URL,
			seed: uint64(seed + 1), groups: 5, workers: 3, patience: time.Second, client: server.Client(),
		}
		sender.price = sink.count.price
		require.NoError(t, sender.send())
		require.Empty(t, sender.report.Refusals)
		require.Equal(t, int64(5*7*10), sender.report.Accepted.Spans)
		require.Equal(t, int64(5*7*5), sender.report.Accepted.Calls)
		require.Positive(t, sender.report.Accepted.Unpriced)
		require.Positive(t, sender.report.Accepted.Pico)
		total.add(sender.report.Accepted)
	}
	found := sink.count.answer()
	assert.Equal(t, total, found.Distinct)
	assert.Zero(t, found.Duplicates)
	assert.Equal(t, total.Calls-total.Unpriced, found.WrongPrice, "nobody priced them")
	assert.Equal(t, traceCounts{Seen: 3 * 5 * 7, Bare: 3 * 5 * 7}, found.Traces, "every span of each, and no claim")
}

// TestARefusalIsToldFromNoAnswer: the one is not delivered, the other may be.
func TestARefusalIsToldFromNoAnswer(t *testing.T) {
	sink := &sink{}
	sink.count.begin()
	require.NoError(t, sink.count.price.Set("m=1:1"))
	server := httptest.NewServer(sink.take(sink.count.traces))
	sender := &sender{
		shape: shape{traces: 1, spansPerTrace: 2, parts: 1, models: 50}, endpoint: server.URL, seed: 1, groups: 1, workers: 1,
		client: server.Client(),
	}
	sender.price = sink.count.price
	sink.status.Store(503)
	require.NoError(t, sender.send())
	assert.Equal(t, map[string]int64{"503": 1}, sender.report.Refusals)
	assert.Equal(t, int64(2), sender.report.GaveUp.Spans)
	server.Close()
	require.NoError(t, sender.send())
	assert.Equal(t, map[string]int64{"unreachable": 1}, sender.report.Refusals)
	assert.Zero(t, sink.count.answer().Spans)
}
