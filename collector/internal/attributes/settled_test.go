package attributes

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/otel-tokenomics/otel-tokenomics/collector/pricing"
)

// TestShortWayToPicoIsTheLongOne: whatever the double, both ways of reading it agree.
func TestShortWayToPicoIsTheLongOne(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	doubles := []float64{
		0, math.Copysign(0, -1), 1e-13, 4e-13, 5e-13, 5.000000000000001e-13, 1.5e-12, 0.1, 0.30000000000000004, 999.999999999999,
		999.9999999999999, 1000, 1e7, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
	}
	for range 200_000 {
		doubles = append(doubles, random.Float64()*math.Pow(10, float64(random.IntN(20)-14)),
			pricing.ToDouble(random.Int64N(2_000*pricing.PicoPerUSD)))
	}
	short := 0
	for _, usd := range doubles {
		want, err := pricing.ParseUSDFloat(usd)
		got, exact := exactPico(usd)
		if exact {
			short++
			if err != nil || got != want {
				t.Fatalf("%v is %d pico-USD, not %d (%v)", usd, want, got, err)
			}
		}
		value := DoubleValue(usd)
		if money, ok := value.money(); ok != (err == nil && want >= 0) || ok && money != want {
			t.Fatalf("%v is read as %d, %t; it is %d, %v", usd, money, ok, want, err)
		}
	}
	if short < 50_000 {
		t.Errorf("only %d of %d doubles went the short way", short, len(doubles))
	}
}
