package pricing

import (
	"container/list"
	"sync"
)

// cacheSize bounds the answers of the model-id resolution that are kept, hits and misses: model names are hostile
// input.
const cacheSize = 4096

// matchKey is all that a resolution depends on beside the book.
type matchKey struct {
	provider, response, request, host string
	unpriceUnknownHost                bool
}

// keyLength is what an encoded key of usual names takes; a longer one costs an allocation.
const keyLength = 160

// encode appends the key as one text, which is hashed once. The lengths keep apart what the names hold.
func (k *matchKey) encode(buffer []byte) []byte {
	for _, name := range [...]string{k.provider, k.response, k.request, k.host} {
		buffer = append(buffer, byte(len(name)), byte(len(name)>>8))
		buffer = append(buffer, name...)
	}
	if k.unpriceUnknownHost {
		buffer = append(buffer, 1)
	}
	return buffer
}

// lru keeps the latest resolutions of one book.
type lru struct {
	mu      sync.Mutex
	size    int
	entries map[string]*list.Element
	// order holds the newest first; values are *cached.
	order                 *list.List
	hits, misses, evicted int64
}

type cached struct {
	key    string
	answer *match
}

func newLRU(size int) *lru {
	return &lru{size: size, entries: make(map[string]*list.Element), order: list.New()}
}

func (l *lru) get(key []byte) *match {
	l.mu.Lock()
	element := l.entries[string(key)]
	if element == nil {
		l.misses++
		l.mu.Unlock()
		return nil
	}
	l.hits++
	l.order.MoveToFront(element)
	answer := element.Value.(*cached).answer
	l.mu.Unlock()
	return answer
}

// put keeps an answer under a copy of the key: the caller's names may be views into a large message.
func (l *lru) put(key []byte, answer *match) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element := l.entries[string(key)]; element != nil {
		l.order.MoveToFront(element)
		return
	}
	entry := &cached{string(key), answer}
	l.entries[entry.key] = l.order.PushFront(entry)
	if l.order.Len() > l.size {
		oldest := l.order.Back()
		delete(l.entries, l.order.Remove(oldest).(*cached).key)
		l.evicted++
	}
}

// CacheStats are counts of the resolutions of model names that a book answered from memory and anew, how many it
// keeps, and how many it forgot for others.
type CacheStats struct{ Hits, Misses, Size, Evicted int64 }

// CacheStats returns what the book's memory of model names did so far.
func (b *Book) CacheStats() CacheStats {
	b.cache.mu.Lock()
	defer b.cache.mu.Unlock()
	return CacheStats{b.cache.hits, b.cache.misses, int64(b.cache.order.Len()), b.cache.evicted}
}
