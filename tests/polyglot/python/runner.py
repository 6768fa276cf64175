"""Runs the cases of ../cases.yaml with the client that grpcio-tools generates.

Reads a case a line from standard input, {"case", "address", "resource", "with"}, and prints what it saw.
"""

import queue
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.rpc import error_details_pb2

from holdfast.v1 import admin_service_pb2, admin_service_pb2_grpc
from holdfast.v1 import lock_pb2 as lock
from holdfast.v1 import lock_service_pb2 as api
from holdfast.v1 import lock_service_pb2_grpc
from seen import BOUND, Requests, deadline, detail, duration, error_of, lines, now, shown, tell
from seen import trailers

BACKGROUND = ThreadPoolExecutor(max_workers=4)


class Holder:
    """One who uses a resource."""

    def __init__(self, stub, resource, name):
        self.stub = stub
        self.requests = Requests(resource, name)

    @property
    def token(self):
        return self.requests.token

    def acquire(self, ttl_ms, wait_ms=0, metadata=None, timeout=BOUND):
        """`lease` or `held`, and which."""
        request = self.requests.acquire(ttl_ms, wait_ms, metadata)
        return self.requests.acquired(self.stub.Acquire(request, timeout=timeout))

    def extend(self, ttl_ms, **metadata):
        return self.stub.Extend(self.requests.extend(ttl_ms, **metadata), timeout=BOUND).lease

    def release(self, token=None):
        answer = self.stub.Release(self.requests.release(token), timeout=BOUND)
        return lock.ReleaseOutcome.Name(answer.outcome)

    def standing(self, token=None):
        return self.stub.CheckFencingToken(self.requests.standing(token), timeout=BOUND)


class Hold:
    """A Hold stream."""

    def __init__(self, holder, ttl_ms, wait_ms=0, grace_ms=0, token=0):
        self.requests = queue.SimpleQueue()
        acquire = holder.requests.acquire(ttl_ms, wait_ms)
        start = api.HoldStart(acquire=acquire, fencing_token=token, grace=duration(grace_ms))
        self.say(start=start)
        self.sent = {0: now()}
        self.responses = holder.stub.Hold(iter(self.requests.get, None), timeout=BOUND)

    def say(self, **message):
        self.requests.put(api.HoldRequest(**message))

    def beat(self, sequence):
        self.sent[sequence] = now()
        self.say(heartbeat=api.HoldHeartbeat(sequence=sequence))

    def next(self):
        """The name of the next event, the event, and the heartbeat that it answers."""
        response = next(self.responses)
        event = response.WhichOneof("event")
        return event, getattr(response, event), response.sequence

    def expect(self, wanted):
        event, value, _ = self.next()
        while event != wanted:
            event, value, _ = self.next()
        return value

    def status(self):
        """How the stream ends, after its last message."""
        for _ in self.responses:
            pass
        self.requests.put(None)
        return self.responses.code().name


def failure(call):
    """The error that it ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it worked")


def until_waiting(stub, resource):
    """Looks until somebody waits for the resource, and says how many."""
    while True:
        _, held = Holder(stub, resource, "").acquire(1000)
        if held.waiters:
            return held.waiters
        time.sleep(0.02)


class Cases:
    def __init__(self, channel, resource):
        self.stub = lock_service_pb2_grpc.LockServiceStub(channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        self.resource = resource

    def holder(self, name, resource=None):
        return Holder(self.stub, resource or self.resource, name)

    def case_try(self, ttl_ms):
        me = self.holder("me")
        sent = now()
        outcome, lease = me.acquire(ttl_ms)
        return {
            "outcome": outcome,
            "asked_lease_id": me.requests.lease_id,
            "lease_id": lease.lease_id,
            "token": str(lease.fencing_token),
            "ttl_ms": lease.ttl.ToMilliseconds(),
            "votes": lease.votes,
            "masters": lease.masters,
            "reliable_ms": int((deadline(sent, lease) - now()) * 1000),
        }

    def case_contended(self, ttl_ms, metadata):
        first = self.holder("first")
        first.acquire(ttl_ms, metadata=metadata)
        outcome, held = self.holder("second").acquire(ttl_ms)
        return {
            "outcome": outcome,
            "holders_token": str(first.token),
            "holder": held.holder,
            "metadata": dict(held.metadata),
            "token": str(held.fencing_token),
            "remaining_ms": held.remaining.ToMilliseconds(),
            "waiters": held.waiters,
        }

    def case_wait(self, ttl_ms, wait_ms):
        first, second = self.holder("first"), self.holder("second")
        first.acquire(ttl_ms)
        waiting = BACKGROUND.submit(second.acquire, ttl_ms, wait_ms)
        waiters = until_waiting(self.stub, self.resource)
        first.release()
        outcome, _ = waiting.result(BOUND)
        tokens = {"first_token": str(first.token), "token": str(second.token)}
        return {"waiters": waiters, "outcome": outcome} | tokens

    def case_wait_in_vain(self, ttl_ms, wait_ms):
        self.holder("first").acquire(ttl_ms)
        outcome, held = self.holder("second").acquire(ttl_ms, wait_ms)
        return {"outcome": outcome, "holder": held.holder}

    def case_deadline(self, ttl_ms, wait_ms, deadline_ms):
        self.holder("first").acquire(ttl_ms)
        outcome, held = self.holder("second").acquire(ttl_ms, wait_ms, timeout=deadline_ms / 1000)
        return {"outcome": outcome, "holder": held.holder}

    def case_retry(self, ttl_ms):
        me = self.holder("me")
        first, _ = me.acquire(ttl_ms)
        first_token = str(me.token)
        second, _ = me.acquire(ttl_ms)
        tokens = {"first_token": first_token, "token": str(me.token)}
        return {"outcomes": [first, second], **tokens, "release": me.release()}

    def case_superseded(self, ttl_ms, wait_ms):
        first, second = self.holder("first"), self.holder("second")
        first.acquire(ttl_ms)
        older = BACKGROUND.submit(failure, lambda: second.acquire(ttl_ms, wait_ms))
        until_waiting(self.stub, self.resource)
        newer = BACKGROUND.submit(second.acquire, ttl_ms, wait_ms)
        error = older.result(BOUND)
        first.release()
        return {"older": error_of(error), "newer": newer.result(BOUND)[0]}

    def case_extend(self, ttl_ms, longer_ttl_ms, metadata):
        me = self.holder("me")
        me.acquire(ttl_ms)
        lease = me.extend(longer_ttl_ms, metadata=metadata)
        _, held = self.holder("other").acquire(ttl_ms)
        me.extend(longer_ttl_ms, clear_metadata=True)
        _, held_again = self.holder("other").acquire(ttl_ms)
        return {
            "first_token": str(me.token),
            "token": str(lease.fencing_token),
            "ttl_ms": lease.ttl.ToMilliseconds(),
            "metadata": dict(held.metadata),
            "cleared": dict(held_again.metadata),
        }

    def case_lost(self, ttl_ms, notice_ms, wait_ms):
        me, other = self.holder("me"), self.holder("other")
        sent = now()
        _, lease = me.acquire(ttl_ms)
        time.sleep(deadline(sent, lease) - notice_ms / 1000 - now())
        at_notice = api.TokenStanding.Name(me.standing().standing)
        other.acquire(30_000, wait_ms)
        return {
            "at_notice": at_notice,
            "first_token": str(me.token),
            "token": str(other.token),
            "afterwards": api.TokenStanding.Name(me.standing().standing),
            "extend": error_of(failure(lambda: me.extend(ttl_ms))),
        }

    def case_release(self, ttl_ms):
        me, other = self.holder("me"), self.holder("other")
        me.acquire(ttl_ms)
        told = {"others": other.release(), "own": me.release(), "again": me.release()}
        other.acquire(ttl_ms)
        return told | {"without_token": other.release(token=0)}

    def case_keep_alive(self, ttl_ms, leases):
        holders = [self.holder("me", f"{self.resource}/{number}") for number in range(leases)]
        for holder in holders:
            holder.acquire(ttl_ms)
        requests = queue.SimpleQueue()
        responses = self.stub.KeepAlive(iter(requests.get, None), timeout=BOUND)

        def renew_all():
            for sequence, holder in enumerate(holders):
                extend = holder.requests.extend(ttl_ms)
                requests.put(api.KeepAliveRequest(sequence=sequence, extend=extend))
            return [next(responses) for _ in holders]

        renewed = [answer for answer in renew_all() if answer.HasField("lease")]
        own = [it for it in renewed if it.lease.fencing_token == holders[it.sequence].token]
        holders[-1].release()
        again = renew_all()
        requests.put(api.KeepAliveRequest(extend=api.ExtendRequest(lease_id="x", fencing_token=1)))
        error = next(responses).error
        requests.put(None)
        reasons = [answer.lost.reason for answer in again if answer.HasField("lost")]
        codes = {code.value[0]: code.name for code in grpc.StatusCode}
        return {
            "renewed": len(renewed),
            "with_their_tokens": len(own),
            "renewed_again": len([answer for answer in again if answer.HasField("lease")]),
            "lost": [lock.LeaseLostReason.Name(reason) for reason in reasons],
            "error": {"code": codes[error.code], "reason": error.reason},
        }

    def case_hold(self, ttl_ms, wait_ms, heartbeats):
        first, second = self.holder("first"), self.holder("second")
        first.acquire(ttl_ms)
        hold = Hold(second, ttl_ms, wait_ms)
        queued = hold.expect("queued")
        first.release()
        granted = hold.expect("granted")
        renewed, reliable = [], 0
        for sequence in range(1, heartbeats + 1):
            hold.beat(sequence)
            event, lease, answered = hold.next()
            while event != "renewed":
                event, lease, answered = hold.next()
            renewed.append(answered)
            reliable = deadline(hold.sent[answered], lease) - now()
        hold.say(release=api.HoldRelease())
        return {
            "position": queued.position,
            "behind": queued.held.holder,
            "heartbeat_interval_ms": queued.heartbeat_interval.ToMilliseconds(),
            "first_token": str(first.token),
            "token": str(granted.fencing_token),
            "renewed": renewed,
            "reliable_ms": int(reliable * 1000),
            "released": lock.ReleaseOutcome.Name(hold.expect("released")),
            "status": hold.status(),
        }

    def case_hold_contended(self, ttl_ms):
        self.holder("first").acquire(ttl_ms)
        hold = Hold(self.holder("second"), ttl_ms)
        return {"contended": hold.expect("contended").holder, "status": hold.status()}

    def case_hold_lost(self, ttl_ms, heartbeat_ms):
        hold = Hold(self.holder("me"), ttl_ms)
        token = hold.expect("granted").fencing_token
        request = admin_service_pb2.ForceReleaseRequest(resource=self.resource, fencing_token=token)
        forced = self.admin.ForceRelease(request, timeout=BOUND).outcome
        lost = BACKGROUND.submit(hold.expect, "lost")
        sequence = 0
        while not lost.done():
            sequence += 1
            hold.beat(sequence)
            time.sleep(heartbeat_ms / 1000)
        return {
            "forced": admin_service_pb2.ForceReleaseOutcome.Name(forced),
            "lost": lock.LeaseLostReason.Name(lost.result().reason),
            "status": hold.status(),
        }

    def case_hold_silent(self, ttl_ms):
        hold = Hold(self.holder("me"), ttl_ms)
        hold.expect("granted")
        at_risk = []
        event, value, _ = hold.next()
        while event != "lost":
            at_risk.append(api.AtRiskReason.Name(value.reason))
            event, value, _ = hold.next()
        lost = lock.LeaseLostReason.Name(value.reason)
        return {"at_risk": at_risk, "lost": lost, "status": hold.status()}

    def case_hold_cancelled(self, ttl_ms, wait_ms):
        me, other = self.holder("me"), self.holder("other")
        hold = Hold(me, ttl_ms)
        token = hold.expect("granted").fencing_token
        waiting = BACKGROUND.submit(other.acquire, ttl_ms, wait_ms)
        until_waiting(self.stub, self.resource)
        hold.responses.cancel()
        outcome, _ = waiting.result(BOUND)
        return {"outcome": outcome, "first_token": str(token), "token": str(other.token)}

    def case_hold_reattached(self, ttl_ms, grace_ms):
        me = self.holder("me")
        hold = Hold(me, ttl_ms, grace_ms=grace_ms)
        token = hold.expect("granted").fencing_token
        hold.responses.cancel()
        again = Hold(me, ttl_ms, grace_ms=grace_ms, token=token)
        granted = again.expect("granted")
        again.say(release=api.HoldRelease())
        return {
            "first_token": str(token),
            "token": str(granted.fencing_token),
            "released": lock.ReleaseOutcome.Name(again.expect("released")),
        }

    def watch(self, **request):
        request = api.WatchLeaderRequest(resource=self.resource, **request)
        return self.stub.WatchLeader(request, timeout=BOUND)

    def case_watch(self, ttl_ms, metadata, updated):
        first, second = self.holder("first"), self.holder("second")
        watch = self.watch()
        states = [shown(next(watch))]
        first.acquire(ttl_ms, metadata=metadata)
        states.append(shown(next(watch)))
        first.extend(ttl_ms, metadata=updated)
        states.append(shown(next(watch)))
        first.release()
        states.append(shown(next(watch)))
        second.acquire(ttl_ms)
        states.append(shown(next(watch)))
        watch.cancel()
        tokens = {"token": str(first.token), "second_token": str(second.token)}
        return {"states": states} | tokens

    def case_watch_resumed(self, ttl_ms, bookmark_ms):
        first = self.holder("first")
        first.acquire(ttl_ms)
        resumed = self.watch(
            after_fencing_token=first.token, bookmark_interval=duration(bookmark_ms)
        )
        states = [shown(next(resumed)), shown(next(resumed))]
        resumed.cancel()
        ahead = self.watch(after_fencing_token=first.token + 1)
        state = shown(next(ahead))
        ahead.cancel()
        return {"token": str(first.token), "resumed": states, "ahead": state}

    def case_bad_fields(self, ttl_ms, wait_ms):
        request = api.AcquireRequest(ttl=duration(ttl_ms), wait=duration(wait_ms))
        error = failure(lambda: self.stub.Acquire(request, timeout=BOUND))
        bad = detail(error, error_details_pb2.BadRequest).field_violations
        return {
            "error": error_of(error),
            "domain": detail(error, error_details_pb2.ErrorInfo).domain,
            "fields": sorted(violation.field for violation in bad),
        }

    def case_no_quorum(self, ttl_ms):
        me = self.holder("me")
        error = failure(lambda: me.acquire(ttl_ms))
        retry = detail(error, error_details_pb2.RetryInfo).retry_delay
        return {
            "error": error_of(error),
            "masters": sorted(detail(error, error_details_pb2.ErrorInfo).metadata),
            "retry_ms": retry.ToMilliseconds(),
            "retry_trailer_ms": int(trailers(error)["holdfast-retry-after-ms"]),
            "release": me.release(),
        }

    def case_token(self, ttl_ms):
        me = self.holder("me")
        me.acquire(ttl_ms)
        own, before = me.standing(), me.standing(me.token - 1)
        return {
            "token": str(me.token),
            "newest": str(own.newest_fencing_token),
            "own": api.TokenStanding.Name(own.standing),
            "one_before": api.TokenStanding.Name(before.standing),
        }


def main():
    for asked in lines():
        with grpc.insecure_channel(asked["address"]) as channel:
            try:
                case = getattr(Cases(channel, asked["resource"]), f"case_{asked['case']}")
                seen = case(**asked["with"])
            except Exception as error:  # whatever it is, it is told, and the next case goes on
                seen = {"problem": repr(error)}
        tell(seen)


if __name__ == "__main__":
    main()
