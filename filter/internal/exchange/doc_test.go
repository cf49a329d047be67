package exchange

import (
	"testing"

	"chatcache/test/filemap"
)

func TestFiles(t *testing.T) { filemap.CheckT(t) }
