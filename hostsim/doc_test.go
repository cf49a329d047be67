package hostsim_test

import (
	"testing"

	"chatcache/test/filemap"
)

func TestFiles(t *testing.T) { filemap.CheckT(t) }
