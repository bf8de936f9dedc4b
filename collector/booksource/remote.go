package booksource

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// How often an address is asked.
const (
	DefaultFetchInterval = 6 * time.Hour
	// MinFetchInterval is also how long the first failure is waited out; each further one twice as long.
	MinFetchInterval = time.Minute
	// maxRetryAfter bounds what a server may ask for: a slip in its clock must not silence us for a year.
	maxRetryAfter = 24 * time.Hour
)

const (
	// signatureSuffix stands behind the path of a book where its signature lies.
	signatureSuffix   = ".sig"
	maxSignatureBytes = 4096
	maxRedirects      = 5
	// maxValidatorBytes bounds an ETag and a date that are kept and sent back.
	maxValidatorBytes = 256
	maxToldBytes      = 200
)

// Remote is the address of a whole book. It is asked in the background; what says whose book it is must be given, or
// whoever answers is believed.
type Remote struct {
	// URL is what ParseAddress returns.
	URL *url.URL
	// SHA256 is the digest that the book must have (64 lower-case hex digits), Version the version; empty for any.
	SHA256, Version string
	// Keys are those of which one must have signed the book; none asks for no signature.
	Keys []ed25519.PublicKey
	// Interval is how often the address is asked; 0 is DefaultFetchInterval.
	Interval time.Duration
	// CacheDirectory is where the last good copy is kept for the next start; empty for nowhere.
	CacheDirectory string
}

// pinned says that a book was named outright: it may be older than the one in use.
func (r *Remote) pinned() bool { return r.SHA256 != "" || r.Version != "" }

var (
	errNoAddress = errors.New("is no address")
	errNoHost    = errors.New("needs a host, and takes no user and no password")
)

// ParseAddress returns the address of a book. The errors never show it: it may hold a credential.
func ParseAddress(text string, insecureHTTP bool) (*url.URL, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, errNoAddress
	}
	switch {
	case parsed.Scheme == "https", parsed.Scheme == "http" && insecureHTTP:
	case parsed.Scheme == "http":
		return nil, errors.New("http:// needs insecure_http: true")
	case parsed.Scheme == "":
		return nil, errors.New("must begin with https://")
	default:
		return nil, fmt.Errorf("%s:// is not supported, only https:// is; a file belongs under book::files", parsed.Scheme)
	}
	if parsed.Hostname() == "" || parsed.User != nil {
		return nil, errNoHost
	}
	parsed.Fragment, parsed.RawFragment = "", ""
	return parsed, nil
}

// shownURL is what may be told of an address: a query may hold a credential.
func shownURL(address *url.URL) string {
	return address.Scheme + "://" + address.Host + address.EscapedPath()
}

// validators say which content we have.
type validators struct{ etag, modified string }

// clean drops what no server of good will sends, or what cannot stand in a header.
func (v validators) clean() validators {
	printable := strings.IndexFunc(v.etag, func(r rune) bool { return r < ' ' || r > '~' }) < 0
	if !printable || len(v.etag) > maxValidatorBytes {
		v.etag = ""
	}
	if _, err := http.ParseTime(v.modified); err != nil || len(v.modified) > maxValidatorBytes {
		v.modified = ""
	}
	return v
}

type answer struct {
	content    []byte
	validators validators
	// unchanged is set where the server says that we have its content.
	unchanged bool
}

// fetchError says why nothing came.
type fetchError struct {
	address, why string
	// retryAfter is how long the server asks us to wait; 0 where it does not.
	retryAfter time.Duration
}

func (e *fetchError) Error() string { return e.address + ": " + e.why }

// get asks once for the content of an address, at most limit bytes; known may be empty. The error is a *fetchError.
func get(ctx context.Context, client *http.Client, address *url.URL, known validators, limit int64) (answer, error) {
	failed := func(why string) (answer, error) { return answer{}, &fetchError{address: shownURL(address), why: why} }
	if client.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, client.Timeout)
		defer cancel()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), http.NoBody)
	if err != nil {
		return failed("cannot be asked")
	}
	// Hours pass until the next time: a connection kept open would serve nobody.
	request.Close = true
	if known.etag != "" {
		request.Header.Set("If-None-Match", known.etag)
	}
	if known.modified != "" {
		request.Header.Set("If-Modified-Since", known.modified)
	}
	response, err := client.Do(request)
	if err != nil {
		return failed("cannot be fetched: " + why(err, address))
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusNotModified && known != validators{}:
		return answer{validators: known, unchanged: true}, nil
	case response.StatusCode != http.StatusOK:
		return answer{}, &fetchError{
			address: shownURL(address), why: fmt.Sprintf("answered %d", response.StatusCode),
			retryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
		}
	case response.ContentLength > limit:
		return failed(fmt.Sprintf("is larger than %d bytes", limit))
	}
	// The limit counts what was unpacked: a small answer may be a large one.
	content, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if ctx.Err() != nil {
		err = ctx.Err() // a server that ends its answer as we leave did not give the whole of it
	}
	if err != nil {
		return failed("cannot be fetched: " + why(err, address))
	}
	if int64(len(content)) > limit {
		return failed(fmt.Sprintf("is larger than %d bytes", limit))
	}
	fresh := validators{response.Header.Get("ETag"), response.Header.Get("Last-Modified")}
	return answer{content: content, validators: fresh.clean()}, nil
}

var (
	errRedirectedAway = errors.New("it redirects to another host or scheme")
	errRedirectLoop   = fmt.Errorf("it redirects more than %d times", maxRedirects)
)

// sameHost follows a redirect within the host that was configured, so that headers and trust stay with it.
func sameHost(request *http.Request, via []*http.Request) error {
	if request.URL.Scheme != via[0].URL.Scheme || hostPort(request.URL) != hostPort(via[0].URL) || request.URL.User != nil {
		return errRedirectedAway
	}
	if len(via) > maxRedirects {
		return errRedirectLoop
	}
	return nil
}

func hostPort(address *url.URL) string {
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(address.Hostname()), port)
}

// why says in words that stay the same from one try to the next, without our own port, what kept an answer away.
func why(err error, address *url.URL) string {
	var named *net.DNSError
	var certificate *tls.CertificateVerificationError
	var call *os.SyscallError
	var timed interface{ Timeout() bool }
	var asked *url.Error
	text := err.Error()
	switch {
	case errors.Is(err, errRedirectedAway):
		return errRedirectedAway.Error()
	case errors.Is(err, errRedirectLoop):
		return errRedirectLoop.Error()
	case errors.As(err, &timed) && timed.Timeout():
		return "it took longer than the timeout"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "it is cut off"
	case errors.As(err, &named):
		return named.Err
	case errors.As(err, &certificate):
		text = "its certificate is not trusted: " + certificate.Err.Error()
	case errors.As(err, &call):
		return call.Err.Error()
	case errors.As(err, &asked):
		text = asked.Err.Error()
	}
	if address.RawQuery != "" {
		text = strings.ReplaceAll(text, address.RawQuery, "...")
	}
	return told(text)
}

// told returns words of somebody else, short and in one line.
func told(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if len(text) > maxToldBytes {
		text = strings.ToValidUTF8(text[:maxToldBytes], "") + "..."
	}
	return text
}

// retryAfter reads the header Retry-After: seconds or a date. 0 where it says nothing.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// wait returns how long to wait until the next time, after so many failures in a row. Chance is added, never taken off,
// so that a fleet does not ask in one second.
func (r *Remote) wait(failures int, asked time.Duration) time.Duration {
	interval := r.Interval
	if interval <= 0 {
		interval = DefaultFetchInterval
	}
	least := min(MinFetchInterval, interval)
	wait := interval
	if failures > 0 {
		wait = min(interval, least<<min(failures-1, 16))
		if asked > 0 {
			wait = min(max(least, asked), maxRetryAfter)
		}
	}
	return wait + time.Duration(rand.Int64N(int64(wait)/8+1))
}
