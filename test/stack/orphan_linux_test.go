package stack

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A process that dies takes its children with it, however it dies.
func TestChildrenDontOutliveTheirParent(t *testing.T) {
	if os.Getenv("STACK_TEST_PARENT") == "1" {
		p, _ := script(t, `touch ready; exec sleep 60`)
		p.Log = os.Getenv("STACK_TEST_LOG")
		if err := p.Start(context.Background()); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("pid " + strconv.Itoa(p.PID()) + "\n")
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestChildrenDontOutliveTheirParent$")
	parent.Env = append(os.Environ(), "STACK_TEST_PARENT=1", "STACK_TEST_LOG="+filepath.Join(t.TempDir(), "log"))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid := readPID(t, out)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	UntilT(t, "the child ends with its parent", func() bool { return !alive(pid) })
}

// readPID reads the line "pid N".
func readPID(t *testing.T, from io.Reader) string {
	t.Helper()
	for lines := bufio.NewScanner(from); lines.Scan(); {
		if pid, ok := strings.CutPrefix(lines.Text(), "pid "); ok {
			return pid
		}
	}
	t.Fatal("the parent said no pid")
	return ""
}

// alive tells whether the process exists and is not a zombie.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
