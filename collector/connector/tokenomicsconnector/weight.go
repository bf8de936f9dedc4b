package tokenomicsconnector

import (
	"strconv"
	"strings"
)

// randomness is how many random values a sampler compares with its threshold: 2^56.
// https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
const randomness = 1 << 56

// leastKept bounds the weight to 2^20: nobody keeps less than one span of a million, and a hostile threshold would let
// one span stand for 10^16.
const leastKept = randomness >> 20

// weight says for how many spans one stands that a sampler left: randomness / kept.
type weight struct{ kept uint64 }

var one = weight{randomness}

func (w weight) exact() bool { return w.kept == randomness }

// weightOf reads the threshold of consistent probability sampling from a tracestate. A span without one, or with one
// that nobody can mean, stands for itself.
func weightOf(tracestate string) weight {
	for member := range strings.SplitSeq(tracestate, ",") {
		fields, ours := strings.CutPrefix(strings.Trim(member, " \t"), "ot=")
		if !ours {
			continue
		}
		for field := range strings.SplitSeq(fields, ";") {
			if threshold, found := strings.CutPrefix(field, "th:"); found {
				return weightAt(threshold)
			}
		}
		break
	}
	return one
}

// weightAt reads 1 to 14 hexadecimal digits, of which trailing zeros may be left out.
func weightAt(threshold string) weight {
	const digits, bitsOfDigit = 14, 4
	if threshold == "" || len(threshold) > digits || strings.Trim(threshold, "0123456789abcdef") != "" {
		return one
	}
	refused, err := strconv.ParseUint(threshold, 16, 64)
	if err != nil {
		return one
	}
	kept := randomness - refused<<(bitsOfDigit*(digits-len(threshold)))
	if kept < leastKept {
		return one
	}
	return weight{kept}
}
