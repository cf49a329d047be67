package chatapi

import (
	"fmt"
	"time"
)

const (
	sampleSessions = 25
	sampleCredits  = 1000
	defaultModel   = "small-1"
)

// session shows nothing of its messages: saving one leaves it as it was.
type session struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`

	messages []*message
}

type message struct {
	ID        string    `json:"id"`
	Session   string    `json:"session"`
	Role      string    `json:"role"`
	Content   string    `json:"content"`
	Model     string    `json:"model"`
	CreatedAt time.Time `json:"created_at"`
}

// user is one user's data; API.mu guards it.
type user struct {
	name     string
	credits  int
	sessions []*session // newest first
	created  int        // sessions ever
	sent     int        // messages ever
	log      []event    // newest first
}

type event struct {
	Action string    `json:"action"`
	Object string    `json:"object"`
	At     time.Time `json:"at"`
}

// user gives the user of that name, with sample data when first seen; a.mu is held.
func (a *API) user(name string) *user {
	if u, ok := a.users[name]; ok {
		return u
	}
	u := &user{name: name, credits: sampleCredits}
	born := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	for i := range sampleSessions {
		at := born.Add(time.Duration(i) * time.Hour)
		s := u.addSession(fmt.Sprintf("Talk %d", i+1), at)
		u.addMessage(s, "user", fmt.Sprintf("Hello, this is talk %d", i+1), defaultModel, at)
		u.addMessage(s, "assistant", "Hello! How can I help?", defaultModel, at)
	}
	u.log = nil
	a.users[name] = u
	return u
}

func (u *user) session(id string) *session {
	for _, s := range u.sessions {
		if s.ID == id {
			return s
		}
	}
	return nil
}

func (u *user) addSession(title string, at time.Time) *session {
	u.created++
	s := &session{ID: fmt.Sprintf("s%d", u.created), Title: title, CreatedAt: at, UpdatedAt: at}
	u.sessions = append([]*session{s}, u.sessions...)
	u.note("create session", s.ID, at)
	return s
}

func (u *user) addMessage(s *session, role, content, model string, at time.Time) *message {
	u.sent++
	m := &message{ID: fmt.Sprintf("m%d", u.sent), Session: s.ID, Role: role, Content: content, Model: model, CreatedAt: at}
	s.messages = append(s.messages, m)
	u.note("save message", m.ID, at)
	return m
}

// note keeps the last 50 events.
func (u *user) note(action, object string, at time.Time) {
	u.log = append([]event{{action, object, at}}, u.log[:min(len(u.log), 49)]...)
}

func (u *user) messageCount() int {
	n := 0
	for _, s := range u.sessions {
		n += len(s.messages)
	}
	return n
}
