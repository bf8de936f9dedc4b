package tokenomicsprocessor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
)

// logCase is one file of tests/vectors/logs: what a coding agent tells of the same calls on its signals.
type logCase struct {
	Name    string      `json:"name"`
	Why     string      `json:"why"`
	Options spanOptions `json:"options"`
	Logs    signalCase  `json:"logs"`
	Spans   *signalCase `json:"spans"`
}

type signalCase struct {
	In  json.RawMessage `json:"in"`
	Out json.RawMessage `json:"out"`
}

func logCases(t testing.TB) []logCase {
	t.Helper()
	files, err := filepath.Glob(vectors + "/logs/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 20)
	cases := make([]logCase, len(files))
	for index, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&cases[index]), file)
		require.Equal(t, strings.TrimSuffix(filepath.Base(file), ".json"), cases[index].Name)
		require.NotEmpty(t, cases[index].Why)
	}
	return cases
}

func TestLogVectors(t *testing.T) {
	for _, vector := range logCases(t) {
		t.Run(vector.Name, func(t *testing.T) {
			cfg := vector.Options.config()
			want, got := unmarshalLogs(t, vector.Logs.Out), runLogs(t, cfg, unmarshalLogs(t, vector.Logs.In))
			assert.Equal(t, describeLogs(want), describeLogs(got))
			first := marshalLogs(t, got)
			assert.Equal(t, first, marshalLogs(t, runLogs(t, cfg, got)), "not idempotent")
			if vector.Spans != nil {
				want, got := unmarshal(t, vector.Spans.Out), run(t, cfg, unmarshal(t, vector.Spans.In))
				assert.Equal(t, describe(want), describe(got))
			}
		})
	}
}

func unmarshalLogs(t testing.TB, data []byte) plog.Logs {
	t.Helper()
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(data)
	require.NoError(t, err)
	return logs
}

func marshalLogs(t testing.TB, logs plog.Logs) string {
	t.Helper()
	data, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return string(data)
}

// startLogs makes and starts a processor in front of a sink.
func startLogs(t testing.TB, cfg *Config, set processor.Settings) (processor.Logs, *consumertest.LogsSink) {
	t.Helper()
	require.NoError(t, cfg.Validate())
	sink := &consumertest.LogsSink{}
	logs, err := NewFactory().CreateLogs(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	require.NoError(t, logs.Start(t.Context(), nil))
	t.Cleanup(func() { require.NoError(t, logs.Shutdown(t.Context())) })
	return logs, sink
}

// runLogs sends a copy through a new processor and returns what came out.
func runLogs(t testing.TB, cfg *Config, in plog.Logs) plog.Logs {
	t.Helper()
	logs, sink := startLogs(t, cfg, nopSettings())
	work := plog.NewLogs()
	in.CopyTo(work)
	require.NoError(t, logs.ConsumeLogs(t.Context(), work))
	require.Len(t, sink.AllLogs(), 1)
	return sink.AllLogs()[0]
}

// describeLogs writes every record as lines, attributes sorted and doubles by their bits.
func describeLogs(logs plog.Logs) []string {
	var lines []string
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				lines = append(lines, fmt.Sprintf("%s %s %s", scope.Scope().Name(), record.EventName(), record.Body().AsString()))
				lines = append(lines, describeMap(record.Attributes())...)
			}
		}
	}
	return lines
}
