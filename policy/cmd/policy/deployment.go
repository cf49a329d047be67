package main

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const renderUsage = `usage: policy render --for TARGET [options] FILE

Prints the YAML that loads the filter with the policy, its code pinned by digest:

  istio          a WasmPlugin; or an EnvoyFilter, where the policy's host sets
                 allow_on_headers_stop_iteration, which a WasmPlugin can't
  envoy-gateway  an EnvoyExtensionPolicy
  envoy          a whole configuration of Envoy

Warnings go to standard error.

`

// deployment is where and how the filter is to be loaded, as the flags of "render" say it.
type deployment struct {
	file            string
	to              target
	name, namespace string
	image, digest   string   // OCI: NAME[:TAG], "sha256:…"
	pullSecret      string   // of the image, in the same namespace
	selector        []string // labels of the pods, "app=chat-api"
	attach          string   // or what it is attached to: "Gateway/NAME", "HTTPRoute/NAME"
	gateway         bool     // Istio: the pods are gateways, not sidecars
	port            uint     // Istio: that it applies to alone; 0: all
	fail            string   // open, reload or close: when there is no VM
	wasm            string   // Envoy: file of the code
	url, sha256     string   // Envoy: or where it is fetched from, and the file's digest, hexadecimal
	origin, bridge  string   // Envoy: host:port of the clusters
	elsewhere       bool     // Envoy: the filter is disabled for reads that no rule matches
}

// parseDeployment reads the arguments; code is the exit code where there is nothing left to do, otherwise -1.
func parseDeployment(args []string, s streams) (dep deployment, code int) {
	flags := newFlags("render")
	dep.define(flags)
	files, code := parseArgs(flags, renderUsage, args, s)
	if code >= 0 {
		return dep, code
	}
	if len(files) != 1 {
		return dep, misused(flags, s, wrongNumber(files, "a FILE"))
	}
	if dep.to == "" {
		return dep, misused(flags, s, "--for is missing, want envoy, istio or envoy-gateway")
	}
	dep.file = files[0]
	if err := errors.Join(dep.foreign(flags), dep.check()); err != nil {
		fmt.Fprintf(s.err, "policy: render --for %s: %v\n", dep.to, err)
		return dep, exitUsage
	}
	return dep, -1
}

func (dep *deployment) define(flags *flag.FlagSet) {
	flags.Var(&dep.to, "for", "the `target`: envoy, istio or envoy-gateway")
	flags.StringVar(&dep.name, "name", "chatcache", "`name` of the resource")
	flags.StringVar(&dep.namespace, "namespace", "default", "`namespace` of the resource: that of the proxies, of the Gateway or of the HTTPRoute")
	flags.StringVar(&dep.image, "image", "", "the filter's OCI image, `REGISTRY/NAME[:TAG]`")
	flags.StringVar(&dep.digest, "digest", "", "of the image's manifest, `sha256:…`, as `make image` prints it")
	flags.StringVar(&dep.pullSecret, "pull-secret", "", "`name` of a Secret with which the image is pulled")
	flags.Func("selector", "Istio: a label of the pods, `name=value`; repeatable", func(label string) error {
		dep.selector = append(dep.selector, label)
		return nil
	})
	flags.StringVar(&dep.attach, "target", "", "what it is attached to, `KIND/NAME`: Gateway (Istio: instead of --selector) or HTTPRoute")
	flags.BoolVar(&dep.gateway, "gateway", false, "Istio: the selected pods are gateways, not sidecars")
	flags.UintVar(&dep.port, "port", 0, "Istio: only for this `port` of the pods")
	flags.StringVar(&dep.fail, "fail", "", "`what` happens while there is no filter: open (requests pass, writes invalidate nothing), "+
		"reload (as close, and a VM that died is replaced), close (requests fail) (default open; for envoy reload)")
	flags.StringVar(&dep.wasm, "wasm", "build/chatcache.wasm", "Envoy: `file` of the filter")
	flags.StringVar(&dep.url, "url", "", "Envoy: instead, the http(s) `URL` of the filter, fetched at its start; Envoy itself warns that this is unstable and may crash it")
	flags.StringVar(&dep.sha256, "sha256", "", "Envoy: of the file at --url, 64 hexadecimal `digits`, as `make image` prints it")
	flags.StringVar(&dep.origin, "origin", "127.0.0.1:3000", "Envoy: `host:port` of the API")
	flags.StringVar(&dep.bridge, "bridge", "127.0.0.1:8470", "Envoy: `host:port` of the bridge")
	flags.BoolVar(&dep.elsewhere, "disable-elsewhere", false, "Envoy: routes of their own, with the filter disabled, for GETs and HEADs that begin like no pattern of the policy; "+
		"they then cost what they cost without the filter")
}

var (
	isName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`).MatchString // RFC 1123
	isImage  = regexp.MustCompile(`^[a-z0-9][-a-z0-9._]*(:[0-9]+)?(/[a-z0-9][-a-z0-9._]*)+(:[A-Za-z0-9_][-A-Za-z0-9_.]*)?$`).MatchString
	isDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`).MatchString
	isLabel  = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9_./]*=([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`).MatchString
	isTarget = regexp.MustCompile(`^(Gateway|HTTPRoute)/[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`).MatchString
	isURL    = regexp.MustCompile(`^https?://[-A-Za-z0-9._]+(:[0-9]+)?/[!-~]*$`).MatchString
	isPath   = regexp.MustCompile(`^[-A-Za-z0-9_./@+]+$`).MatchString
)

// flagsForEnvoy are those that have a meaning for Envoy, and flagsForEnvoyAlone for no other target.
var (
	flagsForEnvoyAlone = []string{"wasm", "url", "sha256", "origin", "bridge", "disable-elsewhere"}
	flagsForEnvoy      = append([]string{"for", "fail"}, flagsForEnvoyAlone...)
)

// foreign refuses flags that the target makes nothing of: whoever gives them wants something else than they would get.
func (dep *deployment) foreign(flags *flag.FlagSet) error {
	var problems []error
	flags.Visit(func(f *flag.Flag) {
		if dep.to == targetEnvoy && !slices.Contains(flagsForEnvoy, f.Name) || dep.to != targetEnvoy && slices.Contains(flagsForEnvoyAlone, f.Name) {
			problems = append(problems, fmt.Errorf("--%s isn't for %s", f.Name, dep.to))
		}
	})
	return errors.Join(problems...)
}

// check says what is wrong with the flags, all of it, and sets the defaults that depend on the target.
func (dep *deployment) check() error {
	if dep.fail == "" {
		dep.fail = "open"
		if dep.to == targetEnvoy {
			dep.fail = "reload"
		}
	}
	var problems []error
	want := func(ok bool, flag, found, wanted string) {
		if !ok {
			problems = append(problems, fmt.Errorf("--%s %q: want %s", flag, found, wanted))
		}
	}
	want(slices.Contains([]string{"open", "reload", "close"}, dep.fail), "fail", dep.fail, "open, reload or close")
	if dep.to == targetEnvoy {
		dep.checkEnvoy(want)
	} else {
		dep.checkManifest(want)
	}
	return errors.Join(problems...)
}

func (dep *deployment) checkEnvoy(want func(ok bool, flag, found, wanted string)) {
	want(isPath(dep.wasm), "wasm", dep.wasm, "a path of letters, digits and -_./@+")
	if dep.url != "" {
		want(isURL(dep.url), "url", dep.url, "http://HOST/PATH or https://HOST/PATH; an image's URL is for istio and envoy-gateway")
		want(isDigest("sha256:"+dep.sha256), "sha256", dep.sha256, "the file's SHA-256, 64 hexadecimal digits: `make image` prints it")
	}
	want(isAddress(dep.origin), "origin", dep.origin, "HOST:PORT")
	want(isAddress(dep.bridge), "bridge", dep.bridge, "HOST:PORT")
}

func (dep *deployment) checkManifest(want func(ok bool, flag, found, wanted string)) {
	want(isName(dep.name), "name", dep.name, "a name of a-z, 0-9 and -")
	want(isName(dep.namespace), "namespace", dep.namespace, "a name of a-z, 0-9 and -")
	want(isImage(dep.image), "image", dep.image, "REGISTRY/NAME[:TAG], without a scheme and a digest")
	want(isDigest(dep.digest), "digest", dep.digest, "sha256: and 64 hexadecimal digits, the digest of the image's manifest: `make image` prints it")
	want(dep.pullSecret == "" || isName(dep.pullSecret), "pull-secret", dep.pullSecret, "the name of a Secret in the same namespace")
	want(dep.attach == "" || isTarget(dep.attach), "target", dep.attach, "Gateway/NAME or HTTPRoute/NAME")
	for _, label := range dep.selector {
		want(isLabel(label), "selector", label, "name=value")
	}
	want(dep.port < 1<<16, "port", strconv.Itoa(int(dep.port)), "a port")
	if dep.to == targetIstio {
		want(dep.attach != "" || len(dep.selector) > 0, "selector", "",
			"the pods' labels, or --target Gateway/NAME: without either every proxy of the namespace would load the filter")
		want(dep.attach == "" || len(dep.selector) == 0, "selector", strings.Join(dep.selector, ","), "this or --target, not both")
		want(!strings.HasPrefix(dep.attach, "HTTPRoute/"), "target", dep.attach, "Gateway/NAME: Istio attaches no filter to a route")
		return
	}
	want(dep.attach != "", "target", "", "Gateway/NAME or HTTPRoute/NAME")
	want(len(dep.selector) == 0 && !dep.gateway && dep.port == 0, "selector", strings.Join(dep.selector, ","), "--target alone: --selector, --gateway and --port are for istio")
	want(dep.fail != "reload", "fail", dep.fail, "open or close: Envoy Gateway replaces no VM that died")
}

func isAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0 && (net.ParseIP(host) != nil || isName(host))
}
