package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/policy"
	"chatcache/redisbridge"
)

const serveUsage = `Usage: redisbridge serve [flags]

Answers the filters over HTTP/1.1 and HTTP/2 in clear text, until SIGTERM or
SIGINT; then it drains.

Flags:
  --listen ADDRESS    host:port or unix:/path (default 127.0.0.1:8470)
  --policy FILE       a policy whose rules /v1/invalidate and /v1/inspect may name, or
                      a directory with such files, NAME.json; repeatable
  --timeout DURATION  bound of a lookup, suspension or close in Redis (default 40ms)
  --replicas N        how many replicas must follow a primary for its word to be
                      taken (default 1 with Sentinels or a Cluster, otherwise 0);
                      with Sentinels half of the replicas at least, rounded down
  --trust DURATION    how long it is taken after they were last seen to follow it
                      (default 2s; the same for all bridges, and less than
                      the time after which another primary is elected)
  --breaker-failures N
                      calls in a row without an answer of Redis after which
                      lookups and stores fail at once (default 5; 0: never)
  --breaker-wait DURATION
                      how long, until one lookup is tried again (default 1s)
  --max-underway MIB  of entries that are being sent to filters, however slowly they
                      read; what would be more isn't sent (default 64; a
                      container needs about four times as much)
  --memory            keep everything in this process instead of Redis, for trying
  --drain-delay DURATION
                      go on that long after /readyz says no (default 0s); more
                      than proxies take to know: with DNS, what its servers
                      keep an answer for and Envoy's dns_refresh_rate
  --bootstrap         no proxy runs yet: a policy new to Redis starts at once
                      instead of waiting for the longest write deadline
  --token-file FILE   what filters must show, instead of CHATCACHE_BRIDGE_TOKEN: on
                      each line a token, or a name and a token; any of them is
                      accepted. It is read again when it has changed
  --admin-token-file FILE
                      likewise for administrators; the audit log has the names
  --viewer-token-file FILE
                      likewise for those who may see the status, and change nothing
  --admin-rate N      calls of administrators in a second, and as many of viewers,
                      ten times as many at once (default 100; 0: any number)
  --log-level LEVEL   debug, info, warn or error (default info; debug has a line
                      for every call, with its trace)
  --insecure          let callers in without tokens; for a demonstration: only on
                      loopback or at unix:/path

Environment:
  CHATCACHE_BRIDGE_TOKEN      what filters must show
  CHATCACHE_ADMIN_TOKEN       what administrators must show
  CHATCACHE_VIEWER_TOKEN      what may be shown to see the status only (default: nothing)
  CHATCACHE_PARTITION_SECRET  the filters' secret, to invalidate by identity
  REDIS_URL                   redis://[user:password@]host:port[/db], rediss://, unix://
  REDIS_HOST, REDIS_PORT      or one server (default 127.0.0.1:6379)
  REDIS_CLUSTER               or host:port,… of a Redis Cluster
  REDIS_SENTINELS, REDIS_SENTINEL_MASTER
                              or host:port,… of Sentinels and the primary's name
  REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD
                              where the Sentinels ask for them
  REDIS_USERNAME, REDIS_PASSWORD, REDIS_DB, REDIS_TLS
`

type serveFlags struct {
	listen                      string
	policies                    []string
	timeout, drainDelay         time.Duration
	breakerFailures, replicas   int
	maxUnderway                 int // MiB
	breakerWait, trust          time.Duration
	memory, bootstrap, insecure bool
	tokenFile, adminTokenFile   string
	viewerTokenFile             string
	adminRate                   float64
	logLevel                    slog.Level
}

func (f *serveFlags) parse(args []string, env environment) error {
	set := env.flagSet("serve", serveUsage)
	set.StringVar(&f.listen, "listen", "127.0.0.1:8470", "")
	durationFlag(set, &f.timeout, "timeout", 0)
	durationFlag(set, &f.drainDelay, "drain-delay", 0)
	f.replicas = -1
	set.Func("replicas", "", func(s string) (err error) {
		if f.replicas, err = strconv.Atoi(s); err != nil || f.replicas < 0 {
			return errors.New("want how many, from 0")
		}
		return nil
	})
	durationFlag(set, &f.trust, "trust", 0)
	set.IntVar(&f.breakerFailures, "breaker-failures", 5, "")
	durationFlag(set, &f.breakerWait, "breaker-wait", 0)
	set.IntVar(&f.maxUnderway, "max-underway", 64, "")
	set.BoolVar(&f.memory, "memory", false, "")
	set.BoolVar(&f.bootstrap, "bootstrap", false, "")
	set.BoolVar(&f.insecure, "insecure", false, "")
	set.StringVar(&f.tokenFile, "token-file", "", "")
	set.StringVar(&f.adminTokenFile, "admin-token-file", "", "")
	set.StringVar(&f.viewerTokenFile, "viewer-token-file", "", "")
	set.Float64Var(&f.adminRate, "admin-rate", 100, "")
	set.Func("log-level", "", func(s string) error {
		if f.logLevel.UnmarshalText([]byte(s)) != nil {
			return errors.New("want debug, info, warn or error")
		}
		return nil
	})
	set.Func("policy", "", func(file string) error {
		f.policies = append(f.policies, file)
		return nil
	})
	if err := env.parse(set, args); err != nil {
		return err
	}
	return env.checked(set, f.check())
}

// maxAdminRate is the most that --admin-rate takes: ten times as much, the burst, is still a number of calls.
const maxAdminRate = 1e6

const (
	maxServeTime = 24 * time.Hour // a read of the feed may take several times --timeout
	maxUnderway  = 1 << 20        // MiB
)

// check tells what is wrong with the flags.
func (f *serveFlags) check() string {
	for _, one := range []struct {
		name  string
		value time.Duration
	}{{"timeout", f.timeout}, {"trust", f.trust}, {"breaker-wait", f.breakerWait}, {"drain-delay", f.drainDelay}} {
		if one.value < 0 || one.value > maxServeTime {
			return fmt.Sprintf("--%s is %v, want a duration from 0 to %v", one.name, one.value, maxServeTime)
		}
	}
	if f.maxUnderway < 1 || f.maxUnderway > maxUnderway {
		return fmt.Sprintf("--max-underway is %d, want from 1 to %d MiB", f.maxUnderway, maxUnderway)
	}
	if !(f.adminRate >= 0) || f.adminRate > maxAdminRate {
		return fmt.Sprintf("--admin-rate is %v, want a number from 0 (any number of calls) to %v", f.adminRate, float64(maxAdminRate))
	}
	return ""
}

func serve(ctx context.Context, args []string, env environment) int {
	var f serveFlags
	if err := f.parse(args, env); err != nil {
		return usageCode(err)
	}
	log := slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: f.logLevel}))
	redis.SetLogger(redisLog{log})
	options, stop, err := serveOptions(f, env, log)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	defer stop()
	bridge, err := redisbridge.New(options)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	defer bridge.Close()
	listener, err := redisbridge.Listen(f.listen)
	if err != nil {
		return env.fail(exitNo, fmt.Errorf("listening on %s: %w; choose another with --listen", f.listen, err))
	}
	if err := checkOpen(options, listener.Addr()); err != nil {
		return env.fail(exitUsage, errors.Join(err, listener.Close()))
	}
	log.Info("serving", "listen", f.listen, "memory", f.memory, "bootstrap", f.bootstrap, "policies", len(options.Policies))
	if r := bridge.Status(ctx).Redis; !r.OK {
		log.Warn("Redis doesn't answer: until it does, everything goes to the origin", "address", strings.Join(options.Redis.Addrs, ","), "error", r.Error)
	}
	if err := bridge.Serve(ctx, listener); err != nil {
		return env.fail(exitNo, err)
	}
	log.Info("drained")
	return exitOK
}

// checkOpen refuses to let everybody in who isn't on this machine.
func checkOpen(o redisbridge.Options, at net.Addr) error {
	var open []string
	if o.Token+o.TokenFile == "" {
		open = append(open, "CHATCACHE_BRIDGE_TOKEN (or --token-file)")
	}
	if o.AdminToken+o.AdminTokenFile == "" {
		open = append(open, "CHATCACHE_ADMIN_TOKEN (or --admin-token-file)")
	}
	tcp, isTCP := at.(*net.TCPAddr)
	if len(open) == 0 || !isTCP || tcp.IP.IsLoopback() {
		return nil
	}
	return fmt.Errorf("--insecure at %v would let everybody in who reaches it: set %s, or --listen on loopback or at unix:/path", at, strings.Join(open, " and "))
}

// serveOptions puts flags and environment together; stop ends the Redis in
// memory, if there is one.
func serveOptions(f serveFlags, env environment, log *slog.Logger) (o redisbridge.Options, stop func(), err error) {
	stop = func() {}
	documents, err := readPolicies(f.policies)
	if err != nil {
		return o, stop, err
	}
	if f.memory {
		o, stop, err = redisbridge.Memory()
	} else {
		var warnings []string
		o.Redis, warnings, err = redisbridge.RedisFromEnv(env.getenv)
		for _, w := range warnings {
			log.Warn(w)
		}
	}
	if err != nil {
		return o, func() {}, err
	}
	o.Log, o.Policies = log, documents
	o.DrainDelay, o.MaxUnderway = f.drainDelay, int64(f.maxUnderway)<<20
	o.Replicas, o.Trust = f.replicas, f.trust
	if f.replicas < 0 {
		o.Replicas = redisbridge.DefaultReplicas(o.Redis)
	}
	o.BreakerFailures, o.BreakerWait = f.breakerFailures, f.breakerWait
	if f.breakerFailures <= 0 {
		o.BreakerFailures = -1
	}
	o.Bootstrap, o.Insecure = f.bootstrap, f.insecure
	if f.timeout > 0 {
		o.Timeout = f.timeout
	}
	o.TokenFile, o.AdminTokenFile, o.ViewerTokenFile = f.tokenFile, f.adminTokenFile, f.viewerTokenFile
	if f.tokenFile == "" {
		o.Token = env.getenv("CHATCACHE_BRIDGE_TOKEN")
	}
	if f.adminTokenFile == "" {
		o.AdminToken = env.getenv("CHATCACHE_ADMIN_TOKEN")
	}
	if f.viewerTokenFile == "" {
		o.ViewerToken = env.getenv("CHATCACHE_VIEWER_TOKEN")
	}
	if o.AdminRate = f.adminRate; f.adminRate <= 0 {
		o.AdminRate = -1
	}
	o.PartitionSecret = env.getenv("CHATCACHE_PARTITION_SECRET")
	return o, stop, nil
}

// readPolicies reads the policies of files and directories, each policy once.
func readPolicies(names []string) (documents []*policy.Policy, err error) {
	files, err := policyFiles(names)
	for i := 0; i < len(files) && err == nil; i++ {
		b, err := os.ReadFile(files[i])
		if err != nil {
			return nil, err
		}
		document, problems := policy.Parse(b)
		if len(problems) > 0 {
			return nil, fmt.Errorf("%s: %w", files[i], problems)
		}
		if j := slices.IndexFunc(documents, func(d *policy.Policy) bool { return d.Name == document.Name }); j >= 0 {
			return nil, fmt.Errorf("--policy %s and %s: both are policy %q, want each once", files[j], files[i], document.Name)
		}
		documents = append(documents, document)
	}
	return documents, err
}

// policyFiles lists the files that names are, or that end with .json in directories by these names.
func policyFiles(names []string) (files []string, err error) {
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			files = append(files, name) // reading it says what is wrong
			continue
		}
		list, err := os.ReadDir(name)
		if err != nil {
			return nil, err
		}
		for _, file := range list {
			if filepath.Ext(file.Name()) == ".json" {
				files = append(files, filepath.Join(name, file.Name()))
			}
		}
	}
	return files, nil
}

// errUsage says that the flags were refused and that it has been reported.
var errUsage = errors.New("usage")

func (e environment) flagSet(name, usage string) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard) // misused tells errors
	set.Usage = func() { fmt.Fprint(e.stdout, usage) }
	return set
}

// durationFlag is a flag of a duration whose error says what is wanted.
func durationFlag(set *flag.FlagSet, d *time.Duration, name string, standard time.Duration) {
	*d = standard
	set.Func(name, "", func(s string) error {
		value, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("want a duration with its unit, as 10s or 50ms")
		}
		*d = value
		return nil
	})
}

// parse reads the flags; there are no other arguments.
func (e environment) parse(set *flag.FlagSet, args []string) error {
	words, err := e.parseWords(set, args)
	if err == nil && len(words) > 0 {
		err = e.misused(set, fmt.Sprintf("unexpected argument %q", words[0]))
	}
	return err
}

// parseOne reads the flags and one argument.
func (e environment) parseOne(set *flag.FlagSet, args []string, what string) (string, error) {
	words, err := e.parseWords(set, args)
	if err == nil && len(words) != 1 {
		err = e.misused(set, fmt.Sprintf("found %d arguments, want a %s", len(words), what))
	}
	if err != nil {
		return "", err
	}
	return words[0], nil
}

// parseWords reads the flags, and the other arguments among them.
func (e environment) parseWords(set *flag.FlagSet, args []string) (words []string, err error) {
	help := set.Usage
	set.Usage = func() {} // not at an error
	for {
		switch err := set.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			help()
			return nil, err
		case err != nil:
			return nil, e.misused(set, wanted(err))
		case set.NArg() == 0:
			return words, nil
		}
		words, args = append(words, set.Arg(0)), set.Args()[1:]
	}
}

// wanted is the text of a flag's error, with what is wanted where package flag says no more than that it can't read it.
func wanted(err error) string {
	text, unread := strings.CutSuffix(err.Error(), ": parse error")
	switch {
	case !unread:
		return text
	case strings.HasPrefix(text, "invalid boolean value"):
		return text + ": want true or false"
	}
	return text + ": want a number"
}

// checked is the error of what is wrong with the arguments, nil where that is nothing.
func (e environment) checked(set *flag.FlagSet, problem string) error {
	if problem == "" {
		return nil
	}
	return e.misused(set, problem)
}

// misused says what is wrong with the arguments, and where to find what is right.
func (e environment) misused(set *flag.FlagSet, problem string) error {
	fmt.Fprintf(e.stderr, "redisbridge: %s\n\"redisbridge %s -h\" tells the flags.\n", problem, set.Name())
	return errUsage
}

func usageCode(err error) int {
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	return exitUsage
}
