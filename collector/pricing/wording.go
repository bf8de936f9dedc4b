package pricing

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// How a refusal tells what was found and what may stand there (twin: otel_tokenomics/pricing/wording.py).

const (
	// longestShown and mostItems bound what a refusal quotes; a longer word than longestWord is no misspelt key.
	longestShown = 80
	mostItems    = 4
	longestWord  = 64
)

// shown returns a value as an error quotes it: as JSON, on one line that is not long; nil is what is missing.
func shown(value any) string {
	switch found := value.(type) {
	case nil:
		return "missing"
	case string:
		return `"` + pathKey(found) + `"`
	case bool:
		return strconv.FormatBool(found)
	case json.Number:
		return cut(string(found))
	case object:
		if len(found) == 0 {
			return "{}"
		}
		return "{...}"
	case []any:
		items := make([]string, 0, mostItems+1)
		for index, item := range found {
			if index == mostItems {
				items = append(items, "...")
				break
			}
			if _, nested := item.([]any); nested {
				items = append(items, "[...]")
			} else {
				items = append(items, shown(item))
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return cut(fmt.Sprint(value))
}

// pathKey returns a key as a path names it: what cannot be printed, and quotes, are escaped.
func pathKey(key string) string {
	if plain(key) {
		return key
	}
	var text strings.Builder
	for _, letter := range cut(key) {
		if escape, ok := escapes[letter]; ok {
			text.WriteString(escape)
		} else if unicode.IsPrint(letter) {
			text.WriteRune(letter)
		} else if letter > 0xffff {
			high, low := utf16.EncodeRune(letter)
			fmt.Fprintf(&text, `\u%04x\u%04x`, high, low)
		} else {
			fmt.Fprintf(&text, `\u%04x`, letter)
		}
	}
	return text.String()
}

var escapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

// plain says whether a key is its own name in a path, as nearly all are.
func plain(key string) bool {
	for index := range len(key) {
		if letter := key[index]; letter < ' ' || letter > '~' || letter == '"' || letter == '\\' {
			return false
		}
	}
	return len(key) <= longestShown
}

// noKey returns what is wrong with a key: the one that was meant, as far as can be told, else those that may stand.
func noKey(key string, allowed []string, what string) string {
	if meant := nearest(key, allowed); meant != "" {
		return what + "; did you mean " + meant + "?"
	}
	return what + "; allowed are " + strings.Join(allowed, ", ")
}

// meantProvider returns the question after the provider that was meant: by another name of its own, or by a slip; or
// nothing.
func meantProvider(value any, providers map[string]*provider) string {
	key, ok := value.(string)
	if !ok {
		return ""
	}
	known := sortedKeys(providers)
	meant := ""
	for _, one := range known {
		if meant == "" && slices.Contains(providers[one].names, strings.ToLower(key)) {
			meant = one
		}
	}
	if meant == "" {
		meant = nearest(key, known)
	}
	if meant == "" {
		return ""
	}
	return "; did you mean " + shown(meant) + "?"
}

// nearest returns the first of the words that a third of the letters away or less, "" where none is.
func nearest(word string, words []string) string {
	letters := []rune(strings.ToLower(word))
	if len(letters) > longestWord {
		return ""
	}
	best, least := "", 1
	if len(letters) > 2 { // of two letters any other two are as near
		least += max(1, len(letters)/3)
	}
	for _, one := range words {
		if away := distance(letters, []rune(one)); away < least {
			best, least = one, away
		}
	}
	return best
}

// distance returns how many letters must be put in, left out, changed or swapped with the next to make the other word.
func distance(word, other []rune) int {
	var before []int
	last := make([]int, len(other)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(word); i++ {
		row := make([]int, len(other)+1)
		row[0] = i
		for j := 1; j <= len(other); j++ {
			changed := last[j-1]
			if word[i-1] != other[j-1] {
				changed++
			}
			row[j] = min(last[j]+1, row[j-1]+1, changed)
			if i > 1 && j > 1 && word[i-1] == other[j-2] && word[i-2] == other[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(other)]
}

func cut(text string) string {
	if len(text) <= longestShown {
		return text
	}
	letters := []rune(text)
	if len(letters) <= longestShown {
		return text
	}
	return string(letters[:longestShown]) + "..."
}
