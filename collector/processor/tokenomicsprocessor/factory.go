package tokenomicsprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadata"
)

// NewFactory returns the factory of the processor.
func NewFactory() processor.Factory {
	return processor.NewFactory(
		metadata.Type,
		createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability),
		processor.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createTraces(
	ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Traces,
) (processor.Traces, error) {
	pricer, err := newProcessor(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	traces, err := processorhelper.NewTraces(ctx, set, cfg, next, pricer.processTraces,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		processorhelper.WithStart(pricer.start),
		processorhelper.WithShutdown(pricer.shutdown),
	)
	if err != nil {
		return nil, err
	}
	return traces, nil
}

func createLogs(ctx context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	pricer, err := newProcessor(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	// Backends read the keys of their own on spans.
	pricer.writer.dialects = nil
	logs, err := processorhelper.NewLogs(ctx, set, cfg, next, pricer.processLogs,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: true}),
		processorhelper.WithStart(pricer.start),
		processorhelper.WithShutdown(pricer.shutdown),
	)
	if err != nil {
		return nil, err
	}
	return logs, nil
}
