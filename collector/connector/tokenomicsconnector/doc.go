//go:generate ../../tools/bin/mdatagen metadata.yaml

// Package tokenomicsconnector turns the costs on spans and log records into metrics, before anything is sampled away.
package tokenomicsconnector
