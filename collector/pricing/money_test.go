package pricing

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestParseUSD(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1_000_000_000_000, "0.342375": 342_375_000_000, "-2.5": -2_500_000_000_000, "+.5": 500_000_000_000,
		"1e-5": 10_000_000, "12E-13": 1, "0.0000000000005": 0, "0.0000000000015": 2, "0.0000000000025": 2,
		"0.00000000000250001": 3, " 7. ": 7_000_000_000_000, "9223372.036854775807": math.MaxInt64, "0e9999": 0,
		"1e-99999999999999999999": 0, "0.00000000000049999999999999999999999": 0,
	} {
		if got, err := ParseUSD(text); err != nil || got != want {
			t.Errorf("ParseUSD(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", ".", "-", "1,5", "NaN", "inf", "1e", "e5", "0x10", "1_000", "--1", "9223372.036854775808", "1e30", "1e999999999", "１",
	} {
		if got, err := ParseUSD(text); err == nil {
			t.Errorf("ParseUSD(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseUSDFloatReadsTheShortestText(t *testing.T) {
	if got, err := ParseUSDFloat(0.1); err != nil || got != 100_000_000_000 {
		t.Errorf("0.1 is %d, %v", got, err)
	}
	if _, err := ParseUSDFloat(math.NaN()); err == nil {
		t.Error("NaN is an amount")
	}
}

// exactDouble is n/1e12 rounded once, computed with arbitrary precision.
func exactDouble(pico int64) float64 {
	double, _ := new(big.Rat).SetFrac64(pico, PicoPerUSD).Float64()
	return double
}

func TestToDoubleIsRoundedOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	values := []int64{0, 1, -1, exactDoubleLimit - 1, exactDoubleLimit, exactDoubleLimit + 1, math.MaxInt64, -math.MaxInt64, math.MinInt64}
	twice := 0
	for range 20_000 {
		values = append(values, random.Int64()>>random.IntN(60))
	}
	for _, pico := range values {
		want := exactDouble(pico)
		if got := ToDouble(pico); math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("ToDouble(%d) = %v, want %v", pico, got, want)
		}
		if float64(pico)/PicoPerUSD != want {
			twice++
		}
	}
	if twice == 0 {
		t.Error("no value shows that the plain division rounds twice: the test proves nothing")
	}
}

func TestFormatUSD(t *testing.T) {
	for pico, want := range map[int64]string{
		0: "0", 1: "0.000000000001", 342_375_000_000: "0.342375", -1_500_000_000_000: "-1.5", 2_000_000_000_000: "2",
		math.MinInt64: "-9223372.036854775808",
	} {
		if got := FormatUSD(pico); got != want {
			t.Errorf("FormatUSD(%d) = %s, want %s", pico, got, want)
		}
	}
}

func TestRatioRoundsHalfToEven(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		amount := random.Int64N(math.MaxInt64) >> random.IntN(62)
		factor := ratio{random.Uint64N(1e18) + 1, random.Uint64N(1e18) + 1}.reduced()
		exact := new(big.Int).Mul(big.NewInt(amount), new(big.Int).SetUint64(factor.num))
		quotient, rest := new(big.Int).QuoRem(exact, new(big.Int).SetUint64(factor.den), new(big.Int))
		switch rest.Lsh(rest, 1).Cmp(new(big.Int).SetUint64(factor.den)) {
		case 1:
			quotient.Add(quotient, big.NewInt(1))
		case 0:
			quotient.Add(quotient, new(big.Int).And(quotient, big.NewInt(1)))
		}
		got, ok := factor.halfEven(amount)
		if ok != quotient.IsInt64() || ok && got != quotient.Int64() {
			t.Fatalf("%d * %d/%d = %d, %v, want %s", amount, factor.num, factor.den, got, ok, quotient)
		}
	}
}

func FuzzParseUSD(f *testing.F) {
	for _, seed := range []string{"1.5", "-0.0000000000005", "1e-3", "9223372.036854775807", "1e5000", ".", "0.5e+2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pico, err := ParseUSD(text)
		if err != nil {
			return
		}
		if again, err := ParseUSD(FormatUSD(pico)); err != nil || again != pico {
			t.Errorf("%q is %d, its text is %d, %v", text, pico, again, err)
		}
		if double, err := strconv.ParseFloat(FormatUSD(pico), 64); err != nil || double != ToDouble(pico) {
			t.Errorf("%d as a double is %v, %v", pico, double, err)
		}
	})
}
