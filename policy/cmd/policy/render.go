package main

import (
	"errors"
	"fmt"
	"io"

	"chatcache/policy"
)

// errRender says that a policy can't be rendered for its target.
var errRender = errors.New("can't be rendered")

func render(args []string, s streams) int {
	dep, code := parseDeployment(args, s)
	if code >= 0 {
		return code
	}
	p, d, code := readPolicy(dep.file, s)
	if code >= 0 {
		return code
	}
	out, err := dep.render(p, d)
	if err != nil {
		fmt.Fprintf(s.err, "policy: %s: %v\n", d.name, err)
		return exitNo
	}
	writeFindings(s.err, d.warnings(p, dep.warns(p)...))
	io.WriteString(s.out, out)
	return exitOK
}

// render gives the YAML. The error matches errRender.
func (dep deployment) render(p *policy.Policy, d document) (string, error) {
	switch dep.to {
	case targetEnvoy:
		return dep.envoy(p, d)
	case targetIstio:
		if !p.Bodies {
			return dep.manifest("istio-wasmplugin.yaml", p, d)
		}
		// istiod reads the Secrets of WasmPlugins alone (pilot/pkg/xds/ecds.go, referencedSecrets).
		if dep.pullSecret != "" {
			return "", fmt.Errorf("%w: --pull-secret: Istio takes it from a WasmPlugin alone, and with allow_on_headers_stop_iteration the filter is loaded "+
				"by an EnvoyFilter; mount a Docker configuration into the proxies, name its directory in their DOCKER_CONFIG, and leave the flag out", errRender)
		}
		return dep.manifest("istio-envoyfilter.yaml", p, d)
	}
	if p.Bodies {
		return "", fmt.Errorf("%w: Envoy Gateway can't set allow_on_headers_stop_iteration, without which requests of body-keyed caches "+
			"would wait forever; take it out of the policy's host: those caches then bypass", errRender)
	}
	return dep.manifest("envoy-gateway.yaml", p, d)
}

// warns lists what the target warns of. What is written for Istio sets the flag that a WasmPlugin can't.
func (dep deployment) warns(p *policy.Policy) (list policy.Problems) {
	for _, w := range dep.to.warnings(p) {
		if w.ID != warnBodies {
			list = append(list, w)
		}
	}
	return list
}
