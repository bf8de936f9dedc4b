package hostile

import (
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestTheyCanBeSent: each survives the way over the wire, so a sender can send it.
func TestTheyCanBeSent(t *testing.T) {
	all := append(Payloads(), Payload{"one trace", OneTrace(0, 1000, 10)})
	for _, one := range all {
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(one.Traces)
		if err != nil {
			t.Fatal(one.Name, err)
		}
		again, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil && strings.Contains(err.Error(), "max recursion depth") && one.Name == nestedName {
			continue // from core v1.71.0 on such a thing comes no further than the receiver
		}
		if err != nil {
			t.Fatal(one.Name, err)
		}
		if again.SpanCount() != one.Traces.SpanCount() || again.SpanCount() == 0 {
			t.Fatal(one.Name, again.SpanCount())
		}
	}
	attrs := duplicates().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	if attrs.Len() != 8 || len(attrs.AsRaw()) != 6 {
		t.Errorf("%d attributes, %d keys", attrs.Len(), len(attrs.AsRaw()))
	}
}
