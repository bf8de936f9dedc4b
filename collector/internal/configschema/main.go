// Command configschema writes config.schema.yaml beside the config.go of each component: a JSON Schema of its settings,
// for editors and for whoever checks a configuration before it is rolled out. It is run by `make generate`.
//
// Nothing is written down twice. Names and types come from the Config structs, defaults from the factories, descriptions
// from the comments; which words and which numbers a setting takes is asked of its Validate method.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.opentelemetry.io/collector/component"

	"github.com/otel-tokenomics/otel-tokenomics/collector/connector/tokenomicsconnector"
	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor"
	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsrollupprocessor"
)

const fileName = "config.schema.yaml"

// components are the folders of the module that have settings.
var components = []struct {
	folder  string
	factory component.Factory
}{
	{"connector/tokenomicsconnector", tokenomicsconnector.NewFactory()},
	{"processor/tokenomicsprocessor", tokenomicsprocessor.NewFactory()},
	{"processor/tokenomicsrollupprocessor", tokenomicsrollupprocessor.NewFactory()},
}

func main() {
	for _, one := range components {
		text, err := generate(".", one.folder, one.factory)
		if err == nil {
			err = os.WriteFile(filepath.Join(one.folder, fileName), text, 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, one.folder, err)
			os.Exit(1)
		}
	}
}
