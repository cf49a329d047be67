package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"chatcache/policy"
)

// target is what a policy is deployed with.
type target string

const (
	targetEnvoy        target = "envoy"
	targetIstio        target = "istio"
	targetEnvoyGateway target = "envoy-gateway"
)

// defaultPayload is what verified claims stand under unless the policy says otherwise.
const defaultPayload = "jwt_payload"

// The kinds of warnings that depend on the target.
const (
	warnBodies   policy.ID = "target-bodies"   // no request bodies there, or not by the usual way
	warnCluster  policy.ID = "target-cluster"  // the bridge's cluster has another name there
	warnLoopback policy.ID = "target-loopback" // nothing there makes the cluster
	warnMemory   policy.ID = "target-memory"   // the VMs' memory is set elsewhere there
	warnPayload  policy.ID = "target-payload"  // verified claims stand elsewhere there
)

// Set makes a target a flag.
func (t *target) Set(s string) error {
	if !slices.Contains([]target{targetEnvoy, targetIstio, targetEnvoyGateway}, target(s)) {
		return errors.New("want envoy, istio or envoy-gateway")
	}
	*t = target(s)
	return nil
}

func (t *target) String() string { return string(*t) }

// warnings lists what the policy says that doesn't fit the target. Their offsets aren't set.
func (t target) warnings(p *policy.Policy) (list policy.Problems) {
	warn := func(id policy.ID, path, wanted, hint string) {
		list = append(list, policy.Problem{ID: id, Path: path, Wanted: wanted, Hint: hint})
	}
	if t == targetIstio && p.Bodies {
		warn(warnBodies, "/host/allow_on_headers_stop_iteration",
			"a WasmPlugin leaves the flag off, and requests of body-keyed caches would wait forever",
			"apply the EnvoyFilter that `policy render --for istio` writes instead, which sets it")
	}
	if t == targetEnvoyGateway && p.Bodies {
		warn(warnBodies, "/host/allow_on_headers_stop_iteration",
			"Envoy Gateway leaves the flag off, and requests of body-keyed caches would wait forever",
			"take the field out: those caches then bypass")
	}
	if t == targetIstio && !isIstioCluster(p.Bridge.Cluster) {
		warn(warnCluster, "/bridge/cluster", "Istio names its clusters otherwise",
			"for the Service redis-bridge in the namespace chatcache: "+istioCluster)
	}
	if t == targetEnvoy && strings.Contains(p.Bridge.Cluster, "|") {
		warn(warnCluster, "/bridge/cluster", "this is how Istio names a cluster", `the shipped configuration has "redis-bridge"`)
	}
	if t == targetEnvoyGateway && p.Bridge.Cluster != gatewayCluster && !strings.HasPrefix(p.Bridge.Cluster, routeClusters) {
		warn(warnCluster, "/bridge/cluster", "nothing there makes a cluster of this name, without which nothing is cached",
			`envoy/envoy-gateway/proxy.yaml and the Helm chart make "`+gatewayCluster+`"; Envoy Gateway itself makes `+routeClusters+"NAMESPACE/NAME/rule/0 of a route to a Backend, as in backend.yaml")
	}
	if limit := memoryLimit(p); t == targetEnvoyGateway && p.L1.Enabled && p.L1.MaxBytes > shippedL1 {
		warn(warnMemory, "/l1/max_bytes", "a VM's Go heap is limited by the proxies' environment there, which leaves no room for so much",
			"set GOMEMLIMIT in envoy/envoy-gateway/proxy.yaml to "+limit+"; the Helm chart does so by itself")
	}
	if hint := t.missingLoopback(p.Loopback); hint != "" {
		warn(warnLoopback, "/host/loopback_cluster", "nothing there makes a cluster of this name, without which nothing is prefetched, and clients wait for refreshes", hint)
	}
	for i, s := range p.Identity {
		if hint := t.wrongPayload(s); hint != "" {
			warn(warnPayload, "/identity/"+strconv.Itoa(i), "verified claims stand under another name there, so this source has no value", hint)
		}
	}
	return list
}

// shippedL1 is what envoy/envoy-gateway/proxy.yaml has room for, bytes.
const shippedL1 = 32 << 20

// What there is for Envoy Gateway: the cluster in the bootstrap of envoy/envoy-gateway/proxy.yaml, and those that it makes of routes.
const (
	gatewayCluster = "redis-bridge"
	routeClusters  = "httproute/"
)

// istioCluster is what Istio makes of the Service in envoy/kubernetes/bridge.yaml.
const istioCluster = "outbound|8470||redis-bridge.chatcache.svc.cluster.local"

// isIstioCluster tells whether the name is DIRECTION|PORT|SUBSET|HOST.
func isIstioCluster(name string) bool {
	parts := strings.Split(name, "|")
	if len(parts) != 4 || parts[0] != "outbound" || parts[3] == "" {
		return false
	}
	_, err := strconv.ParseUint(parts[1], 10, 16)
	return err == nil
}

// missingLoopback says who has to make the cluster that leads to a proxy's own listener, or nothing.
func (t target) missingLoopback(cluster string) string {
	switch {
	case cluster == "":
	case t == targetIstio && !isIstioCluster(cluster):
		return "add one by an EnvoyFilter (applyTo: CLUSTER), STATIC, to 127.0.0.1 and the listener's port, or take the field out"
	case t == targetEnvoyGateway:
		return "add one to the bootstrap of envoy/envoy-gateway/proxy.yaml, STATIC, to 127.0.0.1 and the listener's port, or take the field out"
	}
	return ""
}

// wrongPayload says what to write instead, or nothing.
func (t target) wrongPayload(s policy.Source) string {
	switch {
	case s.Kind != policy.SourceVerified:
	case t == targetIstio && s.Payload != "payload":
		return `Istio's RequestAuthentication puts them under "payload"`
	case t == targetEnvoyGateway && s.Payload == defaultPayload:
		return `a SecurityPolicy puts them under the name of its JWT provider: write that as "payload"`
	}
	return ""
}
