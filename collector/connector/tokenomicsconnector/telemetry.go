package tokenomicsconnector

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	otelmetric "go.opentelemetry.io/otel/metric"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector/internal/metadata"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// outcome is what became of a span or log record.
type outcome uint8

const (
	outcomeCounted outcome = iota
	outcomeSkipped
	outcomeNotApplicable
	outcomeMalformed
	outcomeDeduplicated
	outcomeCount
)

var outcomeNames = [outcomeCount]string{"counted", "skipped", "not_applicable", "malformed", "deduplicated"}

// signal is the kind of an item.
type signal uint8

const (
	signalTraces signal = iota
	signalLogs
	signalCount
)

var signalNames = [signalCount]string{"traces", "logs"}

// counters are the sums since the start, observed when somebody asks. Whoever uses them holds the lock of the connector.
type counters struct {
	items                 [signalCount][outcomeCount]int64
	points, sent, refused int64
}

// register connects the sums with the collector's own telemetry.
func (c *tokenomicsConnector) register(builder *metadata.TelemetryBuilder) error {
	for _, entry := range []struct {
		register func(otelmetric.Int64Callback) error
		observe  func(observe)
	}{
		{builder.RegisterConnectorTokenomicsItemsCallback, c.observeItems},
		{builder.RegisterConnectorTokenomicsPointsCallback, func(o observe) { o(c.counters.points) }},
		{builder.RegisterConnectorTokenomicsFlushesCallback, func(o observe) {
			o(c.counters.sent, attribute.String("result", "sent"))
			o(c.counters.refused, attribute.String("result", "refused"))
		}},
		{builder.RegisterConnectorTokenomicsEvictedCallback, func(o observe) {
			o(c.state.evicted, attribute.String("kind", "series"))
			if c.recent != nil {
				o(c.recent.cutShort, attribute.String("kind", "span_id"))
			}
		}},
		{builder.RegisterConnectorTokenomicsSeriesCallback, func(o observe) {
			c.eachTable(func(held *table, name attribute.KeyValue) { o(int64(len(held.series)), name) })
		}},
		{builder.RegisterConnectorTokenomicsOverflowedCallback, func(o observe) {
			c.eachTable(func(held *table, name attribute.KeyValue) { o(held.overflowed, name) })
		}},
	} {
		if err := entry.register(func(_ context.Context, o otelmetric.Int64Observer) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			entry.observe(func(value int64, attrs ...attribute.KeyValue) { o.Observe(value, otelmetric.WithAttributes(attrs...)) })
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

type observe func(value int64, attrs ...attribute.KeyValue)

func (c *tokenomicsConnector) observeItems(o observe) {
	for kind, outcomes := range c.counters.items {
		for index, count := range outcomes {
			if count > 0 {
				o(count, attribute.String("signal", signalNames[kind]), attribute.String("outcome", outcomeNames[index]))
			}
		}
	}
}

func (c *tokenomicsConnector) eachTable(do func(*table, attribute.KeyValue)) {
	for index := range c.state.tables {
		if about := &attributes.ConnectorMetrics[index]; index != int(metricRequestCost) || c.state.histogram {
			do(&c.state.tables[index], attribute.String("metric", about.Name))
		}
	}
}
