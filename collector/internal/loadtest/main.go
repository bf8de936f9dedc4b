// Command loadtest is the traffic of the load test (tests/load): a sender of OTLP spans that knows what it sent and what
// was refused, and a sink that counts what arrived and what it cost.
//
//	loadtest send -endpoint http://127.0.0.1:4318 -spans 100000 -models 5
//	loadtest sink
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("say what to do: send or sink")
	}
	switch arguments[0] {
	case "send":
		return sendCommand(arguments[1:])
	case "sink":
		return sinkCommand(arguments[1:])
	}
	return fmt.Errorf("%q is neither send nor sink", arguments[0])
}

func say(answer any) error { return json.NewEncoder(os.Stdout).Encode(answer) }

// rate is what a token of a model costs, in pico-USD. A model without one is unknown to the collector.
type rate struct{ input, output int64 }

// rates is a flag: model=input:output, comma-separated, in pico-USD per token; model alone is unknown to the collector.
type rates struct {
	models []string
	of     map[string]rate
}

func (r *rates) String() string { return strings.Join(r.models, ",") }

// Set reads the flag.
func (r *rates) Set(text string) error {
	r.models, r.of = nil, map[string]rate{}
	for entry := range strings.SplitSeq(text, ",") {
		model, amounts, known := strings.Cut(entry, "=")
		r.models = append(r.models, model)
		if !known {
			continue
		}
		input, output, _ := strings.Cut(amounts, ":")
		in, err := strconv.ParseInt(input, 10, 64)
		if err != nil {
			return err
		}
		out, err := strconv.ParseInt(output, 10, 64)
		if err != nil {
			return err
		}
		r.of[model] = rate{in, out}
	}
	return nil
}

// cost is what a call comes to, and whether the collector can know.
func (r *rates) cost(model string, input, output int64) (int64, bool) {
	per, known := r.of[model]
	return input*per.input + output*per.output, known
}
