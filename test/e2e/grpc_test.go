package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

// grpcEcho answers each message of a gRPC call as it comes, after one of its own, and ends with trailers; a call of /fail has nothing but these.
func grpcEcho(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	if strings.HasSuffix(r.URL.Path, "/fail") {
		w.Header().Set("Grpc-Status", "5")
		w.Header().Set("Grpc-Message", "no such thing")
		w.WriteHeader(http.StatusOK)
		return
	}
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		message, err := readMessage(r.Body)
		if err != nil {
			break
		}
		writeMessage(w, "re: "+message)
		w.(http.Flusher).Flush()
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	w.Header().Set(http.TrailerPrefix+"Grpc-Message", r.Header.Get("Te")+" "+r.Proto)
}

// A message is a byte that tells of compression, its length in four, and itself.
func writeMessage(w io.Writer, message string) error {
	frame := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
	_, err := w.Write(append(frame, message...))
	return err
}

func readMessage(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	message := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, message)
	return string(message), err
}

// sameCalls: unary calls, streams in both directions at once, and answers of trailers alone pass, whether or not
// unsafe requests concern what is stored: the path of the calls of /origin is one of a cache that leaves freshness to the origin.
func sameCalls(t *testing.T, s *stack.Stack) {
	for _, c := range []struct {
		path     string
		messages int
	}{
		{"/chat.Chat/unary", 1}, {"/chat.Chat/stream", 5}, {"/chat.Chat/empty", 0}, {"/chat.Chat/fail", 0},
		{"/origin/unary", 1}, {"/origin/stream", 5}, {"/origin/fail", 0},
	} {
		t.Run(c.path, func(t *testing.T) {
			plain, got := called(t, s.Envoys[1].URL()+c.path, c.messages), called(t, s.Envoys[0].URL()+c.path, c.messages)
			delete(got.Header, "Cache-Status")
			if diff := cmp.Diff(plain, got); diff != "" {
				t.Errorf("without the filter (-), with it (+):\n%s", diff)
			}
			if len(got.Messages) != c.messages {
				t.Errorf("%d messages, want %d", len(got.Messages), c.messages)
			}
		})
	}
}

// callAnswer is what came of a call.
type callAnswer struct {
	Status          int
	Header, Trailer http.Header
	Messages        []string
}

// called makes a call: each message is answered before the next one is sent.
func called(t *testing.T, url string, messages int) (a callAnswer) {
	t.Helper()
	client := clientOf(2)
	body, sending := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), "POST", url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "grpc.test"
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	if messages == 0 {
		sending.Close()
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for n := range messages {
		if err := writeMessage(sending, fmt.Sprint("message ", n)); err != nil {
			t.Fatal(err)
		}
		message, err := readMessage(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		a.Messages = append(a.Messages, message)
	}
	sending.Close()
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) > 0 {
		t.Fatalf("%q behind the messages: %v", rest, err)
	}
	for _, passing := range []string{"Date", "X-Envoy-Upstream-Service-Time", "X-Request-Id"} {
		response.Header.Del(passing)
	}
	a.Status, a.Header, a.Trailer = response.StatusCode, response.Header, response.Trailer
	return a
}
