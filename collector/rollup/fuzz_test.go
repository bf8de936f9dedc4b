package rollup

import "testing"

// FuzzTotals reads three bytes as a span: its id, its parent, its cost. Whatever anybody says of parents, the tops of
// the trees together come to the total, and every id counts once.
func FuzzTotals(f *testing.F) {
	f.Add([]byte{1, 0, 0, 2, 1, 5, 3, 2, 7})
	f.Add([]byte{1, 2, 3, 2, 1, 4, 3, 3, 5, 4, 9, 6, 1, 0, 7, 0, 1, 8})
	var totals Totals
	f.Fuzz(func(t *testing.T, data []byte) {
		var nodes []Node
		seen := map[[8]byte]bool{}
		var total int64
		for ; len(data) >= 3; data = data[3:] {
			node := Node{ID: id(int(data[0])), Parent: id(int(data[1])), Own: int64(data[2]), HasOwn: data[2] > 0, Call: data[2]&1 > 0}
			nodes = append(nodes, node)
			if !seen[node.ID] || node.ID == [8]byte{} {
				total += node.Own
			}
			seen[node.ID] = true
		}
		totals.Add(nodes, false)
		if totals.Trace.Total != total {
			t.Fatalf("total %d, want %d: %v", totals.Trace.Total, total, nodes)
		}
		tops := int64(0)
		seen = map[[8]byte]bool{}
		for place, node := range nodes {
			subtree := totals.Subtrees[place]
			if subtree.Total > total || subtree.Total < 0 {
				t.Fatalf("%+v of %d", subtree, total)
			}
			if seen[node.ID] && node.ID != [8]byte{} {
				continue
			}
			seen[node.ID] = true
			if node.Parent == [8]byte{} || subtree.Partial {
				tops += subtree.Total
			}
		}
		if tops != total {
			t.Fatalf("the tops come to %d of %d: %v", tops, total, nodes)
		}
	})
}
