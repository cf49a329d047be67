package bench

import (
	"bufio"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// A process' children are found, and the time of each can be read.
func TestWithChildren(t *testing.T) {
	parent := exec.Command("sh", "-c", "sleep 60 & echo $!; read line; kill $!")
	in, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Wait()
	defer in.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	pids, err := WithChildren(parent.Process.Pid)
	if err != nil || len(pids) != 2 || pids[0] != parent.Process.Pid || pids[1] != child {
		t.Fatalf("%v, %v; want %d and %d", pids, err, parent.Process.Pid, child)
	}
	for _, pid := range pids {
		if _, err := ProcessorTime(pid); err != nil {
			t.Error(err)
		}
	}
}
