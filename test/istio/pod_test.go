package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"chatcache/test/stack"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// podCommand is the first argument of a test program that is to become a pod: a podPlan follows, as JSON.
const podCommand = "pod"

// pod is a process in namespaces of its own, with an address.
type pod struct {
	*stack.Process
	IP string

	attached int // the process that has the network
}

// podPlan is what a pod becomes.
type podPlan struct {
	IP            string
	Init, Command []string
}

// container is what a pod runs.
type container struct {
	init    []string // what runs before, if anything, and must succeed
	command []string
	env     []string // in place of this process's
	dir     string   // its working directory, which must exist
	ready   string   // path and port of its readiness probe: ":15021/healthz/ready"
}

// startPod starts a pod and returns when it is ready. It ends with the test.
func startPod(t testing.TB, name, ip string, c container) *pod {
	t.Helper()
	p := &pod{IP: ip}
	log := filepath.Join(c.dir, name+".log")
	p.Process = stack.NewProcess(name, log, func(int) *exec.Cmd {
		cmd := exec.Command("/proc/self/exe", podCommand, mustJSON(t, podPlan{ip, c.init, c.command}))
		cmd.Dir, cmd.Env = c.dir, c.env
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: isolation}
		return cmd
	}, func(ctx context.Context) error {
		if err := p.attach(); err != nil {
			return err
		}
		return stack.ExpectOK(ctx, "http://"+ip+c.ready)
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", name, p.LogTail(60))
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// attach connects the pod's namespace with this one: a pair of interfaces, of which the pod's is eth0.
func (p *pod) attach() error {
	pid := p.PID()
	if pid == p.attached {
		return nil
	}
	link := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("pod%d", pid)},
		PeerName:  "eth0", PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("%s: interface: %w", p.Name, err)
	}
	p.attached = pid
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: net.ParseIP(p.IP), Mask: net.CIDRMask(32, 32)},
	}
	if err := errors.Join(netlink.LinkSetUp(link), netlink.RouteAdd(route)); err != nil {
		return fmt.Errorf("%s: interface: %w", p.Name, err)
	}
	return nil
}

// within does something in the pod's network.
func (p *pod) within(do func() error) error {
	// A thread is in a namespace, not a process. A thread that can't go back ends with its goroutine, since it stays locked.
	runtime.LockOSThread()
	here, err := netns.Get()
	if err != nil {
		return err
	}
	defer here.Close()
	there, err := netns.GetFromPid(p.PID())
	if err != nil {
		return err
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		return err
	}
	err = do()
	if err := netns.Set(here); err != nil {
		return err
	}
	runtime.UnlockOSThread()
	return err
}

// Listen gives a listener in the pod's network, as another container of the pod would have it.
func (p *pod) Listen(t testing.TB, port int) (listener net.Listener) {
	t.Helper()
	err := p.within(func() (err error) {
		listener, err = net.Listen("tcp", fmt.Sprintf("%s:%d", p.IP, port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// runPod is the beginning of a pod: it makes its part of the network and becomes the command.
func runPod(text string) {
	var plan podPlan
	err := json.Unmarshal([]byte(text), &plan)
	if err == nil {
		err = enterPod(plan.IP)
	}
	if err == nil && plan.Init != nil {
		init := exec.Command(plan.Init[0], plan.Init[1:]...)
		init.Stdout, init.Stderr = os.Stdout, os.Stderr
		err = init.Run()
	}
	if err == nil {
		err = syscall.Exec(plan.Command[0], plan.Command, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "pod:", err)
	os.Exit(1)
}

// enterPod gives the pod a /var/lib of its own, and waits for its interface.
func enterPod(ip string) error {
	err := errors.Join(
		mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE),
		mount("proc", "/proc", "proc", 0),
		mount("tmpfs", "/var/lib", "tmpfs", 0),
		os.MkdirAll("/var/lib/istio/data", 0o755), // where pilot-agent keeps what it has pulled
		raiseLoopback("127.0.0.2"),
	)
	if err != nil {
		return err
	}
	eth0, err := awaitInterface("eth0")
	if err != nil {
		return err
	}
	if err := errors.Join(addAddress(eth0, ip), netlink.LinkSetUp(eth0)); err != nil {
		return err
	}
	host := net.ParseIP(hostAddress)
	return errors.Join(
		netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: &net.IPNet{IP: host, Mask: net.CIDRMask(32, 32)}}),
		netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: host, Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}),
	)
}

func awaitInterface(name string) (netlink.Link, error) {
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		link, err := netlink.LinkByName(name)
		if err == nil || time.Now().After(limit) {
			return link, err
		}
	}
}
