package istio

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/log"
)

// controlPlane is Istio's discovery server with an empty cluster.
type controlPlane struct {
	Address string // host:port where pilot-agents find it

	t        testing.TB
	fake     *xds.FakeDiscoveryServer
	services int
}

// startControlPlane starts it with its log in dir.
func startControlPlane(t *testing.T, dir string) *controlPlane {
	t.Helper()
	options := log.DefaultOptions()
	options.OutputPaths = []string{filepath.Join(dir, "istiod.log")}
	if err := log.Configure(options); err != nil {
		t.Fatal(err)
	}
	listener := listen(t)
	fake := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		ListenerBuilder: func() (net.Listener, error) { return listener, nil },
	})
	return &controlPlane{Address: listener.Addr().String(), t: t, fake: fake}
}

// listen gives a listener that pods reach.
func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(hostAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Apply creates or replaces Istio's resources, as kubectl apply does.
func (c *controlPlane) Apply(resources ...config.Config) {
	c.t.Helper()
	store := c.fake.Store()
	for _, r := range resources {
		var err error
		if old := store.Get(r.GroupVersionKind, r.Name, r.Namespace); old != nil {
			r.ResourceVersion = old.ResourceVersion
			_, err = store.Update(r)
		} else {
			_, err = store.Create(r)
		}
		if err != nil {
			c.t.Fatalf("applying %s %s/%s: %v", r.GroupVersionKind.Kind, r.Namespace, r.Name, err)
		}
	}
}

// Delete removes a resource.
func (c *controlPlane) Delete(r config.Config) {
	c.t.Helper()
	if err := c.fake.Store().Delete(r.GroupVersionKind, r.Name, r.Namespace, nil); err != nil {
		c.t.Fatalf("deleting %s %s/%s: %v", r.GroupVersionKind.Kind, r.Namespace, r.Name, err)
	}
}

// Expose creates a Service of one port, and the EndpointSlice that Kubernetes would make of its pods: one address and port.
func (c *controlPlane) Expose(service *corev1.Service, ip string, port int) {
	c.t.Helper()
	c.services++
	service.Spec.ClusterIP = fmt.Sprintf("10.96.0.%d", c.services) // as Kubernetes would
	number := int32(port)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name + "-1", Namespace: service.Namespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: service.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{ip}}},
		Ports:       []discoveryv1.EndpointPort{{Name: &service.Spec.Ports[0].Name, Port: &number}},
	}
	kube := c.fake.KubeClient().Kube()
	if _, err := kube.CoreV1().Services(service.Namespace).Create(c.t.Context(), service, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	if _, err := kube.DiscoveryV1().EndpointSlices(service.Namespace).Create(c.t.Context(), slice, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}
