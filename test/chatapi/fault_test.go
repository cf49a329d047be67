package chatapi_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"chatcache/test/chatapi"

	"github.com/google/go-cmp/cmp"
)

// What a client over HTTP/1.1 and over HTTP/2 sees of each fault.
func TestFaults(t *testing.T) {
	api := newAPI()
	http1 := httptest.NewServer(api)
	defer http1.Close()
	http2 := httptest.NewUnstartedServer(api)
	http2.EnableHTTP2 = true
	http2.StartTLS()
	defer http2.Close()

	type outcome struct {
		Failed    bool // no answer at all
		Broken    bool // an answer that is known to be cut off
		Status    int
		Unlimited bool // neither content-length nor chunked
		Header    string
	}
	for _, c := range []struct {
		fault  string
		header string
		want   outcome
		same   bool // on HTTP/2 too
	}{
		{"truncate", "", outcome{Broken: true, Status: 200}, true},
		{"truncate-chunks", "", outcome{Broken: true, Status: 200}, true},
		{"reset", "", outcome{Broken: true, Status: 200}, true},
		{"refuse", "", outcome{Failed: true}, true},
		{"close-delimited", "", outcome{Status: 200, Unlimited: true}, false},
		{"status=503", "", outcome{Status: 503}, true},
		{"set-cookie", "Set-Cookie", outcome{Status: 200, Header: "seen=1"}, true},
		{"no-store", "Cache-Control", outcome{Status: 200, Header: "no-store"}, true},
		{"private", "Cache-Control", outcome{Status: 200, Header: "private"}, true},
		{"vary", "Vary", outcome{Status: 200, Header: "Accept-Language"}, true},
		{"big=100000", "Content-Length", outcome{Status: 200, Header: "100000"}, true},
		{"slow=1", "", outcome{Status: 200}, true},
	} {
		for _, server := range []*httptest.Server{http1, http2} {
			if server == http2 && !c.same {
				continue
			}
			resp, err := server.Client().Get(server.URL + "/_fault?kind=" + c.fault)
			if err != nil {
				if got := (outcome{Failed: true}); got != c.want {
					t.Errorf("%s: %v", c.fault, err)
				}
				continue
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			got := outcome{
				Broken: err != nil, Status: resp.StatusCode, Header: resp.Header.Get(c.header),
				Unlimited: resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && err == nil,
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s over %s (-want +got):\n%s%v", c.fault, resp.Proto, diff, err)
			}
		}
	}
}

func TestSetFault(t *testing.T) {
	api := newAPI()
	api.SetFault("GET /api/chat/stats", chatapi.Fault{Kind: chatapi.FaultStatus, N: 500})
	if status, _ := call(t, api, "ada", "GET", "/api/chat/stats", ""); status != 500 {
		t.Errorf("with the fault: %d", status)
	}
	api.SetFault("GET /api/chat/stats", chatapi.Fault{})
	if status, _ := call(t, api, "ada", "GET", "/api/chat/stats", ""); status != 200 {
		t.Errorf("without it: %d", status)
	}
	if n := api.Count("GET /api/chat/stats"); n != 2 {
		t.Errorf("counted %d", n)
	}
}

func TestBadFaultIsRefused(t *testing.T) {
	for kind, want := range map[string]string{
		"nonsense":   `kind: not a fault: \"nonsense\": see package chatapi for the kinds`,
		"status=900": `kind: not a fault: \"status=900\": want status=N with N from 200 to 599`,
		"big":        `kind: not a fault: \"big\": want big=N with N from 1 to 67108864`,
		"reset=1":    `kind: not a fault: \"reset=1\": reset takes no number`,
	} {
		status, body := call(t, newAPI(), "", "GET", "/_fault?kind="+kind, "")
		if status != http.StatusBadRequest || body != `{"error":{"code":"bad_request","message":"`+want+`"}}`+"\n" {
			t.Errorf("%s: %d %s", kind, status, body)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{"truncate", "status=503", "big=1", "slow=60000", "status=", "=", "reset=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := chatapi.ParseFault(text)
		if err != nil {
			if !errors.Is(err, chatapi.ErrFault) || fault != (chatapi.Fault{}) {
				t.Fatalf("%q: %v with %v", text, fault, err)
			}
			return
		}
		if again, err := chatapi.ParseFault(fault.String()); err != nil || again != fault {
			t.Fatalf("%q: read again as %v, %v", text, again, err)
		}
	})
}
