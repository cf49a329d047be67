package istio

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/vishvananda/netlink"
)

// isolatedVariable tells a test program that it runs in namespaces of its own.
const isolatedVariable = "CHATCACHE_ISTIO_ISOLATED"

// hostAddress is where pods reach what listens in the test's own network.
const hostAddress = "10.77.0.1"

// notIsolated says why this machine gives no namespaces; nil if it does.
var notIsolated error

// isolation are the namespaces of the tests, and those of each pod in them.
const isolation = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID

// runIsolated runs this program again, in new namespaces, and gives its exit code. With the program everything ends that it
// has started, however it ends. It is an error if there can be no namespaces.
func runIsolated() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolatedVariable+"=1",
		// Envoy as it is built by its own project has none of Istio's filters.
		"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: isolation, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("this needs network, mount and process namespaces: run it as root, in a container with CAP_SYS_ADMIN: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		return 0, err
	}
	return max(cmd.ProcessState.ExitCode(), -1) & 0xff, nil
}

// enterIsolation makes the new namespaces usable: they have a network that leads nowhere, and passes what a pod sends to another.
func enterIsolation() error {
	return errors.Join(
		mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE),
		mount("proc", "/proc", "proc", 0),
		raiseLoopback(hostAddress),
		os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644),
	)
}

func mount(source, target, kind string, flags uintptr) error {
	if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
		return fmt.Errorf("mounting %s %s: %w", kind, target, err)
	}
	return nil
}

// raiseLoopback makes the loopback interface answer, to one more address too.
func raiseLoopback(address string) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback interface: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("loopback interface: %w", err)
	}
	return addAddress(lo, address)
}

func addAddress(link netlink.Link, address string) error {
	a, err := netlink.ParseAddr(address + "/32")
	if err == nil {
		err = netlink.AddrAdd(link, a)
	}
	if err != nil {
		return fmt.Errorf("address %s of %s: %w", address, link.Attrs().Name, err)
	}
	return nil
}
