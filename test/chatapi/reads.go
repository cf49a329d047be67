package chatapi

import (
	"cmp"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
)

func (a *API) stats(u *user, _ *http.Request) answer {
	return answer{http.StatusOK, struct {
		User     string `json:"user"`
		Sessions int    `json:"sessions"`
		Messages int    `json:"messages"`
		Credits  int    `json:"credits"`
	}{u.name, len(u.sessions), u.messageCount(), u.credits}}
}

type match struct {
	Session string `json:"session"`
	Title   string `json:"title"`
	Message string `json:"message"`
	Text    string `json:"text"`
}

// search finds messages by content, 20 at most, and says in which session.
func (a *API) search(u *user, r *http.Request) answer {
	q := strings.ToLower(r.URL.Query().Get("q"))
	if q == "" {
		return failure(http.StatusBadRequest, "bad_request", "q is missing: what is looked for")
	}
	found := []match{}
	for _, s := range u.sessions {
		for _, m := range s.messages {
			if strings.Contains(strings.ToLower(m.Content), q) {
				found = append(found, match{s.ID, s.Title, m.ID, m.Content})
			}
		}
	}
	return answer{http.StatusOK, struct {
		User    string  `json:"user"`
		Query   string  `json:"q"`
		Total   int     `json:"total"`
		Matches []match `json:"matches"`
	}{u.name, q, len(found), found[:min(20, len(found))]}}
}

func (a *API) listSessions(u *user, r *http.Request) answer {
	page, bad := number(r, "page", 1, 1_000_000)
	if bad != nil {
		return *bad
	}
	limit, bad := number(r, "limit", 10, 100)
	if bad != nil {
		return *bad
	}
	from := min((page-1)*limit, len(u.sessions))
	to := min(from+limit, len(u.sessions))
	return answer{http.StatusOK, struct {
		User     string     `json:"user"`
		Page     int        `json:"page"`
		Limit    int        `json:"limit"`
		Total    int        `json:"total"`
		Sessions []*session `json:"sessions"`
	}{u.name, page, limit, len(u.sessions), copied(u.sessions[from:to])}}
}

func (a *API) getSession(u *user, r *http.Request) answer {
	s := u.session(r.PathValue("session"))
	if s == nil {
		return notFound("session", r.PathValue("session"))
	}
	return answer{http.StatusOK, *s}
}

func (a *API) listMessages(u *user, r *http.Request) answer {
	s := u.session(r.PathValue("session"))
	if s == nil {
		return notFound("session", r.PathValue("session"))
	}
	return answer{http.StatusOK, struct {
		Session  string     `json:"session"`
		Total    int        `json:"total"`
		Messages []*message `json:"messages"`
	}{s.ID, len(s.messages), copied(s.messages)}}
}

func (a *API) me(u *user, _ *http.Request) answer {
	return answer{http.StatusOK, struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Credits int    `json:"credits"`
	}{"u-" + u.name, u.name, u.credits}}
}

func (a *API) activity(u *user, _ *http.Request) answer {
	return answer{http.StatusOK, struct {
		User   string  `json:"user"`
		Events []event `json:"events"`
	}{u.name, append([]event{}, u.log...)}}
}

// initialize gives the feature flags of a user on a client; it changes nothing.
func (a *API) initialize(u *user, r *http.Request) answer {
	var client map[string]any
	if bad := decode(r, &client); bad != nil {
		return *bad
	}
	return answer{http.StatusOK, struct {
		User   string          `json:"user"`
		Client map[string]any  `json:"client"`
		Flags  map[string]bool `json:"flags"`
	}{u.name, client, map[string]bool{
		"voice": bucket(u.name, "voice") < 50, "canvas": bucket(u.name, "canvas") < 20,
	}}}
}

// bucket puts a user into one of a hundred buckets, by feature.
func bucket(user, feature string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(feature + "\x00" + user))
	return h.Sum32() % 100
}

type model struct {
	ID      string `json:"id"`
	Context int    `json:"context"`
}

var models = []model{{"small-1", 32_000}, {"large-1", 200_000}, {"code-1", 128_000}}

func (a *API) models(*http.Request) answer {
	return answer{http.StatusOK, map[string][]model{"models": models}}
}

type rank struct {
	Model    string `json:"model"`
	Messages int    `json:"messages"`
}

// rankings orders the models by the messages that all users sent with them.
func (a *API) rankings(*http.Request) answer {
	ranks := make([]rank, len(models))
	for i, m := range models {
		ranks[i] = rank{m.ID, a.usage[m.ID]}
	}
	slices.SortStableFunc(ranks, func(x, y rank) int { return cmp.Compare(y.Messages, x.Messages) })
	return answer{http.StatusOK, map[string][]rank{"rankings": ranks}}
}

// copied gives values that don't change once the data is unlocked.
func copied[T any](list []*T) []*T {
	out := make([]*T, len(list))
	for i, v := range list {
		c := *v
		out[i] = &c
	}
	return out
}
