// redsync-client is a client of redsync for tests/tests/coexistence.rs: it does what the lines of its input
// say, one after the other, with the one lock it has or had, and answers each with a line.
//
//	acquire KEY TTL_MS WAIT_MS    yes | no WHY
//	extend                        yes | no WHY    also when it has lost the lock: redsync asks Redis then, too
//	release                       yes | no WHY
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-redsync/redsync/v4"
	redsyncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

func main() {
	client := client{locks: redsync.New(pools(os.Args[1])...)}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		done, err := client.do(strings.Fields(lines.Text()))
		if done {
			fmt.Println("yes")
			continue
		}
		fmt.Println("no", strings.ReplaceAll(fmt.Sprint(err), "\n", "; "))
	}
}

type client struct {
	locks *redsync.Redsync
	mutex *redsync.Mutex
}

func (c *client) do(words []string) (bool, error) {
	switch {
	case len(words) == 4 && words[0] == "acquire":
		return c.acquire(words[1], millis(words[2]), millis(words[3]))
	case c.mutex != nil && words[0] == "extend":
		return c.mutex.Extend()
	case c.mutex != nil && words[0] == "release":
		return c.mutex.Unlock()
	}
	return false, errors.New("no such command, or no lock")
}

func (c *client) acquire(key string, ttl, wait time.Duration) (bool, error) {
	c.mutex = c.locks.NewMutex(key, redsync.WithExpiry(ttl), redsync.WithTries(math.MaxInt32))
	if wait == 0 {
		err := c.mutex.TryLock()
		return err == nil, err
	}
	waiting, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	err := c.mutex.LockContext(waiting)
	return err == nil, err
}

func pools(urls string) []redsyncredis.Pool {
	var pools []redsyncredis.Pool
	for _, url := range strings.Split(urls, ",") {
		options, err := redis.ParseURL(url)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		pools = append(pools, goredis.NewPool(redis.NewClient(options)))
	}
	return pools
}

func millis(word string) time.Duration {
	number, err := strconv.Atoi(word)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return time.Duration(number) * time.Millisecond
}
