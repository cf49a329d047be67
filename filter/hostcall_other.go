//go:build !wasip1

package main

import (
	"time"

	"chatcache/filter/internal/httpcache"
)

// The filter runs in a proxy only; this is for tools that read the package on other systems.

func headerMap(int32) (httpcache.Pairs, bool) { return nil, false }

func callStatus() string { return "" }

func buffer(int32, int) ([]byte, bool) { return nil, false }

func property([]byte) ([]byte, bool) { return nil, false }

func localReply(uint32, httpcache.Pairs, []byte) bool { return false }

func describe([]byte) {}

func incrementMetric(uint32, int64) {}

func recordMetric(uint32, int64) {}

var started = time.Now()

func now() int64 { return int64(time.Since(started)) }

func unix() int64 { return time.Now().Unix() }
