package chatapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func (a *API) createSession(u *user, r *http.Request) answer {
	in := struct {
		Title string `json:"title"`
	}{"New talk"}
	if bad := decode(r, &in); bad != nil {
		return *bad
	}
	return answer{http.StatusCreated, *u.addSession(in.Title, a.options.Now().UTC())}
}

// updateSession serves PUT and PATCH: a session has one thing to change.
func (a *API) updateSession(u *user, r *http.Request) answer {
	s := u.session(r.PathValue("session"))
	if s == nil {
		return notFound("session", r.PathValue("session"))
	}
	var in struct {
		Title *string `json:"title"`
	}
	if bad := decode(r, &in); bad != nil {
		return *bad
	}
	if in.Title == nil {
		return failure(http.StatusUnprocessableEntity, "invalid", "title is missing")
	}
	s.Title, s.UpdatedAt = *in.Title, a.options.Now().UTC()
	u.note("update session", s.ID, s.UpdatedAt)
	return answer{http.StatusOK, *s}
}

func (a *API) deleteSession(u *user, r *http.Request) answer {
	s := u.session(r.PathValue("session"))
	if s == nil {
		return notFound("session", r.PathValue("session"))
	}
	u.sessions = slices.DeleteFunc(u.sessions, func(other *session) bool { return other == s })
	u.note("delete session", s.ID, a.options.Now().UTC())
	return answer{http.StatusNoContent, nil}
}

func (a *API) deleteMessage(u *user, r *http.Request) answer {
	s := u.session(r.PathValue("session"))
	if s == nil {
		return notFound("session", r.PathValue("session"))
	}
	id := r.PathValue("message")
	kept := slices.DeleteFunc(slices.Clone(s.messages), func(m *message) bool { return m.ID == id })
	if len(kept) == len(s.messages) {
		return notFound("message", id)
	}
	s.messages = kept
	u.note("delete message", id, a.options.Now().UTC())
	return answer{http.StatusNoContent, nil}
}

// draft is a message as a client sends it.
type draft struct {
	Content string `json:"content"`
	Model   string `json:"model"`
	Stream  bool   `json:"stream"`
}

// createMessage saves a message and takes a credit, at once or, for a streamed
// answer, at the stream's end.
func (a *API) createMessage(w http.ResponseWriter, r *http.Request) {
	in := draft{Model: defaultModel}
	got := a.asUser(r, func(u *user, r *http.Request) answer {
		if bad := checkDraft(u, r, &in); bad != nil {
			return *bad
		}
		if in.Stream {
			return answer{}
		}
		return a.commitMessage(u, r.PathValue("session"), in)
	})
	if got.status == 0 {
		a.streamMessage(w, r, in)
		return
	}
	respond(w, got.status, got.body)
}

func checkDraft(u *user, r *http.Request, in *draft) *answer {
	if u.session(r.PathValue("session")) == nil {
		f := notFound("session", r.PathValue("session"))
		return &f
	}
	if bad := decode(r, in); bad != nil {
		return bad
	}
	var f answer
	switch {
	case in.Content == "":
		f = failure(http.StatusUnprocessableEntity, "invalid", "content is missing")
	case !slices.ContainsFunc(models, func(m model) bool { return m.ID == in.Model }):
		f = failure(http.StatusUnprocessableEntity, "invalid", "there is no model %q, see /api/models", in.Model)
	case u.credits == 0:
		f = failure(http.StatusPaymentRequired, "no_credits", "no credits are left")
	default:
		return nil
	}
	return &f
}

// commitMessage saves the message; a.mu is held.
func (a *API) commitMessage(u *user, session string, in draft) answer {
	s := u.session(session)
	if s == nil {
		return notFound("session", session)
	}
	u.credits--
	a.usage[in.Model]++
	return answer{http.StatusCreated, *u.addMessage(s, "user", in.Content, in.Model, a.options.Now().UTC())}
}

// streamMessage answers word by word as server-sent events, commits, and says
// what was saved. A stream that breaks off saves nothing.
func (a *API) streamMessage(w http.ResponseWriter, r *http.Request, in draft) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	out := http.NewResponseController(w)
	words := strings.Fields("You said: " + in.Content)
	for i, word := range words {
		if a.options.BeforeChunk(r.Context(), i) != nil || writeEvent(w, map[string]string{"delta": word + " "}) != nil || out.Flush() != nil {
			panic(http.ErrAbortHandler) // net/http's way to break an answer off
		}
	}
	if a.options.BeforeChunk(r.Context(), len(words)) != nil {
		panic(http.ErrAbortHandler)
	}
	token, _ := bearer(r)
	a.mu.Lock()
	saved := a.commitMessage(a.user(token), r.PathValue("session"), in)
	a.mu.Unlock()
	writeEvent(w, saved.body)
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func writeEvent(w http.ResponseWriter, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "data: %s\n\n", text)
	return err
}
