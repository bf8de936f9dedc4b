package tokenomicsprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/attributes"
	"github.com/otel-tokenomics/otel-tokenomics/collector/internal/spancost"
)

// eventNameKey is where a record says what it is, if its own field does not.
var eventNameKey = attributes.ReadAsAgentEvent[0]

// processLogs prices the events of coding agents. Every other record passes as it came.
func (p *tokenomicsProcessor) processLogs(_ context.Context, logs plog.Logs) (plog.Logs, error) {
	p.priceLogs(logs)
	if p.sensitive != nil {
		p.sensitive.logs(logs)
	}
	return logs, nil
}

func (p *tokenomicsProcessor) priceLogs(logs plog.Logs) {
	// Made for the first event: most batches of most pipelines hold none.
	var work *batch
	var passed int64
	book := p.books.Book()
	for _, resource := range logs.ResourceLogs().All() {
		arrived := false
		for _, scope := range resource.ScopeLogs().All() {
			agent := attributes.AgentOf(attributes.Scope{Name: scope.Scope().Name()})
			for _, record := range scope.LogRecords().All() {
				event := eventOf(agent, record)
				if event == nil {
					passed++
					continue
				}
				if work == nil {
					work = p.newBatch(book)
				}
				if !arrived {
					work.tags.enter(resource.Resource().Attributes())
					arrived = true
				}
				work.tally.records[p.safelyRecord(work, record, event)]++
			}
		}
	}
	if work == nil {
		p.counters.passed(0, passed)
		return
	}
	work.tally.records[outcomePassed] += passed
	p.counters.add(&work.tally)
	work.done()
}

// eventOf returns the call that a record tells of: its own field, its attribute and its body may name it.
func eventOf(agent *attributes.Agent, record plog.LogRecord) *attributes.Event {
	if event := agent.Event(record.EventName()); event != nil {
		return event
	}
	if found := record.Attributes(); found.Len() <= maxAttributes {
		if name, stated := found.Get(eventNameKey); stated {
			if event := agent.Event(name.Str()); event != nil {
				return event
			}
		}
	}
	if body := record.Body(); body.Type() == pcommon.ValueTypeStr {
		return agent.Event(body.Str())
	}
	return nil
}

func (p *tokenomicsProcessor) safelyRecord(work *batch, record plog.LogRecord, event *attributes.Event) (result outcome) {
	defer p.recovered(&result)
	found := record.Attributes()
	work.missing = 0
	if found.Len() > maxAttributes {
		return outcomeMalformed
	}
	spancost.ObserveRecord(&work.span, record, event)
	return p.charge(work, found)
}
