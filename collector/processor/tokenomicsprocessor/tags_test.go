package tokenomicsprocessor

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// TestTagsAreBounded: sixteen tags at most, the same ones whatever the order in which a resource states them.
func TestTagsAreBounded(t *testing.T) {
	resource := pcommon.NewMap()
	for index := range 20 {
		resource.PutStr(fmt.Sprintf("tokenomics.tag.k%02d", 19-index), strings.Repeat("x", 1000))
	}
	tags := resourceTags(resource)
	require.Len(t, tags, maxTags)
	assert.Equal(t, "tokenomics.tag.k00", tags[0].key)
	assert.Equal(t, "tokenomics.tag.k15", tags[15].key)
	assert.Len(t, tags[0].value, maxTagCodePoints)
	assert.Empty(t, resourceTags(pcommon.NewMap()))
}
