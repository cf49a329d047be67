package stack

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"chatcache/test/loopback"
)

// Valkey is the Redis server of the mesh. It keeps nothing on disk: a restart
// is an empty server.
type Valkey struct {
	*Process
	Port int
}

func newValkey(o Options, paths programs, died chan<- *Process) *Valkey {
	v := &Valkey{Port: o.Ports.Valkey}
	v.Process = &Process{
		Name: "valkey", Log: filepath.Join(o.Dir, "valkey.log"), died: died,
		command: func(int) *exec.Cmd {
			cmd := exec.Command(paths.valkey, "--bind", "127.0.0.1", "--port", strconv.Itoa(v.Port), "--unixsocket", o.ValkeySocket,
				"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
			cmd.Dir = o.Dir
			return cmd
		},
		probe: func(ctx context.Context) error { return ping(ctx, "tcp", loopback.Addr(v.Port)) },
	}
	return v
}

// URL is the server's address as REDIS_URL takes it.
func (v *Valkey) URL() string { return redisURL(v.Port) }

func redisURL(port int) string { return fmt.Sprintf("redis://127.0.0.1:%d/0", port) }

// ping asks a server for a PONG; network and address are those of net.Dial.
func ping(ctx context.Context, network, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(probeTimeout))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		return fmt.Errorf("PING was answered with %q", answer)
	}
	return err
}
