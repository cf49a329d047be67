package scenario

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"chatcache/hostsim"
)

// simTarget runs scenarios on the simulator.
type simTarget struct {
	*hostsim.Sim
	clusters map[string]http.Handler
	hangs    map[string]*atomic.Bool
}

// OnSim starts a simulated proxy for one scenario, with an Origin as the
// cluster that every request is routed to. The caller closes the Sim.
func OnSim(o hostsim.Options) (Target, *Origin, *hostsim.Sim, error) {
	if o.Clock == nil {
		o.Clock = hostsim.NewClock(time.Time{})
	}
	clock := o.Clock
	origin := &Origin{Wait: func(r *http.Request, d time.Duration) { clock.Wait(r.Context(), nil, d) }}
	clusters := map[string]http.Handler{OriginCluster: origin}
	maps.Copy(clusters, o.Clusters)
	hangs, simulated := map[string]*atomic.Bool{}, map[string]http.Handler{}
	for name, h := range clusters {
		hangs[name] = &atomic.Bool{}
		simulated[name] = hangingHandler(h, hangs[name], clock)
	}
	o.Clusters, o.Route = simulated, hostsim.RouteTo(OriginCluster)
	s, err := hostsim.New(o)
	if err != nil {
		return nil, nil, nil, err
	}
	return simTarget{s, clusters, hangs}, origin, s, nil
}

// hangingHandler is h, but takes requests and never answers while on is set.
func hangingHandler(h http.Handler, on *atomic.Bool, clock *hostsim.Clock) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if on.Load() {
			clock.Wait(r.Context(), nil, hanging)
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	})
}

// clusterStates are the words of "cluster NAME STATE".
var clusterStates = map[string]hostsim.ClusterState{
	"up": hostsim.ClusterUp, "hanging": hostsim.ClusterUp,
	"refusing": hostsim.ClusterRefusing, "no-hosts": hostsim.ClusterNoHosts,
}

func (t simTarget) SetCluster(name, state string) error {
	on := t.hangs[name]
	if on == nil {
		return noCluster(name)
	}
	on.Store(state == "hanging")
	t.Sim.SetCluster(name, clusterStates[state])
	return nil
}

func noCluster(name string) error { return fmt.Errorf("there is no cluster %q", name) }

// OriginCluster is the name of the origin's cluster on the simulator.
const OriginCluster = "origin"

func (t simTarget) Do(worker int, r *hostsim.Request) (*hostsim.Response, []string) {
	if worker < 1 || worker > t.Workers() {
		return &hostsim.Response{Details: fmt.Sprintf("there is no worker %d", worker)}, nil
	}
	st := t.Start(worker, r)
	t.Finish(st)
	resp := st.Response()
	if resp == nil {
		resp = &hostsim.Response{Details: "no answer"}
	}
	return resp, st.Trace()
}

// Call hands the request to the cluster's handler at once, in real time.
func (t simTarget) Call(cluster string, r *hostsim.Request) (*hostsim.Response, error) {
	h := t.clusters[cluster]
	if h == nil {
		return nil, noCluster(cluster)
	}
	req := httptest.NewRequest(r.Method, r.Path, bytes.NewReader(r.Body))
	for _, f := range r.Headers {
		req.Header.Add(f[0], f[1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	resp := &hostsim.Response{Status: rec.Code, Body: rec.Body.Bytes(), Complete: true}
	for name, values := range rec.Header() {
		for _, v := range values {
			resp.Headers.Add(name, v)
		}
	}
	t.Settle()
	return resp, nil
}
