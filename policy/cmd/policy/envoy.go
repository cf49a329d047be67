package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"chatcache/envoy"
	"chatcache/policy"
)

// envoy gives the shipped configuration with the policy and the deployment in place of the sample's.
func (dep deployment) envoy(p *policy.Policy, d document) (string, error) {
	_, text, _ := strings.Cut(envoy.Configuration, "\n\n") // what the head says is about the sample
	e := editor{text: "# Envoy with the filter and the policy " + p.Name + ", written by `policy render --for envoy`.\n\n" + text}
	document, err := literal(d)
	if err != nil {
		return "", err
	}
	e.policy(document)
	e.replace("code: { local: { filename: build/chatcache.wasm } }", "code: "+dep.code())
	if dep.fail != "reload" {
		e.replace("# A VM that died is replaced at once; in between its worker answers 503.", "# What happens once a VM has died.")
		e.replace("failure_policy: FAIL_RELOAD", "failure_policy: "+map[string]string{"open": "FAIL_OPEN", "close": "FAIL_CLOSED"}[dep.fail])
		e.replace("                reload_config: { backoff: { base_interval: 0.005s } }\n", "")
	}
	e.replace("key_values: { GOMEMLIMIT: 192MiB }", "key_values: { GOMEMLIMIT: "+memoryLimit(p)+" }")
	e.cluster("chat", "chat", "127.0.0.1", "3000", dep.origin)
	e.cluster("redis-bridge", yamlText(p.Bridge.Cluster), "127.0.0.1", "8470", dep.bridge)
	if host, _, _ := net.SplitHostPort(dep.bridge); discovery(host) == byName {
		e.replace("    type: "+byName+"\n    connect_timeout: 0.1s\n", bridgeByName)
	}
	clusters, err := dep.moreClusters(p)
	if err != nil {
		return "", err
	}
	e.replace("\nstats_config:", clusters+"\nstats_config:")
	if dep.elsewhere {
		routes, err := elsewhere(p)
		if err != nil {
			return "", err
		}
		e.replace(onlyRoute, routes+onlyRoute)
	}
	if p.Loopback != "" {
		e.must("    address: { socket_address: " + listenerAddress + " }\n    filter_chains:\n")
	}
	return e.text, e.err
}

// onlyRoute is the route of the shipped configuration.
const onlyRoute = "              - match: { prefix: / }\n                route: { cluster: chat, timeout: 300s }\n"

// elsewhere gives the routes before it: those of reads that may match a rule, and that of all others. A path with a percent sign may
// be another spelling of one that matches.
func elsewhere(p *policy.Policy) (string, error) {
	prefixes := p.ReadPrefixes()
	if slices.Equal(prefixes, []string{"/"}) {
		return "", fmt.Errorf("%w: --disable-elsewhere: every path may match one of the policy's patterns; leave the flag out", errRender)
	}
	quoted := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		quoted[i] = yamlText(prefix)
	}
	return execute("envoy-elsewhere.yaml", nil, map[string]any{"Prefixes": quoted})
}

// bridgeByName stands for the type STRICT_DNS, whose own field for the rate Envoy has deprecated, and the connect timeout of the
// bridge's cluster. A name may have many addresses, one of which may be out of reach; the shipped configuration has one alone, beside
// which there is none to turn to: Envoy would not eject it (half of one is none), and each worker has a breaker of its own.
const bridgeByName = `    cluster_type:
      name: envoy.clusters.dns
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster
        dns_lookup_family: AUTO
        # A bridge that ends leaves the name, and still answers for its --drain-delay: make that more than DNS servers
        # keep an answer for, and this. The answers' own TTL doesn't count here.
        dns_refresh_rate: 1s
    connect_timeout: 0.1s
    # A bridge whose node has vanished; what one answers is no reason, since all of them ask the same Redis. Half may
    # go: a fault of the network here must not take the last one away.
    outlier_detection:
      split_external_local_origin_errors: true
      consecutive_local_origin_failure: 5
      enforcing_consecutive_5xx: 0
      enforcing_success_rate: 0
      enforcing_local_origin_success_rate: 0
      interval: 1s
      base_ejection_time: 5s
      max_ejection_percent: 50
`

// listenerAddress is where the shipped configuration listens.
const listenerAddress = "{ address: 127.0.0.1, port_value: 10000 }"

// codeCluster is the name of the cluster that the filter is fetched through.
const codeCluster = "chatcache-code"

// moreClusters gives those that the shipped configuration lacks.
func (dep deployment) moreClusters(p *policy.Policy) (text string, err error) {
	if p.Loopback != "" {
		if slices.Contains([]string{"chat", p.Bridge.Cluster, codeCluster}, p.Loopback) {
			return "", fmt.Errorf("%w: host.loopback_cluster is %q, and so is another cluster of the configuration; give it another name", errRender, p.Loopback)
		}
		text, err = execute("envoy-loopback.yaml", nil, map[string]any{"Name": yamlText(p.Loopback), "Address": listenerAddress})
	}
	if dep.url == "" || err != nil {
		return text, err
	}
	cluster, err := dep.clusterOfCode()
	return text + cluster, err
}

// code is where Envoy finds the filter.
func (dep deployment) code() string {
	if dep.url == "" {
		return "{ local: { filename: " + yamlText(dep.wasm) + " } }"
	}
	return fmt.Sprintf("{ remote: { http_uri: { uri: %s, cluster: %s, timeout: 30s }, sha256: \"%s\" } }", yamlText(dep.url), codeCluster, dep.sha256)
}

// clusterOfCode gives the cluster codeCluster.
func (dep deployment) clusterOfCode() (string, error) {
	u, err := url.Parse(dep.url)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errRender, err)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return execute("envoy-code.yaml", nil, map[string]any{
		"Name": codeCluster, "Host": yamlText(u.Hostname()), "Port": port, "TLS": u.Scheme == "https", "Discovery": discovery(u.Hostname()),
	})
}

// discovery is how a cluster finds a host: an address as it stands, a name by DNS.
func discovery(host string) string {
	if net.ParseIP(host) != nil {
		return "STATIC"
	}
	return byName
}

const byName = "STRICT_DNS"

// editor changes the text of a configuration. What it looks for must be there exactly once; err keeps the first miss.
type editor struct {
	text string
	err  error
}

func (e *editor) replace(old, new string) {
	e.must(old)
	e.text = strings.Replace(e.text, old, new, 1)
}

func (e *editor) must(have string) {
	if n := strings.Count(e.text, have); n != 1 && e.err == nil {
		e.err = fmt.Errorf("%w: the shipped configuration has %q %d times, want once", errRender, have, n)
	}
}

// policy puts the policy's text into its block.
func (e *editor) policy(document string) {
	const opening, margin = "                  value: |\n", "                    "
	before, after, ok := strings.Cut(e.text, opening)
	if !ok {
		e.err = fmt.Errorf("%w: the shipped configuration has no block for the policy", errRender)
		return
	}
	for strings.HasPrefix(after, margin) {
		_, after, _ = strings.Cut(after, "\n")
	}
	e.text = before + opening + margin + indent(len(margin), document) + "\n" + after
}

// cluster renames a cluster and leads it to address.
func (e *editor) cluster(old, name, host, port, address string) {
	before, after, _ := strings.Cut(e.text, "\n  - name: "+old+"\n    type: STATIC\n")
	newHost, newPort, _ := net.SplitHostPort(address)
	e.text = after
	e.replace("      cluster_name: "+old+"\n", "      cluster_name: "+name+"\n")
	e.replace("{ address: "+host+", port_value: "+port+" }", "{ address: "+yamlText(newHost)+", port_value: "+newPort+" }")
	e.text = before + "\n  - name: " + name + "\n    type: " + discovery(newHost) + "\n" + e.text
}
