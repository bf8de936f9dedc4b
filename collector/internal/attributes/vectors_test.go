package attributes

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// anomalyCase is one case of tests/vectors/anomalies.json.
type anomalyCase struct {
	Name  string `json:"name"`
	Why   string `json:"why"`
	Scope struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"scope"`
	Attributes []struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	} `json:"attributes"`
	Expect anomalyExpect `json:"expect"`
}

type anomalyExpect struct {
	Units      map[string]string `json:"units"`
	Accounting string            `json:"accounting"`
	Flags      []string          `json:"flags"`
	Reason     string            `json:"reason"`
}

type otlpValue struct{ Value }

func (v *otlpValue) UnmarshalJSON(data []byte) error {
	var raw struct {
		String *string `json:"stringValue"`
		Int    *string `json:"intValue"`
		Double any     `json:"doubleValue"`
		Bool   *bool   `json:"boolValue"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&raw); err != nil {
		return err
	}
	switch {
	case raw.String != nil:
		v.Value = StringValue(*raw.String)
	case raw.Int != nil:
		number, err := strconv.ParseInt(*raw.Int, 10, 64)
		if err != nil {
			return err
		}
		v.Value = IntValue(number)
	case raw.Bool != nil:
		v.Value = Value{Type: TypeBool}
	default:
		switch number := raw.Double.(type) {
		case float64:
			v.Value = DoubleValue(number)
		case string:
			v.Value = DoubleValue(map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[number])
		}
	}
	return nil
}

func TestAnomalies(t *testing.T) {
	data, err := os.ReadFile("../../../tests/vectors/anomalies.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var cases []anomalyCase
	if err := decoder.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 40 {
		t.Fatalf("%d cases", len(cases))
	}
	names := map[string]bool{}
	for index := range cases {
		vector := &cases[index]
		if names[vector.Name] || vector.Why == "" {
			t.Errorf("%s: the name is taken, or the why is missing", vector.Name)
		}
		names[vector.Name] = true
		t.Run(vector.Name, func(t *testing.T) {
			if got := vector.read(); !reflect.DeepEqual(got, vector.Expect) {
				t.Errorf("%s\n got %+v\nwant %+v", vector.Why, got, vector.Expect)
			}
		})
	}
}

func (c *anomalyCase) read() anomalyExpect {
	var span Span
	span.Enter(Scope{Name: c.Scope.Name, Version: c.Scope.Version})
	span.Reset()
	for _, pair := range c.Attributes {
		span.Observe(pair.Key, pair.Value.Value)
	}
	var reading Reading
	span.Read(&Options{}, &reading)
	return answer(&reading)
}

func answer(reading *Reading) anomalyExpect {
	usage := &reading.Query.Usage
	got := anomalyExpect{Reason: reading.Query.Reason, Flags: reading.Query.Flags.Strings()}
	for unit, name := range pricing.UnitNames {
		// One call is one request: the reader adds that by itself.
		if usage.Has>>unit&1 == 0 || pricing.Unit(unit) == pricing.Request {
			continue
		}
		if got.Units == nil {
			got.Units, got.Accounting = map[string]string{}, "inclusive"
		}
		got.Units[name] = strconv.FormatInt(usage.Counts[unit], 10)
	}
	if reading.Exclusive && got.Units != nil {
		got.Accounting = "exclusive"
	}
	return got
}
