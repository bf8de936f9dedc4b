package pricing

// Flags is a set of remarks on a cost.
type Flags uint8

// The closed list of flags, in the order in which they are written. The engine itself sets FlagAssumedRate,
// FlagAssumedProvider and FlagPriceConflict; the others belong to readers and to whoever has a clock.
const (
	FlagInconsistentUsage Flags = 1 << iota
	FlagAssumedRate
	FlagAssumedDefault
	FlagAssumedProvider
	FlagStaleBook
	FlagPriceConflict
	FlagForeignZeroIgnored
)

const flagCount = 7

var flagNames = [flagCount]string{
	"inconsistent_usage", "assumed_rate", "assumed_default", "assumed_provider", "stale_book", "price_conflict",
	"foreign_zero_ignored",
}

// flagWords holds the words of every set, made once: a price then writes its flags without an allocation.
var flagWords = func() (table [1 << flagCount][]string) {
	for set := range table {
		for bit, name := range flagNames {
			if set>>bit&1 != 0 {
				table[set] = append(table[set], name)
			}
		}
	}
	return table
}()

// Strings returns the words of the set in their fixed order. The slice is shared: do not change it.
func (f Flags) Strings() []string { return flagWords[f&(1<<flagCount-1)] }
