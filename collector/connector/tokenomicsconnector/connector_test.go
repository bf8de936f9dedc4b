package tokenomicsconnector

import (
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector/internal/metadata"
)

func nopSettings() connector.Settings { return connectortest.NewNopSettings(metadata.Type) }
