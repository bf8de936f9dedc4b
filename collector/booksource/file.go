package booksource

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFileBytes bounds what is read: the embedded book is far below one MiB.
const maxFileBytes = 16 << 20

var errTooLarge = fmt.Errorf("is larger than %d bytes", maxFileBytes)

var errChanging = errors.New("changed while it was read; the next poll tries again")

// file remembers what was seen of one file, so that an unchanged one costs a stat.
type file struct {
	path string
	// stat of the content that was read last, good or bad: a refused file is reported once.
	stat   fs.FileInfo
	digest [sha256.Size]byte
	// failed keeps a file that cannot be read from being reported at every poll.
	failed string
	// accepted is the last content that was put into use (overlays only).
	accepted []byte
}

func (f *file) accept(data []byte) { f.accepted = data }

// readIfChanged returns the content where it differs from what was read last. An error is returned once.
func (f *file) readIfChanged() (data []byte, changed bool, err error) {
	stat, err := os.Stat(f.path)
	if err == nil && f.stat != nil && sameFile(stat, f.stat) {
		return nil, false, nil
	}
	if err == nil {
		data, changed, err = f.read()
	}
	if errors.Is(err, errChanging) {
		return nil, false, nil
	}
	if err != nil {
		if f.failed == err.Error() {
			return nil, false, nil
		}
		f.failed, f.stat = err.Error(), nil
		return nil, false, err
	}
	// A file that is back is reported even where it is what it was: somebody was told that it is gone.
	back := f.failed != ""
	f.failed = ""
	return data, changed || back, nil
}

// read returns the whole content; changed is false where it is what was read before.
func (f *file) read() (data []byte, changed bool, err error) {
	handle, err := os.Open(f.path)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	before, err := handle.Stat()
	if err != nil {
		return nil, false, err
	}
	data, err = io.ReadAll(io.LimitReader(handle, maxFileBytes+1))
	if err != nil {
		return nil, false, err
	}
	if len(data) > maxFileBytes {
		return nil, false, fmt.Errorf("%s: %w", f.path, errTooLarge)
	}
	// A writer may still be at work, or the path may lead to another file by now.
	after, err := os.Stat(f.path)
	if err != nil {
		return nil, false, err
	}
	if !sameFile(before, after) || int64(len(data)) != after.Size() {
		return nil, false, fmt.Errorf("%s: %w", f.path, errChanging)
	}
	digest := sha256.Sum256(data)
	changed = f.stat == nil && f.digest == [sha256.Size]byte{} || digest != f.digest
	f.stat, f.digest = after, digest
	return data, changed, nil
}

// sameFile compares modification time, size and identity (device and inode).
func sameFile(a, b fs.FileInfo) bool {
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}
