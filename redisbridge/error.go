package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// The reasons why a call is refused. Each owns the status of the HTTP answer.
var (
	// ErrRequest: the request can't be understood or breaks a limit. Repeating it is useless.
	ErrRequest = errors.New("bad request")
	// ErrUnauthorized: the token is missing or wrong.
	ErrUnauthorized = errors.New("unauthorized")
	// ErrNotFound: no such call, policy, cache or rule.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: the body is longer than its call allows.
	ErrTooLarge = errors.New("too large")
	// ErrUpload: what comes before a piece isn't there, or not all that a commit is of: Redis has lost it, its
	// time is over, or the call was made before. The entry isn't stored by this call.
	ErrUpload = errors.New("upload isn't whole")
	// ErrTooMany: a bound on open suspensions, VMs or policies is reached.
	ErrTooMany = errors.New("too many")
	// ErrRate: administrators make too many calls in a second. Later it may be done.
	ErrRate = errors.New("too many calls")
	// ErrSite: a browser made the call for the page of another site.
	ErrSite = errors.New("refused: the call comes from another site's page")
	// ErrRedis: Redis can't be reached, is too slow, or refused. Nothing may be
	// concluded; a write may have happened.
	ErrRedis = errors.New("redis")
)

// statusOf gives the HTTP status of an error.
func statusOf(err error) int {
	switch {
	case errors.Is(err, ErrUnauthorized):
		return http.StatusUnauthorized
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrSite):
		return http.StatusForbidden
	case errors.Is(err, ErrRate):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrUpload):
		return http.StatusConflict
	case errors.Is(err, ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrRequest), errors.Is(err, wire.ErrFrame), errors.Is(err, wire.ErrEntry):
		return http.StatusBadRequest
	case errors.Is(err, ErrTooMany), errors.Is(err, ErrRedis), errors.Is(err, errNotReady):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// redisError puts an error of go-redis into words: what happened, and where it
// helps, what to do.
func redisError(err error) error {
	switch {
	case err == nil:
		return nil
	case redis.HasErrorPrefix(err, "TOOMANY"):
		return fmt.Errorf("%w%s", ErrTooMany, err.Error()[len("TOOMANY"):])
	case redis.HasErrorPrefix(err, "OOM"):
		return fmt.Errorf("%w is out of memory and stores nothing (raise maxmemory, or set a volatile-* policy): %w", ErrRedis, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w did not answer in time: %w", ErrRedis, err)
	}
	return fmt.Errorf("%w: %w", ErrRedis, err)
}

// executed runs a pipeline of reads. That a key or a field isn't there is an answer, and Exec's error if it comes first: another command
// may have failed all the same. The error matches ErrRedis.
func executed(ctx context.Context, pipe redis.Pipeliner) error {
	commands, err := pipe.Exec(ctx)
	for _, c := range commands {
		if c.Err() != nil && c.Err() != redis.Nil {
			return redisError(c.Err())
		}
	}
	if err == redis.Nil {
		return nil
	}
	return redisError(err)
}

// outcomeOf tells the circuit breaker whether Redis answered a call.
func outcomeOf(err error) outcome {
	_, replied := errors.AsType[redis.Error](err)
	switch {
	case err == nil, replied, errors.Is(err, ErrTooMany):
		return outcomeAnswered
	case errors.Is(err, context.Canceled):
		return outcomeUnknown
	}
	return outcomeFailed
}
