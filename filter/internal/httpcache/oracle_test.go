package httpcache_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"

	"github.com/pquerna/cachecontrol/cacheobject"
)

// TestAgainstCacheControl compares freshness and storability with package cachecontrol, over
// random responses. Where the two differ on purpose, explained says by which text of the RFC.
func TestAgainstCacheControl(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	explained := map[string]int{}
	for range 20_000 {
		c := randomCase(random)
		lifetime, _ := c.fields.Lifetime(c.fields.Control(nil), httpcache.Received{Now: now})
		_, reason := httpcache.PlanStore(c.fields, false, c.rules())
		stored := reason == httpcache.Storable || reason == httpcache.ReasonStale // that one is storable and of no use
		theirs, theirStored, readable := c.ask()
		why := c.explain(stored, theirStored, readable)
		explained[why]++
		// §1.2.2 allows 2^31 as well as the greatest number there is for what is greater.
		if why == "" && (stored != theirStored || stored && min(lifetime, 1<<31-1) != theirs) {
			t.Fatalf("%v: stored %v (%q) for %d s, cachecontrol: %v for %d s", c, stored, reason, lifetime, theirStored, theirs)
		}
	}
	if explained[""] < 7_500 {
		t.Errorf("only %d of 20000 cases compared: %v", explained[""], explained)
	}
}

// explain names the text by which this cache may differ from cachecontrol, which follows
// RFC 7234; "": the two have to agree.
func (c responseCase) explain(ours, theirs, readable bool) string {
	cc := c.fields.Control(nil)
	explicit := cc.MaxAge != httpcache.Absent || cc.SMaxAge != httpcache.Absent || c.expires != ""
	switch {
	case !readable:
		return "9111 §4.2.1: an invalid number makes a response stale, and isn't an error of the whole field"
	case cc.MustUnderstand:
		return "9111 §5.2.2.3: must-understand is newer than RFC 7234"
	case c.status == 206 || c.status == 304:
		return "9111 §3.3: no partial responses are stored here; §4.3.4: and no 304"
	case c.status == 308 && !explicit:
		return "9110 §15.4.9: 308 is heuristically cacheable, and newer than RFC 7231"
	case len(cc.PrivateFields) > 0 && ours && !theirs:
		return "9111 §5.2.2.7: private with field names concerns these fields only"
	case cc.NoCache:
		return "9111 §5.2.2.4: what needs validation isn't stored unless it is to be validated"
	case c.fields.Has("set-cookie"):
		return "stricter than 9111 §7.3 wants: what sets a cookie isn't stored"
	case c.expires == "0" && cc.MaxAge == httpcache.Absent && cc.SMaxAge == httpcache.Absent:
		return "9111 §5.3: an invalid Expires is in the past; cachecontrol takes it for none"
	case !explicit && c.fields.Has("last-modified"):
		return "9111 §4.2.2 leaves heuristics to the cache: here from Date, for statuses that allow it and public"
	}
	return ""
}

// responseCase is a response and the request that it answers.
type responseCase struct {
	status     int
	fields     httpcache.Fields
	expires    string
	authorized bool
}

func (c responseCase) String() string {
	return fmt.Sprintf("%v, authorized %v", c.fields, c.authorized)
}

func (c responseCase) rules() httpcache.StoreRules {
	rules := byOrigin()
	rules.Authorized = c.authorized
	rules.TTL = int64(httpcache.MaxSeconds)
	return rules
}

// ask has cachecontrol decide on the same, for a shared cache. readable: it could.
func (c responseCase) ask() (lifetime httpcache.Seconds, stored, readable bool) {
	header := http.Header{}
	for _, f := range c.fields {
		header.Add(f[0], f[1])
	}
	directives, err := cacheobject.ParseResponseCacheControl(header.Get("Cache-Control"))
	if err != nil {
		return 0, false, false
	}
	at := time.Unix(now, 0)
	object := cacheobject.Object{
		RespDirectives: directives, RespHeaders: header, RespStatusCode: c.status,
		ReqMethod: "GET", ReqHeaders: http.Header{}, ReqDirectives: &cacheobject.RequestCacheDirectives{}, NowUTC: at,
	}
	if c.authorized {
		object.ReqHeaders.Set("Authorization", "Bearer x")
	}
	object.RespExpiresHeader, _ = http.ParseTime(header.Get("Expires"))
	object.RespDateHeader, _ = http.ParseTime(header.Get("Date"))
	object.RespLastModifiedHeader, _ = http.ParseTime(header.Get("Last-Modified"))
	var result cacheobject.ObjectResults
	cacheobject.CachableObject(&object, &result)
	cacheobject.ExpirationObject(&object, &result)
	seconds := int64(0)
	if !result.OutExpirationTime.IsZero() {
		seconds = max(0, result.OutExpirationTime.Unix()-now)
	}
	return httpcache.Seconds(seconds), len(result.OutReasons) == 0, true
}

func randomCase(r *rand.Rand) responseCase {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	statuses := []int{200, 200, 200, 200, 203, 204, 206, 300, 301, 302, 303, 304, 307, 308, 400, 404, 405, 410, 414, 418, 500, 501, 503}
	c := responseCase{status: statuses[r.IntN(len(statuses))], authorized: r.IntN(4) == 0}
	c.fields = httpcache.Fields{{":status", strconv.Itoa(c.status)}, {"content-length", "3"}}
	var directives []string
	for range r.IntN(4) {
		directives = append(directives, pick("max-age=60", "max-age=0", "s-maxage=30", "public", "private", `private="x-user"`, "no-store",
			"no-cache", `no-cache="x-a"`, "must-revalidate", "proxy-revalidate", "must-understand", "immutable", "no-transform", "foo=bar",
			"max-age=x", "max-age=99999999999999999999", `max-age="60"`))
	}
	// Each directive once: which of several counts, RFC 9111 leaves open.
	seen := map[string]bool{}
	once := directives[:0]
	for _, d := range directives {
		if name, _, _ := strings.Cut(d, "="); !seen[name] {
			seen[name] = true
			once = append(once, d)
		}
	}
	if len(once) > 0 {
		c.fields = append(c.fields, [2]string{"cache-control", strings.Join(once, ", ")})
	}
	if c.expires = pick("", "", "0", date(60), date(-60)); c.expires != "" {
		c.fields = append(c.fields, [2]string{"expires", c.expires})
	}
	for _, field := range [][2]string{{"date", date(-5)}, {"last-modified", date(-1000)}, {"set-cookie", "a=b"}} {
		if r.IntN(4) == 0 {
			c.fields = append(c.fields, field)
		}
	}
	return c
}
