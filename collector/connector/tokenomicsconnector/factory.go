package tokenomicsconnector

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector/internal/metadata"
)

// NewFactory returns the factory of the connector.
func NewFactory() connector.Factory {
	made := &instances{of: map[*Config]*tokenomicsConnector{}}
	return connector.NewFactory(
		metadata.Type,
		createDefaultConfig,
		connector.WithTracesToMetrics(made.createTraces, metadata.TracesToMetricsStability),
		connector.WithLogsToMetrics(made.createLogs, metadata.LogsToMetricsStability),
	)
}

// instances holds one connector for each configured one. The collector asks for one more per signal: two of them would
// both write the same series, and a backend would see one counter that jumps back and forth.
type instances struct {
	mu sync.Mutex
	of map[*Config]*tokenomicsConnector
}

func (i *instances) createTraces(
	_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics,
) (connector.Traces, error) {
	return i.instance(set, cfg.(*Config), next)
}

func (i *instances) createLogs(
	_ context.Context, set connector.Settings, cfg component.Config, next consumer.Metrics,
) (connector.Logs, error) {
	return i.instance(set, cfg.(*Config), next)
}

func (i *instances) instance(set connector.Settings, cfg *Config, next consumer.Metrics) (*tokenomicsConnector, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if made := i.of[cfg]; made != nil {
		return made, nil
	}
	made, err := newConnector(set, cfg, next, systemClock())
	if err != nil {
		return nil, err
	}
	made.forget = func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		delete(i.of, cfg)
	}
	i.of[cfg] = made
	return made, nil
}
