// redsync-load is the load of holdfast-bench for redsync: the same loop, flags and lines as in
// src/load.rs, in the language of the client.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

const (
	ttl        = 10 * time.Second
	afterError = 5 * time.Millisecond
)

// The phases of a slice; each follows the one before.
const (
	warming = iota
	measured
	over
)

type tally struct {
	cycles, errors int
	firstError     error
	acquires       []time.Duration
	handovers      []time.Duration
}

type stage struct {
	phase     atomic.Int32
	began     time.Time
	inside    atomic.Int32
	overlaps  atomic.Int64
	givenBack atomic.Int64
}

func main() {
	work := flag.String("work", "own", "own or contended")
	workers := flag.Int("workers", 1, "how many work at the same time")
	addresses := flag.String("addresses", "", "redis://host:port, separated by commas")
	warmSeconds := flag.Float64("warm-seconds", 0, "before it is measured")
	seconds := flag.Float64("seconds", 1, "how long it is measured")
	flag.Parse()

	contended := *work == "contended"
	if !contended && *work != "own" {
		fail(fmt.Errorf("no such work: %s", *work))
	}
	locks := redsync.New(pools(*addresses, *workers)...)
	stage := &stage{began: time.Now()}
	tallies := make([]tally, *workers)
	var running sync.WaitGroup
	for index := range tallies {
		own := fmt.Sprint(index)
		if contended {
			own = "all"
		}
		name := fmt.Sprintf("redsync-%d-%s", os.Getpid(), own)
		running.Add(1)
		go func() {
			defer running.Done()
			stage.work(locks, name, contended, &tallies[index])
		}()
	}

	time.Sleep(span(*warmSeconds))
	fmt.Println("measuring")
	began := time.Now()
	stage.phase.Store(measured)
	time.Sleep(span(*seconds))
	stage.phase.Store(over)
	lasted := time.Since(began)
	fmt.Println("measured")
	// The CPU time of a process that is gone cannot be read.
	time.Sleep(200 * time.Millisecond)
	running.Wait()
	if overlaps := stage.overlaps.Load(); overlaps > 0 {
		fail(fmt.Errorf("%d times two workers had the same lock", overlaps))
	}
	report(tallies, lasted)
}

// pools has a connection a worker to each master: the client has no multiplexed ones.
func pools(addresses string, workers int) []redsyncredis.Pool {
	var pools []redsyncredis.Pool
	for _, address := range strings.Split(addresses, ",") {
		options, err := redis.ParseURL(address)
		if err != nil {
			fail(err)
		}
		options.PoolSize = workers
		pools = append(pools, goredis.NewPool(redis.NewClient(options)))
	}
	return pools
}

func (s *stage) work(locks *redsync.Redsync, name string, contended bool, tally *tally) {
	for s.phase.Load() != over {
		if err := s.cycle(locks, name, contended, tally); err != nil {
			tally.errors++
			if tally.firstError == nil {
				tally.firstError = err
			}
			time.Sleep(afterError)
		}
	}
}

func (s *stage) cycle(locks *redsync.Redsync, name string, contended bool, tally *tally) error {
	asked := time.Now()
	mutex := locks.NewMutex(name, redsync.WithExpiry(ttl), redsync.WithTries(math.MaxInt32))
	if err := mutex.Lock(); err != nil {
		return err
	}
	waited := time.Since(asked)
	var handover time.Duration
	if contended {
		handover = s.pass()
	}
	if s.phase.Load() == measured {
		tally.acquires = append(tally.acquires, waited)
		if handover > 0 {
			tally.handovers = append(tally.handovers, handover)
		}
	}
	if _, err := mutex.Unlock(); err != nil {
		return err
	}
	if s.phase.Load() == measured {
		tally.cycles++
	}
	return nil
}

// pass is called by who has the one lock and is about to give it back; for how long nobody had it.
func (s *stage) pass() time.Duration {
	if s.inside.Add(1) > 1 {
		s.overlaps.Add(1)
	}
	now := time.Since(s.began)
	freeSince := time.Duration(s.givenBack.Swap(0))
	s.inside.Add(-1)
	s.givenBack.Store(int64(time.Since(s.began)))
	if freeSince == 0 {
		return 0
	}
	return now - freeSince
}

func report(tallies []tally, lasted time.Duration) {
	var acquires, handovers []time.Duration
	cycles, errors, least, most := 0, 0, math.MaxInt, 0
	for _, tally := range tallies {
		cycles += tally.cycles
		errors += tally.errors
		least, most = min(least, tally.cycles), max(most, tally.cycles)
		acquires = append(acquires, tally.acquires...)
		handovers = append(handovers, tally.handovers...)
		if tally.firstError != nil {
			fmt.Fprintf(os.Stderr, "%d errors, the first: %v\n", tally.errors, tally.firstError)
		}
	}
	if cycles == 0 {
		fail(fmt.Errorf("no cycle in %v", lasted))
	}
	figures := map[string]float64{
		"cycles":       float64(cycles),
		"cycles_per_s": float64(cycles) / lasted.Seconds(),
		"errors":       float64(errors),
		"least_served": float64(least),
		"most_served":  float64(most),
	}
	quantiles(figures, "acquire", acquires)
	quantiles(figures, "handover", handovers)
	line, err := json.Marshal(figures)
	if err != nil {
		fail(err)
	}
	fmt.Println(string(line))
}

func quantiles(figures map[string]float64, name string, latencies []time.Duration) {
	if len(latencies) == 0 {
		return
	}
	slices.Sort(latencies)
	for quantile, share := range map[string]float64{"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1} {
		rank := int(math.Ceil(float64(len(latencies)) * share))
		figures[fmt.Sprintf("%s_%s_us", name, quantile)] = float64(latencies[rank-1].Nanoseconds()) / 1000
	}
}

func span(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
