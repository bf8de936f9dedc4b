package booksource

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const maxHeadBytes = 16 << 10

// kept is the last good copy of a fetched book, with what is needed to check it again and to ask for a newer one. On
// disk it is one file, a line of JSON and then the book as it came, so that no two parts of it can be of two books.
type kept struct {
	SHA256    string `json:"sha256"`
	ETag      string `json:"etag,omitempty"`
	Modified  string `json:"last_modified,omitempty"`
	Signature string `json:"signature,omitempty"`

	content []byte
}

// cachePath names the copy of one address under one set of pins: collectors with other pins must not take each other's
// place. It is empty where none is kept.
func (r *Remote) cachePath() string {
	if r.CacheDirectory == "" {
		return ""
	}
	identity := []any{r.URL.String(), r.SHA256, r.Version}
	for _, key := range r.Keys {
		identity = append(identity, key)
	}
	text, _ := json.Marshal(identity) // texts and bytes: cannot fail
	digest := sha256.Sum256(text)
	return filepath.Join(r.CacheDirectory, hex.EncodeToString(digest[:8])+".pricebook")
}

var (
	errNoRegularFile = errors.New("is no regular file")
	errNotAsKept     = errors.New("is not what was kept")
)

// readCopy returns the copy, nil where there is none. Whose book it is must be checked anew: a disk is no authority.
func readCopy(path string) (*kept, error) {
	stat, err := os.Lstat(path)
	if path == "" || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// A link may lead anywhere, and a pipe would hold up the start.
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", path, errNoRegularFile)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxHeadBytes+maxFileBytes+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	head, content, found := bytes.Cut(data, []byte("\n"))
	copied := &kept{content: content}
	if !found || len(head) > maxHeadBytes || len(content) > maxFileBytes || json.Unmarshal(head, copied) != nil ||
		copied.SHA256 != digestOf(content) {
		return nil, fmt.Errorf("%s: %w", path, errNotAsKept)
	}
	return copied, nil
}

// write puts the copy in the place of the one before; a reader sees one or the other, never a part.
func (k *kept) write(path string) (err error) {
	k.SHA256 = digestOf(k.content)
	head, err := json.Marshal(k)
	if err != nil {
		return err
	}
	directory := filepath.Dir(path)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(directory, ".pricebook-*") // readable by us alone
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(append(append(head, '\n'), k.content...))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func digestOf(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
