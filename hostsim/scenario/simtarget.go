package scenario

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"chatcache/hostsim"
)

// simTarget runs scenarios on the simulator.
type simTarget struct {
	*hostsim.Sim
	clusters map[string]http.Handler
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
	for name, h := range o.Clusters {
		clusters[name] = h
	}
	o.Clusters, o.Route = clusters, hostsim.RouteTo(OriginCluster)
	s, err := hostsim.New(o)
	if err != nil {
		return nil, nil, nil, err
	}
	return simTarget{s, clusters}, origin, s, nil
}

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
		return nil, fmt.Errorf("there is no cluster %q", cluster)
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
