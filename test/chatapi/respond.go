package chatapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxBody bounds a request's body in bytes.
const maxBody = 1 << 20

// apiError is the body of every answer that isn't a success.
type apiError struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func failure(status int, code, format string, args ...any) answer {
	var e apiError
	e.Error.Code, e.Error.Message = code, fmt.Sprintf(format, args...)
	return answer{status, e}
}

func unauthorized() answer {
	return failure(http.StatusUnauthorized, "unauthorized", "send a bearer token: it is the user's name")
}

func notFound(what, id string) answer {
	return failure(http.StatusNotFound, "not_found", "there is no %s %q", what, id)
}

// respond writes an answer: JSON with its content-length.
func respond(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the answer has no JSON form"}}`)
	}
	text = append(text, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	w.Write(text)
}

// bearer gives the request's user.
func bearer(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}

// bufferBody gives the request with its whole body in memory.
func bufferBody(r *http.Request) (*http.Request, *answer) {
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		f := failure(http.StatusRequestEntityTooLarge, "too_large", "a body may have %d bytes", maxBody)
		return nil, &f
	}
	if err != nil {
		f := failure(http.StatusBadRequest, "bad_request", "the body could not be read: %v", err)
		return nil, &f
	}
	r = r.WithContext(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(text))
	return r, nil
}

// decode reads the body as JSON; an empty one leaves v as it is.
func decode(r *http.Request, v any) *answer {
	err := json.NewDecoder(r.Body).Decode(v)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	f := failure(http.StatusBadRequest, "bad_request", "the body is not the JSON that is wanted here: %v", err)
	return &f
}

// number reads a query parameter between 1 and most.
func number(r *http.Request, name string, otherwise, most int) (int, *answer) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		f := failure(http.StatusBadRequest, "bad_request", "%s=%q: want a number from 1 to %d", name, text, most)
		return 0, &f
	}
	return n, nil
}
