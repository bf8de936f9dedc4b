package tokenomicsprocessor

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otel-tokenomics/otel-tokenomics/collector/booksource"
	"github.com/otel-tokenomics/otel-tokenomics/collector/processor/tokenomicsprocessor/internal/metadatatest"
)

// bookServer publishes one signed book over TLS; an answer that is set stands in its place.
type bookServer struct {
	*httptest.Server
	text, tampered atomic.Pointer[string]
	token          atomic.Pointer[string]
	key            ed25519.PrivateKey
}

func newBookServer(t *testing.T) *bookServer {
	t.Helper()
	s := &bookServer{key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("asked by %s, of which real publishers make HTTP/2", r.Proto)
		}
		token := r.Header.Get("Authorization")
		s.token.Store(&token)
		text, body := *s.text.Load(), *s.text.Load()
		if tampered := s.tampered.Load(); tampered != nil {
			body = *tampered
		}
		if strings.HasSuffix(r.URL.Path, ".sig") {
			body = base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, []byte(text)))
		}
		_, _ = io.WriteString(w, body)
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *bookServer) publish(text string) { s.text.Store(&text); s.tampered.Store(nil) }

// config is what a user writes, read as the collector reads it; the address is asked more often than a user may ask.
func (s *bookServer) config(t *testing.T, more map[string]any) *Config {
	t.Helper()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	require.NoError(t, os.WriteFile(authority, block, 0o600))
	section := map[string]any{
		"endpoint": s.URL + "/book.json?token=hunter2", "tls": map[string]any{"ca_file": authority},
		"headers":      map[string]any{"Authorization": "Bearer hunter2"},
		"trusted_keys": []any{base64.StdEncoding.EncodeToString(s.key.Public().(ed25519.PublicKey))},
	}
	for key, value := range more {
		section[key] = value
	}
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"book": map[string]any{"http": section}}).Unmarshal(cfg))
	require.NoError(t, cfg.Validate())
	cfg.Book.HTTP.Get().ReloadInterval = 5 * time.Millisecond
	return cfg
}

const soon, often = 20 * time.Second, 2 * time.Millisecond

// TestBookOverHTTP walks a book through its life: none yet, there, tampered with, well again, and a restart of the graph.
func TestBookOverHTTP(t *testing.T) {
	server := newBookServer(t)
	file := newBookFile(t)
	server.publish(file.version(22, 2_500_000))
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	core, logs := observer.New(zap.InfoLevel)
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.Logger = zap.New(core)
	cfg := server.config(t, map[string]any{"cache_directory": filepath.Join(t.TempDir(), "cache")})
	begin := func() (*tokenomicsProcessor, *statusHost) {
		pricer, err := newProcessor(set, cfg)
		require.NoError(t, err)
		host := &statusHost{Host: componenttest.NewNopHost()}
		require.NoError(t, pricer.start(t.Context(), host))
		return pricer, host
	}
	total := func(pricer *tokenomicsProcessor) any {
		out, err := pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 0)))
		require.NoError(t, err)
		return attributesOf(out)["tokenomics.cost.total"]
	}
	eventually := func(what func() bool, why string) { t.Helper(); require.Eventually(t, what, soon, often, why) }
	count := func(pricer *tokenomicsProcessor, source booksource.Kind, result booksource.Result) int64 {
		pricer.counters.mu.Lock()
		defer pricer.counters.mu.Unlock()
		return pricer.counters.reloads[reloadKey{source, result}]
	}

	pricer, host := begin()
	eventually(func() bool { return pricer.books.Book().ID() == "vectors@2026.11.22" }, "the first book")
	assert.Equal(t, "Bearer hunter2", *server.token.Load())
	assert.Equal(t, 0.0025, total(pricer))
	eventually(func() bool { return count(pricer, "http", "unchanged") > 0 }, "nothing newer")
	assert.Equal(t, componentstatus.StatusNone, host.last(), "nothing was wrong yet")
	metadatatest.AssertEqualProcessorTokenomicsBookInfo(t, telemetry, []metricdata.DataPoint[int64]{{
		Value: 1, Attributes: attribute.NewSet(attribute.String("version", "vectors@2026.11.22")),
	}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorTokenomicsBookFetchAgeSeconds(t, telemetry, []metricdata.DataPoint[int64]{{}},
		metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreValue())
	assert.Equal(t, int64(1), count(pricer, "http", "swapped"))

	dear := file.version(23, 2_600_000)
	server.tampered.Store(&dear)
	eventually(func() bool { return count(pricer, "http", "refused") > 2 }, "refused again and again")
	assert.Equal(t, componentstatus.StatusRecoverableError, host.last())
	warnings := logs.FilterLevelExact(zap.WarnLevel).All()
	require.Len(t, warnings, 1, "said once")
	said := fmt.Sprint(warnings[0].ContextMap())
	assert.Contains(t, said, `"book::http::trusted_keys"`)
	assert.NotContains(t, said, "hunter2")
	assert.Equal(t, 0.0025, total(pricer))

	server.publish(file.version(23, 2_600_000))
	eventually(func() bool { return host.last() == componentstatus.StatusOK }, "well again")
	assert.Equal(t, 0.0026, total(pricer))
	require.NoError(t, pricer.shutdown(t.Context()))

	// The graph is started anew (SIGHUP) while the publisher is gone: the copy on disk serves from the first span on.
	server.Close()
	pricer, host = begin()
	assert.Equal(t, 0.0026, total(pricer))
	eventually(func() bool { return count(pricer, "http", "failed") > 0 }, "nobody there")
	assert.Equal(t, componentstatus.StatusRecoverableError, host.last())
	assert.Equal(t, int64(1), count(pricer, "cache", "swapped"))
	assert.Equal(t, 0.0026, total(pricer))
	require.NoError(t, pricer.shutdown(t.Context()))
	for _, entry := range logs.All() {
		assert.NotContains(t, entry.Message+fmt.Sprint(entry.ContextMap()), "hunter2")
	}
}

// TestReloadsAreCounted: what the counters hold is what leaves as telemetry.
func TestReloadsAreCounted(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := nopSettings()
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	pricer, err := newProcessor(set, vectorConfig())
	require.NoError(t, err)
	require.NoError(t, pricer.start(t.Context(), componenttest.NewNopHost()))
	broken := errors.New("broken")
	var want []metricdata.DataPoint[int64]
	for index, report := range []booksource.Report{
		{Kind: "http", Result: "swapped"}, {Kind: "http", Result: "unchanged"}, {Kind: "http", Result: "refused", Err: broken},
		{Kind: "http", Result: "failed", Err: broken}, {Kind: "cache", Result: "refused", Err: broken},
		{Kind: "cache", Result: "swapped"}, {Kind: "cache", Result: "failed", Err: broken},
	} {
		for range index + 1 {
			pricer.reloaded(report)
		}
		want = append(want, metricdata.DataPoint[int64]{Value: int64(index + 1), Attributes: attribute.NewSet(
			attribute.String("source", string(report.Kind)), attribute.String("result", string(report.Result)))})
	}
	metadatatest.AssertEqualProcessorTokenomicsBookReloads(t, telemetry, want, metricdatatest.IgnoreTimestamp())
	// Without an address there is nothing whose age could be told.
	_, err = telemetry.GetMetric("otelcol_processor_tokenomics_book_fetch_age_seconds")
	require.Error(t, err)
	require.NoError(t, pricer.shutdown(t.Context()))
}

// TestHealthMendsWithTheLastTrouble: one source that is well again does not hide that another is not.
func TestHealthMendsWithTheLastTrouble(t *testing.T) {
	var state bookState
	state.note(booksource.Report{Kind: "file", Result: "refused", Err: errors.New("before the start")})
	host := &statusHost{Host: componenttest.NewNopHost()}
	state.follow(host)
	for _, step := range []struct {
		kind  booksource.Kind
		err   error
		isNew bool
		want  componentstatus.Status
	}{
		{"http", errors.New("gone"), true, componentstatus.StatusRecoverableError},
		{"http", errors.New("gone"), false, componentstatus.StatusRecoverableError},
		{"http", errors.New("forged"), true, componentstatus.StatusRecoverableError},
		{"http", nil, false, componentstatus.StatusRecoverableError},
		{"overrides", nil, false, componentstatus.StatusRecoverableError},
		{"file", nil, false, componentstatus.StatusOK},
		{"file", nil, false, componentstatus.StatusOK},
	} {
		assert.Equal(t, step.isNew, state.note(booksource.Report{Kind: step.kind, Err: step.err}))
		assert.Equal(t, step.want, host.last(), step)
	}
	assert.Len(t, host.events, 3, "a host is told of changes")
}

// TestNoNetworkStartsAndAWrongConfigDoesNot: who cannot reach the publisher prices with the book that is there; what can
// never work is said at once.
func TestNoNetworkStartsAndAWrongConfigDoesNot(t *testing.T) {
	server := newBookServer(t)
	server.Close()
	pricer, err := newProcessor(nopSettings(), server.config(t, nil))
	require.NoError(t, err)
	require.NoError(t, pricer.start(t.Context(), componenttest.NewNopHost()))
	out, err := pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 0)))
	require.NoError(t, err)
	assert.Equal(t, "priced", attributesOf(out)["tokenomics.cost.status"])
	require.NoError(t, pricer.shutdown(t.Context()))
	for name, test := range map[string]struct {
		more map[string]any
		told string
	}{
		"no such authority": {map[string]any{"tls": map[string]any{"ca_file": "/nowhere/ca.pem"}}, "/nowhere/ca.pem"},
		"no such extension": {map[string]any{"auth": map[string]any{"authenticator": "bearertokenauth"}}, "bearertokenauth"},
	} {
		pricer, err := newProcessor(nopSettings(), server.config(t, test.more))
		require.NoError(t, err, name)
		err = pricer.start(t.Context(), hostWithoutExtensions{})
		require.ErrorContains(t, err, test.told, name)
		require.ErrorContains(t, err, `"book::http"`, name)
		require.NoError(t, pricer.shutdown(t.Context()))
	}
}

// TestNoBatchWaitsForABook: however long a newer book takes, from its reading to the last word about it, spans are priced
// meanwhile, by the book before until the swap and by the new one at once afterwards.
func TestNoBatchWaitsForABook(t *testing.T) {
	file := newBookFile(t)
	cfg := vectorConfig()
	cfg.Book.Files = []FileConfig{{Path: file.path, ReloadInterval: time.Hour}}
	told, release := make(chan struct{}), make(chan struct{})
	set := nopSettings()
	set.Logger = zap.NewNop().WithOptions(zap.WrapCore(func(zapcore.Core) zapcore.Core {
		core, _ := observer.New(zap.InfoLevel)
		return zapcore.RegisterHooks(core, func(entry zapcore.Entry) error {
			if entry.Message == "price book reloaded" {
				close(told)
				<-release
			}
			return nil
		})
	}))
	pricer, err := newProcessor(set, cfg)
	require.NoError(t, err)
	file.write(t, file.version(23, 2_600_000))
	reloaded := make(chan struct{})
	go func() { pricer.books.Reload(); close(reloaded) }()
	<-told
	out, err := pricer.processTraces(t.Context(), oneSpan(chat("gpt-4o", 1000, 0)))
	require.NoError(t, err)
	assert.Equal(t, 0.0026, attributesOf(out)["tokenomics.cost.total"])
	close(release)
	<-reloaded
	require.NoError(t, pricer.shutdown(t.Context()))
}

type hostWithoutExtensions struct{}

func (hostWithoutExtensions) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{}
}
