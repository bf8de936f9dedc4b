package tokenomicsconnector

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
)

// metric is the place of a metric in attributes.ConnectorMetrics.
type metric int

const (
	metricCost metric = iota
	metricTokens
	metricRequests
	metricUnpriced
	metricRequestCost
	metricCount
)

// money says whether a metric is an amount.
func (m metric) money() bool { return m == metricCost || m == metricRequestCost }

// bounds are the bucket bounds of the histogram in pico-USD; a bound belongs to the bucket below it.
var bounds = func() []int64 {
	var pico []int64
	for _, usd := range attributes.ConnectorMetrics[metricRequestCost].Bounds {
		amount, _ := attributes.Pico(attributes.DoubleValue(usd))
		pico = append(pico, amount)
	}
	return pico
}()

// pair is one attribute of a series.
type pair struct{ key, value string }

// exemplar is one call that a series counted. It is empty where there was none since the last collection.
type exemplar struct {
	id    spanID
	value int64
	at    pcommon.Timestamp
}

// series is one stream of a metric. values holds the sum; of a histogram first the sum of all amounts, then one count for
// each bucket.
type series struct {
	metric     metric
	attributes []pair
	// overflow marks the one series that takes what exceeds the cap.
	overflow bool
	start    pcommon.Timestamp
	// touched is when the last measurement came, epoch between which two collections.
	touched int64
	epoch   uint64
	// pending are the values that were handed on last, sent those that were accepted.
	values, pending, sent []sum
	exemplars             []exemplar
}

func newSeries(m metric, attrs []pair, start pcommon.Timestamp) *series {
	made := &series{metric: m, attributes: attrs, start: start}
	length, examples := 1, 0
	switch m {
	case metricCost, metricUnpriced:
		examples = 1
	case metricRequestCost:
		length, examples = 2+len(bounds), 1+len(bounds)
	}
	all := make([]sum, 3*length)
	made.values, made.pending, made.sent = all[:length:length], all[length:2*length:2*length], all[2*length:]
	if examples > 0 {
		made.exemplars = make([]exemplar, examples)
	}
	return made
}

// measurement is one amount, and what all series to which it goes have to know.
type measurement struct {
	id     spanID
	weight weight
	now    int64
	epoch  uint64
}

// add adds one measurement. Of several since the last collection the largest becomes the exemplar: who looks for one
// wants to know what was dear.
func (s *series) add(amount int64, m *measurement) {
	s.touched, s.epoch = m.now, m.epoch
	s.values[0].addWeighted(amount, m.weight)
	bucket := 0
	if s.metric == metricRequestCost {
		for bucket < len(bounds) && amount > bounds[bucket] {
			bucket++
		}
		s.values[1+bucket].addWeighted(1, m.weight)
	}
	if s.exemplars == nil || m.id.trace.IsEmpty() {
		return
	}
	if best := &s.exemplars[bucket]; best.at == 0 || amount > best.value {
		*best = exemplar{id: m.id, value: amount, at: pcommon.Timestamp(m.now)}
	}
}

// table holds the series of one metric by their attributes.
type table struct {
	series     map[string]*series
	overflowed int64
}

// overflowKey is no key of other series: theirs begin with a length.
const overflowKey = "\xff\xff"

// identify appends the attributes to a key, each with its length so that no two lists have the same one.
func identify(key []byte, attrs []pair) []byte {
	for index := range attrs {
		key = identifyText(identifyText(key, attrs[index].key), attrs[index].value)
	}
	return key
}

// identifyText appends one text, of at most mostText bytes.
func identifyText(key []byte, text string) []byte {
	key = append(key, byte(len(text)>>8), byte(len(text)))
	return append(key, text...)
}
