package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// checkRedis tells whether a server answers at REDIS_URL. Nothing of a password is in the error.
func checkRedis(ctx context.Context, url string) error {
	o, err := redis.ParseURL(url)
	if err != nil {
		return errors.New("REDIS_URL can't be read: want redis://[user:password@]host:port[/db], rediss:// for TLS, or unix:///path")
	}
	logging.Disable() // the error says it
	o.MaxRetries, o.DialerRetries = -1, 1
	client := redis.NewClient(o)
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("REDIS_URL: no Redis answers at %s: %w; start it, or unset REDIS_URL and Valkey is started", o.Addr, err)
	}
	return nil
}
