package tokenomicsprocessor

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/otel-tokenomics/otel-tokenomics/collector/booksource"
)

var (
	errHTTPEndpoint  = errors.New(`"book::http::endpoint" must be the https address of a price book`)
	errHTTPTimeout   = errors.New(`"book::http::timeout" must be above 0`)
	errHTTPInterval  = errors.New(`"book::http::reload_interval" must be at least 1m`)
	errHTTPDigest    = errors.New(`"book::http::sha256" must be 64 hex digits`)
	errHTTPKeys      = errors.New(`"book::http::trusted_keys" holds what is no key`)
	errHTTPTrust     = errors.New(`"book::http::trusted_keys" or "book::http::sha256" must say whose book it is`)
	errHTTPSignature = errors.New(`"book::http::require_signature" must not be false beside "trusted_keys"`)
)

const defaultFetchTimeout = 10 * time.Second

// HTTPConfig is the address of a whole price book and what says whose book it is. Its signature lies at the same address
// with .sig behind the path.
type HTTPConfig struct {
	ClientConfig confighttp.ClientConfig `mapstructure:",squash"`
	// InsecureHTTP allows an address without TLS.
	InsecureHTTP bool `mapstructure:"insecure_http"`
	// TrustedKeys are Ed25519 public keys in base64, of which one must have signed the book.
	TrustedKeys []string `mapstructure:"trusted_keys"`
	// RequireSignature asks for trusted_keys where the book is not pinned by sha256.
	RequireSignature bool `mapstructure:"require_signature"`
	// SHA256 pins the book by its digest.
	SHA256 string `mapstructure:"sha256"`
	// Version pins the book by its version.
	Version string `mapstructure:"version"`
	// ReloadInterval is how often the address is asked.
	ReloadInterval time.Duration `mapstructure:"reload_interval"`
	// CacheDirectory is where the last good copy is kept for a start without a network.
	CacheDirectory string `mapstructure:"cache_directory"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func defaultHTTPConfig() HTTPConfig {
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = defaultFetchTimeout
	return HTTPConfig{ClientConfig: client, RequireSignature: true, ReloadInterval: booksource.DefaultFetchInterval}
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (h *HTTPConfig) validate() error {
	var errs []error
	if _, err := booksource.ParseAddress(h.ClientConfig.Endpoint, h.InsecureHTTP); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", errHTTPEndpoint, err))
	}
	if h.ClientConfig.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("%w, got %s", errHTTPTimeout, h.ClientConfig.Timeout))
	}
	if h.ReloadInterval < booksource.MinFetchInterval {
		errs = append(errs, fmt.Errorf("%w, got %s", errHTTPInterval, h.ReloadInterval))
	}
	if h.SHA256 != "" && !digestForm.MatchString(h.digest()) {
		errs = append(errs, fmt.Errorf("%w, got %q", errHTTPDigest, h.SHA256))
	}
	if _, err := h.keys(); err != nil {
		errs = append(errs, err)
	}
	switch {
	case !h.RequireSignature && len(h.TrustedKeys) > 0:
		errs = append(errs, errHTTPSignature)
	case h.RequireSignature && len(h.TrustedKeys) == 0 && h.SHA256 == "":
		errs = append(errs, errHTTPTrust)
	}
	return errors.Join(errs...)
}

func (h *HTTPConfig) digest() string { return strings.ToLower(strings.TrimSpace(h.SHA256)) }

func (h *HTTPConfig) keys() ([]ed25519.PublicKey, error) {
	keys := make([]ed25519.PublicKey, 0, len(h.TrustedKeys))
	for index, text := range h.TrustedKeys {
		key, err := booksource.ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d %w", errHTTPKeys, index+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// remote returns the address as the source of books takes it.
func (h *HTTPConfig) remote() (*booksource.Remote, error) {
	address, err := booksource.ParseAddress(h.ClientConfig.Endpoint, h.InsecureHTTP)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errHTTPEndpoint, err)
	}
	keys, err := h.keys()
	if err != nil {
		return nil, err
	}
	return &booksource.Remote{
		URL: address, SHA256: h.digest(), Version: h.Version, Keys: keys,
		Interval: h.ReloadInterval, CacheDirectory: h.CacheDirectory,
	}, nil
}

// client returns what asks the address. The collector's own traces leave it out: they would show the whole address, and
// its query may hold a credential.
func (h *HTTPConfig) client(ctx context.Context, host component.Host, telemetry component.TelemetrySettings) (*http.Client, error) {
	telemetry.TracerProvider = nooptrace.NewTracerProvider()
	client, err := h.ClientConfig.ToClient(ctx, host.GetExtensions(), telemetry)
	if err != nil {
		return nil, fmt.Errorf("\"book::http\": %w", err)
	}
	return client, nil
}
