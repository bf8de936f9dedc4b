package booksource

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Detached Ed25519 signatures of price books (twin: otel_tokenomics/pricebook_source/signature.py). A public key is 32
// bytes, a signature 64, both written as base64; what is signed are the bytes of the book's file.

var (
	errNoKey       = errors.New("is no Ed25519 key, 32 bytes as base64")
	errNoSignature = errors.New("is no Ed25519 signature, 64 bytes as base64")
)

// ParseKey returns a public key, as `otel-tokenomics book keys` prints it.
func ParseKey(text string) (ed25519.PublicKey, error) {
	key, ok := decode64(text, ed25519.PublicKeySize)
	if !ok {
		return nil, errNoKey
	}
	return key, nil
}

// verify refuses content that the holder of none of the keys signed.
func verify(content []byte, signature string, keys []ed25519.PublicKey, origin string) error {
	signed, ok := decode64(signature, ed25519.SignatureSize)
	if !ok {
		return fmt.Errorf("%s%s: %w", origin, signatureSuffix, errNoSignature)
	}
	for _, key := range keys {
		if ed25519.Verify(key, content, signed) {
			return nil
		}
	}
	return fmt.Errorf("%s: the signature is by none of \"book::http::trusted_keys\" over this book", origin)
}

func decode64(text string, length int) ([]byte, bool) {
	text = strings.TrimSpace(text)
	// The decoder would skip the ends of lines.
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	found, err := base64.StdEncoding.DecodeString(text)
	return found, err == nil && len(found) == length
}
