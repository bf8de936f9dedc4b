package tokenomicsconnector

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector/internal/metadata"
)

// collectorInstance tells the streams of several collectors apart, as the connector span_metrics does. A resource
// attribute: in Prometheus, which knows its targets, it makes no label.
const collectorInstance = "collector.instance.id"

// clock is where the time comes from; a test has its own.
type clock struct {
	now   func() time.Time
	ticks func(time.Duration) (<-chan time.Time, func())
}

func systemClock() clock {
	return clock{now: time.Now, ticks: func(interval time.Duration) (<-chan time.Time, func()) {
		ticker := time.NewTicker(interval)
		return ticker.C, ticker.Stop
	}}
}

// tokenomicsConnector counts what spans and log records cost. One serves both signals.
type tokenomicsConnector struct {
	logger   *zap.Logger
	builder  *metadata.TelemetryBuilder
	next     consumer.Metrics
	clock    clock
	interval time.Duration
	weighted bool
	scope    pcommon.InstrumentationScope
	resource pcommon.Resource
	host     component.Host
	forget   func()

	// users counts the pipelines that use the connector; the last one to leave flushes.
	lifecycle sync.Mutex
	users     int
	stop      chan struct{}
	stopped   chan struct{}
	cancel    context.CancelFunc

	mu       sync.Mutex
	state    *aggregate
	recent   *recent
	work     work
	counters counters
}

func newConnector(set connector.Settings, cfg *Config, next consumer.Metrics, time clock) (*tokenomicsConnector, error) {
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	c := &tokenomicsConnector{
		logger: set.Logger, builder: builder, next: next, clock: time, interval: cfg.FlushInterval,
		weighted: cfg.WeightBySampling, scope: pcommon.NewInstrumentationScope(), resource: pcommon.NewResource(),
		forget: func() {}, state: newAggregate(cfg), recent: newRecent(&cfg.Dedupe),
	}
	c.scope.SetName(metadata.ScopeName)
	c.scope.SetVersion(set.BuildInfo.Version)
	if id, found := set.Resource.Attributes().Get("service.instance.id"); found {
		c.resource.Attributes().PutStr(collectorInstance, id.AsString())
	}
	c.work.measured.weight = one
	return c, nil
}

// Capabilities says that nothing is changed: what passes may be shared with exporters.
func (*tokenomicsConnector) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// Start begins to hand metrics on; the second pipeline joins the first.
func (c *tokenomicsConnector) Start(ctx context.Context, host component.Host) error {
	c.lifecycle.Lock()
	defer c.lifecycle.Unlock()
	c.users++
	if c.users > 1 {
		return nil
	}
	if err := c.register(c.builder); err != nil {
		return err
	}
	c.host = host
	c.mu.Lock()
	c.state.begin(pcommon.NewTimestampFromTime(c.clock.now()))
	c.mu.Unlock()
	c.stop, c.stopped = make(chan struct{}), make(chan struct{})
	// What runs on must outlive the start, which may be bounded in time.
	ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	ticks, release := c.clock.ticks(c.interval)
	go func() {
		defer close(c.stopped)
		defer release()
		c.run(ctx, ticks)
	}()
	return nil
}

func (c *tokenomicsConnector) run(ctx context.Context, ticks <-chan time.Time) {
	refused := false
	for {
		select {
		case <-c.stop:
			return
		case <-ticks:
		}
		err := c.flush(ctx)
		switch {
		case err != nil:
			c.logger.Warn("metrics refused, they stay and go with the next ones", zap.Error(err))
			c.report(componentstatus.NewRecoverableErrorEvent(err))
		case refused:
			c.report(componentstatus.NewEvent(componentstatus.StatusOK))
		}
		refused = err != nil
	}
}

func (c *tokenomicsConnector) report(event *componentstatus.Event) {
	componentstatus.ReportStatus(c.host, event)
}

// Shutdown hands on what was counted last, once the last pipeline left.
func (c *tokenomicsConnector) Shutdown(ctx context.Context) error {
	c.lifecycle.Lock()
	defer c.lifecycle.Unlock()
	if c.users--; c.users > 0 {
		return nil
	}
	c.forget()
	defer c.builder.Shutdown()
	if c.stop == nil {
		return nil
	}
	close(c.stop)
	defer c.cancel()
	select {
	case <-c.stopped:
	case <-ctx.Done():
		return fmt.Errorf("metrics of the last %s are lost: %w", c.interval, ctx.Err())
	}
	c.stop = nil
	return c.flush(ctx)
}

// flush hands the metrics on. They are written under the lock, but not sent: a slow backend must not hold up spans.
func (c *tokenomicsConnector) flush(ctx context.Context) error {
	c.mu.Lock()
	done := c.state.collect(pcommon.NewTimestampFromTime(c.clock.now()), c.scope, c.resource)
	c.mu.Unlock()
	points := done.metrics.DataPointCount()
	if points == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state.accept(&done)
		return nil
	}
	err := c.next.ConsumeMetrics(ctx, done.metrics)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.counters.refused++
		return err
	}
	c.counters.sent++
	c.counters.points += int64(points)
	c.state.accept(&done)
	return nil
}
