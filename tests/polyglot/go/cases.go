package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "holdfast-tests/polyglot/holdfastv1"
)

type client struct {
	locks    pb.LockServiceClient
	admin    pb.AdminServiceClient
	resource string
}

var cases = map[string]func(*client, context.Context, with) seen{
	"try":             (*client).try,
	"contended":       (*client).contended,
	"wait":            (*client).wait,
	"wait_in_vain":    (*client).waitInVain,
	"deadline":        (*client).deadline,
	"retry":           (*client).retry,
	"superseded":      (*client).superseded,
	"extend":          (*client).extend,
	"lost":            (*client).lost,
	"release":         (*client).release,
	"keep_alive":      (*client).keepAlive,
	"hold":            (*client).hold,
	"hold_contended":  (*client).holdContended,
	"hold_lost":       (*client).holdLost,
	"hold_silent":     (*client).holdSilent,
	"hold_cancelled":  (*client).holdCancelled,
	"hold_reattached": (*client).holdReattached,
	"watch":           (*client).watch,
	"watch_resumed":   (*client).watchResumed,
	"bad_fields":      (*client).badFields,
	"no_quorum":       (*client).noQuorum,
	"token":           (*client).token,
}

func (c *client) holder(name string) *Holder { return newHolder(c.locks, c.resource, name) }

// taken is a holder who has the resource.
func (c *client) taken(ctx context.Context, name string, ttl ms) *Holder {
	holder := c.holder(name)
	must(holder.acquire(ctx, holder.request(ttl, 0)))
	return holder
}

func (c *client) try(ctx context.Context, with with) seen {
	me := c.holder("me")
	sent := now()
	answer := must(me.acquire(ctx, me.request(with.TTL, 0)))
	lease := answer.GetLease()
	return seen{
		"outcome":        outcome(answer),
		"asked_lease_id": me.leaseID,
		"lease_id":       lease.LeaseId,
		"token":          decimal(lease.FencingToken),
		"ttl_ms":         lease.Ttl.AsDuration().Milliseconds(),
		"votes":          lease.Votes,
		"masters":        lease.Masters,
		"reliable_ms":    (deadline(sent, lease) - now()).Milliseconds(),
	}
}

func (c *client) contended(ctx context.Context, with with) seen {
	first, second := c.holder("first"), c.holder("second")
	request := first.request(with.TTL, 0)
	request.Metadata = with.Metadata
	must(first.acquire(ctx, request))
	answer := must(second.acquire(ctx, second.request(with.TTL, 0)))
	held := answer.GetHeld()
	return seen{
		"outcome":       outcome(answer),
		"holders_token": decimal(first.token),
		"holder":        held.Holder,
		"metadata":      all(held.Metadata),
		"token":         decimal(held.FencingToken),
		"remaining_ms":  held.Remaining.AsDuration().Milliseconds(),
		"waiters":       held.Waiters,
	}
}

func (c *client) wait(ctx context.Context, with with) seen {
	first, second := c.taken(ctx, "first", with.TTL), c.holder("second")
	waiting := background(func() (*pb.AcquireResponse, error) {
		return second.acquire(ctx, second.request(with.TTL, with.Wait))
	})
	waiters := must(c.untilWaiting(ctx))
	must(first.release(ctx))
	answer := must(waiting())
	return seen{
		"waiters":     waiters,
		"outcome":     outcome(answer),
		"first_token": decimal(first.token),
		"token":       decimal(second.token),
	}
}

func (c *client) waitInVain(ctx context.Context, with with) seen {
	c.taken(ctx, "first", with.TTL)
	second := c.holder("second")
	answer := must(second.acquire(ctx, second.request(with.TTL, with.Wait)))
	return seen{"outcome": outcome(answer), "holder": answer.GetHeld().GetHolder()}
}

func (c *client) deadline(ctx context.Context, with with) seen {
	short, cancel := context.WithTimeout(ctx, with.Deadline.time())
	defer cancel()
	return c.waitInVain(short, with)
}

func (c *client) retry(ctx context.Context, with with) seen {
	me := c.holder("me")
	first := must(me.acquire(ctx, me.request(with.TTL, 0)))
	firstToken := me.token
	second := must(me.acquire(ctx, me.request(with.TTL, 0)))
	return seen{
		"outcomes":    []string{outcome(first), outcome(second)},
		"first_token": decimal(firstToken),
		"token":       decimal(me.token),
		"release":     must(me.release(ctx)),
	}
}

func (c *client) superseded(ctx context.Context, with with) seen {
	first, second := c.taken(ctx, "first", with.TTL), c.holder("second")
	var trailer metadata.MD
	older := background(func() (*pb.AcquireResponse, error) {
		return second.acquire(ctx, second.request(with.TTL, with.Wait), grpc.Trailer(&trailer))
	})
	must(c.untilWaiting(ctx))
	newer := background(func() (*pb.AcquireResponse, error) {
		return second.acquire(ctx, second.request(with.TTL, with.Wait))
	})
	err := failure(older())
	must(first.release(ctx))
	return seen{"older": errorOf(err, trailer), "newer": outcome(must(newer()))}
}

func (c *client) extend(ctx context.Context, with with) seen {
	me, other := c.taken(ctx, "me", with.TTL), c.holder("other")
	renewal := me.renewal(with.LongerTTL)
	renewal.Metadata = with.Metadata
	lease := must(me.extend(ctx, renewal))
	held := must(other.acquire(ctx, other.request(with.TTL, 0))).GetHeld()
	clearing := me.renewal(with.LongerTTL)
	clearing.ClearMetadata = true
	must(me.extend(ctx, clearing))
	heldAgain := must(other.acquire(ctx, other.request(with.TTL, 0))).GetHeld()
	return seen{
		"first_token": decimal(me.token),
		"token":       decimal(lease.FencingToken),
		"ttl_ms":      lease.Ttl.AsDuration().Milliseconds(),
		"metadata":    all(held.GetMetadata()),
		"cleared":     all(heldAgain.GetMetadata()),
	}
}

func (c *client) lost(ctx context.Context, with with) seen {
	me, other := c.holder("me"), c.holder("other")
	sent := now()
	lease := must(me.acquire(ctx, me.request(with.TTL, 0))).GetLease()
	time.Sleep(deadline(sent, lease) - with.Notice.time() - now())
	atNotice := must(me.standing(ctx, me.token))
	must(other.acquire(ctx, other.request(30_000, with.Wait)))
	var trailer metadata.MD
	return seen{
		"at_notice":   atNotice.Standing.String(),
		"first_token": decimal(me.token),
		"token":       decimal(other.token),
		"afterwards":  must(me.standing(ctx, me.token)).Standing.String(),
		"extend":      errorOf(failure(me.extend(ctx, me.renewal(with.TTL), grpc.Trailer(&trailer))), trailer),
	}
}

func (c *client) release(ctx context.Context, with with) seen {
	me, other := c.taken(ctx, "me", with.TTL), c.holder("other")
	others, own, again := must(other.release(ctx)), must(me.release(ctx)), must(me.release(ctx))
	unsure := c.taken(ctx, "unsure", with.TTL)
	unsure.token = 0 // as if the answer had not come
	return seen{"others": others, "own": own, "again": again, "without_token": must(unsure.release(ctx))}
}

func (c *client) keepAlive(ctx context.Context, with with) seen {
	holders := make([]*Holder, with.Leases)
	for number := range holders {
		holders[number] = newHolder(c.locks, fmt.Sprintf("%s/%d", c.resource, number), "me")
		must(holders[number].acquire(ctx, holders[number].request(with.TTL, 0)))
	}
	stream := must(c.locks.KeepAlive(ctx))
	renewAll := func() (answers []*pb.KeepAliveResponse) {
		for sequence, holder := range holders {
			check(stream.Send(&pb.KeepAliveRequest{Sequence: uint64(sequence), Extend: holder.renewal(with.TTL)}))
		}
		for range holders {
			answers = append(answers, must(stream.Recv()))
		}
		return answers
	}
	renewed, own := 0, 0
	for _, answer := range renewAll() {
		if lease := answer.GetLease(); lease != nil {
			renewed++
			if lease.FencingToken == holders[answer.Sequence].token {
				own++
			}
		}
	}
	must(holders[with.Leases-1].release(ctx))
	renewedAgain, lost := 0, []string{}
	for _, answer := range renewAll() {
		switch result := answer.Result.(type) {
		case *pb.KeepAliveResponse_Lease:
			renewedAgain++
		case *pb.KeepAliveResponse_Lost:
			lost = append(lost, result.Lost.Reason.String())
		}
	}
	check(stream.Send(&pb.KeepAliveRequest{Extend: &pb.ExtendRequest{LeaseId: "x", FencingToken: 1}}))
	failed := must(stream.Recv()).GetError()
	return seen{
		"renewed":           renewed,
		"with_their_tokens": own,
		"renewed_again":     renewedAgain,
		"lost":              lost,
		"error":             seen{"code": code.Code(failed.GetCode()).String(), "reason": failed.GetReason()},
	}
}

func (c *client) hold(ctx context.Context, with with) seen {
	first, second := c.taken(ctx, "first", with.TTL), c.holder("second")
	hold := must(second.hold(ctx, &pb.HoldStart{Acquire: second.request(with.TTL, with.Wait)}))
	queued := must(expect[*pb.HoldResponse_Queued](hold)).GetQueued()
	must(first.release(ctx))
	granted := must(expect[*pb.HoldResponse_Granted](hold)).GetGranted()
	renewed, reliable := []uint64{}, time.Duration(0)
	for sequence := uint64(1); sequence <= with.Beats; sequence++ {
		check(hold.beat(sequence))
		answer := must(expect[*pb.HoldResponse_Renewed](hold))
		renewed = append(renewed, answer.Sequence)
		sent := hold.sent[answer.Sequence]
		reliable = deadline(sent, answer.GetRenewed()) - now()
	}
	check(hold.release())
	return seen{
		"position":              queued.Position,
		"behind":                queued.Held.GetHolder(),
		"heartbeat_interval_ms": queued.HeartbeatInterval.AsDuration().Milliseconds(),
		"first_token":           decimal(first.token),
		"token":                 decimal(granted.FencingToken),
		"renewed":               renewed,
		"reliable_ms":           reliable.Milliseconds(),
		"released":              must(expect[*pb.HoldResponse_Released](hold)).GetReleased().String(),
		"status":                hold.status(),
	}
}

func (c *client) holdContended(ctx context.Context, with with) seen {
	c.taken(ctx, "first", with.TTL)
	second := c.holder("second")
	hold := must(second.hold(ctx, &pb.HoldStart{Acquire: second.request(with.TTL, 0)}))
	contended := must(expect[*pb.HoldResponse_Contended](hold)).GetContended()
	return seen{"contended": contended.Holder, "status": hold.status()}
}

func (c *client) holdLost(ctx context.Context, with with) seen {
	me := c.holder("me")
	hold := must(me.hold(ctx, &pb.HoldStart{Acquire: me.request(with.TTL, 0)}))
	token := must(expect[*pb.HoldResponse_Granted](hold)).GetGranted().FencingToken
	force := &pb.ForceReleaseRequest{Resource: c.resource, FencingToken: token}
	forced := must(c.admin.ForceRelease(ctx, force))
	go func() { // until the stream has ended, to which nothing can be sent
		for sequence := uint64(1); hold.beat(sequence) == nil; sequence++ {
			time.Sleep(with.Heartbeat.time())
		}
	}()
	lost := must(expect[*pb.HoldResponse_Lost](hold)).GetLost()
	return seen{"forced": forced.Outcome.String(), "lost": lost.Reason.String(), "status": hold.status()}
}

func (c *client) holdSilent(ctx context.Context, with with) seen {
	me := c.holder("me")
	hold := must(me.hold(ctx, &pb.HoldStart{Acquire: me.request(with.TTL, 0)}))
	must(expect[*pb.HoldResponse_Granted](hold))
	atRisk := []string{}
	for {
		event := must(hold.stream.Recv())
		if lost := event.GetLost(); lost != nil {
			return seen{"at_risk": atRisk, "lost": lost.Reason.String(), "status": hold.status()}
		}
		atRisk = append(atRisk, event.GetAtRisk().GetReason().String())
	}
}

func (c *client) holdCancelled(ctx context.Context, with with) seen {
	me, other := c.holder("me"), c.holder("other")
	hold := must(me.hold(ctx, &pb.HoldStart{Acquire: me.request(with.TTL, 0)}))
	granted := must(expect[*pb.HoldResponse_Granted](hold)).GetGranted()
	waiting := background(func() (*pb.AcquireResponse, error) {
		return other.acquire(ctx, other.request(with.TTL, with.Wait))
	})
	must(c.untilWaiting(ctx))
	hold.cancel()
	return seen{
		"outcome":     outcome(must(waiting())),
		"first_token": decimal(granted.FencingToken),
		"token":       decimal(other.token),
	}
}

func (c *client) holdReattached(ctx context.Context, with with) seen {
	me := c.holder("me")
	start := &pb.HoldStart{Acquire: me.request(with.TTL, 0), Grace: with.Grace.proto()}
	hold := must(me.hold(ctx, start))
	token := must(expect[*pb.HoldResponse_Granted](hold)).GetGranted().FencingToken
	hold.cancel()
	start.FencingToken = token
	again := must(me.hold(ctx, start))
	granted := must(expect[*pb.HoldResponse_Granted](again)).GetGranted()
	check(again.release())
	return seen{
		"first_token": decimal(token),
		"token":       decimal(granted.FencingToken),
		"released":    must(expect[*pb.HoldResponse_Released](again)).GetReleased().String(),
	}
}

func (c *client) watch(ctx context.Context, with with) seen {
	first, second := c.holder("first"), c.holder("second")
	watch := must(c.locks.WatchLeader(ctx, &pb.WatchLeaderRequest{Resource: c.resource}))
	states := []seen{shown(must(watch.Recv()))}
	request := first.request(with.TTL, 0)
	request.Metadata = with.Metadata
	must(first.acquire(ctx, request))
	states = append(states, shown(must(watch.Recv())))
	renewal := first.renewal(with.TTL)
	renewal.Metadata = with.Updated
	must(first.extend(ctx, renewal))
	states = append(states, shown(must(watch.Recv())))
	must(first.release(ctx))
	states = append(states, shown(must(watch.Recv())))
	must(second.acquire(ctx, second.request(with.TTL, 0)))
	states = append(states, shown(must(watch.Recv())))
	return seen{"states": states, "token": decimal(first.token), "second_token": decimal(second.token)}
}

func (c *client) watchResumed(ctx context.Context, with with) seen {
	first := c.taken(ctx, "first", with.TTL)
	resumed := must(c.locks.WatchLeader(ctx, &pb.WatchLeaderRequest{
		Resource:          c.resource,
		AfterFencingToken: first.token,
		BookmarkInterval:  with.Bookmark.proto(),
	}))
	ahead := must(c.locks.WatchLeader(ctx, &pb.WatchLeaderRequest{
		Resource:          c.resource,
		AfterFencingToken: first.token + 1,
	}))
	return seen{
		"token":   decimal(first.token),
		"resumed": []seen{shown(must(resumed.Recv())), shown(must(resumed.Recv()))},
		"ahead":   shown(must(ahead.Recv())),
	}
}

func (c *client) badFields(ctx context.Context, with with) seen {
	var trailer metadata.MD
	request := &pb.AcquireRequest{Ttl: with.TTL.proto(), Wait: with.Wait.proto()}
	err := failure(c.locks.Acquire(ctx, request, grpc.Trailer(&trailer)))
	fields := []string{}
	for _, violation := range detail[*errdetails.BadRequest](err).GetFieldViolations() {
		fields = append(fields, violation.Field)
	}
	slices.Sort(fields)
	return seen{
		"error":  errorOf(err, trailer),
		"domain": detail[*errdetails.ErrorInfo](err).GetDomain(),
		"fields": fields,
	}
}

func (c *client) noQuorum(ctx context.Context, with with) seen {
	me := c.holder("me")
	var trailer metadata.MD
	err := failure(me.acquire(ctx, me.request(with.TTL, 0), grpc.Trailer(&trailer)))
	return seen{
		"error":            errorOf(err, trailer),
		"masters":          slices.Sorted(maps.Keys(detail[*errdetails.ErrorInfo](err).GetMetadata())),
		"retry_ms":         detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration().Milliseconds(),
		"retry_trailer_ms": must(strconv.Atoi(first(trailer, "holdfast-retry-after-ms"))),
		"release":          must(me.release(ctx)),
	}
}

func (c *client) token(ctx context.Context, with with) seen {
	me := c.taken(ctx, "me", with.TTL)
	own, before := must(me.standing(ctx, me.token)), must(me.standing(ctx, me.token-1))
	return seen{
		"token":      decimal(me.token),
		"newest":     decimal(own.NewestFencingToken),
		"own":        own.Standing.String(),
		"one_before": before.Standing.String(),
	}
}

// untilWaiting looks until somebody waits for the resource, and says how many.
func (c *client) untilWaiting(ctx context.Context) (uint32, error) {
	for {
		looker := c.holder("")
		answer, err := looker.acquire(ctx, looker.request(1000, 0))
		if err != nil || answer.GetHeld().GetWaiters() > 0 {
			return answer.GetHeld().GetWaiters(), err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// background begins a call, and gives what waits for its end.
func background[T any](call func() (T, error)) func() (T, error) {
	var value T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		value, err = call()
	}()
	return func() (T, error) {
		<-done
		return value, err
	}
}

// failure is the error that a call ends with.
func failure[T any](_ T, err error) error {
	if err == nil {
		panic("it worked")
	}
	return err
}

// shown is a state of a watch.
func shown(response *pb.WatchLeaderResponse) seen {
	told := seen{"reason": response.Reason.String()}
	switch state := response.State.(type) {
	case *pb.WatchLeaderResponse_Leader:
		told["state"] = "leader"
		told["token"] = decimal(state.Leader.FencingToken)
		told["holder"] = state.Leader.Holder
		told["metadata"] = all(state.Leader.Metadata)
	case *pb.WatchLeaderResponse_Vacant:
		told["state"] = "vacant"
		told["token"] = decimal(state.Vacant.LastFencingToken)
	case *pb.WatchLeaderResponse_Unknown:
		told["state"] = "unknown"
		told["why"] = state.Unknown.Reason.String()
	}
	return told
}

// all is never nil, which JSON would tell as null.
func all(metadata map[string]string) map[string]string {
	if metadata == nil {
		return map[string]string{}
	}
	return metadata
}

func decimal(token uint64) string { return strconv.FormatUint(token, 10) }
