"""Runs the cases of ../cases.yaml with grpc.aio, on stubs that grpcio-tools generates: see runner.py."""

import asyncio

import grpc
from google.rpc import error_details_pb2

from holdfast.v1 import admin_service_pb2, admin_service_pb2_grpc
from holdfast.v1 import lock_pb2 as lock
from holdfast.v1 import lock_service_pb2 as api
from holdfast.v1 import lock_service_pb2_grpc
from seen import BOUND, Requests, deadline, detail, duration, error_of, lines, now, shown, tell
from seen import trailers


class Holder:
    """One who uses a resource."""

    def __init__(self, stub, resource, name):
        self.stub = stub
        self.requests = Requests(resource, name)

    @property
    def token(self):
        return self.requests.token

    async def acquire(self, ttl_ms, wait_ms=0, metadata=None, timeout=BOUND):
        """`lease` or `held`, and which."""
        request = self.requests.acquire(ttl_ms, wait_ms, metadata)
        return self.requests.acquired(await self.stub.Acquire(request, timeout=timeout))

    async def extend(self, ttl_ms, **metadata):
        request = self.requests.extend(ttl_ms, **metadata)
        return (await self.stub.Extend(request, timeout=BOUND)).lease

    async def release(self, token=None):
        answer = await self.stub.Release(self.requests.release(token), timeout=BOUND)
        return lock.ReleaseOutcome.Name(answer.outcome)

    async def standing(self, token=None):
        return await self.stub.CheckFencingToken(self.requests.standing(token), timeout=BOUND)


class Hold:
    """A Hold stream."""

    def __init__(self, holder, ttl_ms, wait_ms=0, grace_ms=0, token=0):
        acquire = holder.requests.acquire(ttl_ms, wait_ms)
        self.start = api.HoldStart(acquire=acquire, fencing_token=token, grace=duration(grace_ms))
        self.stream = holder.stub.Hold(timeout=BOUND)
        self.sent = {}

    async def open(self):
        self.sent[0] = now()
        await self.say(start=self.start)
        return self

    async def say(self, **message):
        await self.stream.write(api.HoldRequest(**message))

    async def beat(self, sequence):
        self.sent[sequence] = now()
        await self.say(heartbeat=api.HoldHeartbeat(sequence=sequence))

    async def next(self):
        """The name of the next event, the event, and the heartbeat that it answers."""
        response = await self.stream.read()
        event = response.WhichOneof("event")
        return event, getattr(response, event), response.sequence

    async def expect(self, wanted):
        event, value, _ = await self.next()
        while event != wanted:
            event, value, _ = await self.next()
        return value

    async def status(self):
        """How the stream ends, after its last message."""
        return (await self.stream.code()).name


async def failure(call):
    """The error that it ends with."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("it worked")


async def until_waiting(stub, resource):
    """Looks until somebody waits for the resource, and says how many."""
    while True:
        _, held = await Holder(stub, resource, "").acquire(1000)
        if held.waiters:
            return held.waiters
        await asyncio.sleep(0.02)


class Cases:
    def __init__(self, channel, resource):
        self.stub = lock_service_pb2_grpc.LockServiceStub(channel)
        self.admin = admin_service_pb2_grpc.AdminServiceStub(channel)
        self.resource = resource

    def holder(self, name, resource=None):
        return Holder(self.stub, resource or self.resource, name)

    async def case_try(self, ttl_ms):
        me = self.holder("me")
        sent = now()
        outcome, lease = await me.acquire(ttl_ms)
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

    async def case_contended(self, ttl_ms, metadata):
        first = self.holder("first")
        await first.acquire(ttl_ms, metadata=metadata)
        outcome, held = await self.holder("second").acquire(ttl_ms)
        return {
            "outcome": outcome,
            "holders_token": str(first.token),
            "holder": held.holder,
            "metadata": dict(held.metadata),
            "token": str(held.fencing_token),
            "remaining_ms": held.remaining.ToMilliseconds(),
            "waiters": held.waiters,
        }

    async def case_wait(self, ttl_ms, wait_ms):
        first, second = self.holder("first"), self.holder("second")
        await first.acquire(ttl_ms)
        waiting = asyncio.create_task(second.acquire(ttl_ms, wait_ms))
        waiters = await until_waiting(self.stub, self.resource)
        await first.release()
        outcome, _ = await waiting
        tokens = {"first_token": str(first.token), "token": str(second.token)}
        return {"waiters": waiters, "outcome": outcome} | tokens

    async def case_wait_in_vain(self, ttl_ms, wait_ms):
        await self.holder("first").acquire(ttl_ms)
        outcome, held = await self.holder("second").acquire(ttl_ms, wait_ms)
        return {"outcome": outcome, "holder": held.holder}

    async def case_deadline(self, ttl_ms, wait_ms, deadline_ms):
        await self.holder("first").acquire(ttl_ms)
        outcome, held = await self.holder("second").acquire(
            ttl_ms, wait_ms, timeout=deadline_ms / 1000
        )
        return {"outcome": outcome, "holder": held.holder}

    async def case_retry(self, ttl_ms):
        me = self.holder("me")
        first, _ = await me.acquire(ttl_ms)
        first_token = str(me.token)
        second, _ = await me.acquire(ttl_ms)
        tokens = {"first_token": first_token, "token": str(me.token)}
        return {"outcomes": [first, second], **tokens, "release": await me.release()}

    async def case_superseded(self, ttl_ms, wait_ms):
        first, second = self.holder("first"), self.holder("second")
        await first.acquire(ttl_ms)
        older = asyncio.create_task(failure(second.acquire(ttl_ms, wait_ms)))
        await until_waiting(self.stub, self.resource)
        newer = asyncio.create_task(second.acquire(ttl_ms, wait_ms))
        error = await older
        await first.release()
        return {"older": error_of(error), "newer": (await newer)[0]}

    async def case_extend(self, ttl_ms, longer_ttl_ms, metadata):
        me = self.holder("me")
        await me.acquire(ttl_ms)
        lease = await me.extend(longer_ttl_ms, metadata=metadata)
        _, held = await self.holder("other").acquire(ttl_ms)
        await me.extend(longer_ttl_ms, clear_metadata=True)
        _, held_again = await self.holder("other").acquire(ttl_ms)
        return {
            "first_token": str(me.token),
            "token": str(lease.fencing_token),
            "ttl_ms": lease.ttl.ToMilliseconds(),
            "metadata": dict(held.metadata),
            "cleared": dict(held_again.metadata),
        }

    async def case_lost(self, ttl_ms, notice_ms, wait_ms):
        me, other = self.holder("me"), self.holder("other")
        sent = now()
        _, lease = await me.acquire(ttl_ms)
        await asyncio.sleep(deadline(sent, lease) - notice_ms / 1000 - now())
        at_notice = api.TokenStanding.Name((await me.standing()).standing)
        await other.acquire(30_000, wait_ms)
        return {
            "at_notice": at_notice,
            "first_token": str(me.token),
            "token": str(other.token),
            "afterwards": api.TokenStanding.Name((await me.standing()).standing),
            "extend": error_of(await failure(me.extend(ttl_ms))),
        }

    async def case_release(self, ttl_ms):
        me, other = self.holder("me"), self.holder("other")
        await me.acquire(ttl_ms)
        told = {"others": await other.release()}
        told |= {"own": await me.release(), "again": await me.release()}
        await other.acquire(ttl_ms)
        return told | {"without_token": await other.release(token=0)}

    async def case_keep_alive(self, ttl_ms, leases):
        holders = [self.holder("me", f"{self.resource}/{number}") for number in range(leases)]
        for holder in holders:
            await holder.acquire(ttl_ms)
        stream = self.stub.KeepAlive(timeout=BOUND)

        async def renew_all():
            for sequence, holder in enumerate(holders):
                extend = holder.requests.extend(ttl_ms)
                await stream.write(api.KeepAliveRequest(sequence=sequence, extend=extend))
            return [await stream.read() for _ in holders]

        renewed = [answer for answer in await renew_all() if answer.HasField("lease")]
        own = [it for it in renewed if it.lease.fencing_token == holders[it.sequence].token]
        await holders[-1].release()
        again = await renew_all()
        nothing = api.ExtendRequest(lease_id="x", fencing_token=1)
        await stream.write(api.KeepAliveRequest(extend=nothing))
        error = (await stream.read()).error
        await stream.done_writing()
        reasons = [answer.lost.reason for answer in again if answer.HasField("lost")]
        codes = {code.value[0]: code.name for code in grpc.StatusCode}
        return {
            "renewed": len(renewed),
            "with_their_tokens": len(own),
            "renewed_again": len([answer for answer in again if answer.HasField("lease")]),
            "lost": [lock.LeaseLostReason.Name(reason) for reason in reasons],
            "error": {"code": codes[error.code], "reason": error.reason},
        }

    async def case_hold(self, ttl_ms, wait_ms, heartbeats):
        first, second = self.holder("first"), self.holder("second")
        await first.acquire(ttl_ms)
        hold = await Hold(second, ttl_ms, wait_ms).open()
        queued = await hold.expect("queued")
        await first.release()
        granted = await hold.expect("granted")
        renewed, reliable = [], 0
        for sequence in range(1, heartbeats + 1):
            await hold.beat(sequence)
            event, lease, answered = await hold.next()
            while event != "renewed":
                event, lease, answered = await hold.next()
            renewed.append(answered)
            reliable = deadline(hold.sent[answered], lease) - now()
        await hold.say(release=api.HoldRelease())
        return {
            "position": queued.position,
            "behind": queued.held.holder,
            "heartbeat_interval_ms": queued.heartbeat_interval.ToMilliseconds(),
            "first_token": str(first.token),
            "token": str(granted.fencing_token),
            "renewed": renewed,
            "reliable_ms": int(reliable * 1000),
            "released": lock.ReleaseOutcome.Name(await hold.expect("released")),
            "status": await hold.status(),
        }

    async def case_hold_contended(self, ttl_ms):
        await self.holder("first").acquire(ttl_ms)
        hold = await Hold(self.holder("second"), ttl_ms).open()
        return {"contended": (await hold.expect("contended")).holder, "status": await hold.status()}

    async def case_hold_lost(self, ttl_ms, heartbeat_ms):
        hold = await Hold(self.holder("me"), ttl_ms).open()
        token = (await hold.expect("granted")).fencing_token
        request = admin_service_pb2.ForceReleaseRequest(resource=self.resource, fencing_token=token)
        forced = (await self.admin.ForceRelease(request, timeout=BOUND)).outcome
        lost = asyncio.create_task(hold.expect("lost"))
        sequence = 0
        while not lost.done():
            sequence += 1
            await hold.beat(sequence)
            await asyncio.sleep(heartbeat_ms / 1000)
        return {
            "forced": admin_service_pb2.ForceReleaseOutcome.Name(forced),
            "lost": lock.LeaseLostReason.Name(lost.result().reason),
            "status": await hold.status(),
        }

    async def case_hold_silent(self, ttl_ms):
        hold = await Hold(self.holder("me"), ttl_ms).open()
        await hold.expect("granted")
        at_risk = []
        event, value, _ = await hold.next()
        while event != "lost":
            at_risk.append(api.AtRiskReason.Name(value.reason))
            event, value, _ = await hold.next()
        lost = lock.LeaseLostReason.Name(value.reason)
        return {"at_risk": at_risk, "lost": lost, "status": await hold.status()}

    async def case_hold_cancelled(self, ttl_ms, wait_ms):
        me, other = self.holder("me"), self.holder("other")
        hold = await Hold(me, ttl_ms).open()
        token = (await hold.expect("granted")).fencing_token
        waiting = asyncio.create_task(other.acquire(ttl_ms, wait_ms))
        await until_waiting(self.stub, self.resource)
        hold.stream.cancel()
        outcome, _ = await waiting
        return {"outcome": outcome, "first_token": str(token), "token": str(other.token)}

    async def case_hold_reattached(self, ttl_ms, grace_ms):
        me = self.holder("me")
        hold = await Hold(me, ttl_ms, grace_ms=grace_ms).open()
        token = (await hold.expect("granted")).fencing_token
        hold.stream.cancel()
        again = await Hold(me, ttl_ms, grace_ms=grace_ms, token=token).open()
        granted = await again.expect("granted")
        await again.say(release=api.HoldRelease())
        return {
            "first_token": str(token),
            "token": str(granted.fencing_token),
            "released": lock.ReleaseOutcome.Name(await again.expect("released")),
        }

    def watch(self, **request):
        request = api.WatchLeaderRequest(resource=self.resource, **request)
        return self.stub.WatchLeader(request, timeout=BOUND)

    async def case_watch(self, ttl_ms, metadata, updated):
        first, second = self.holder("first"), self.holder("second")
        watch = self.watch()
        states = [shown(await watch.read())]
        await first.acquire(ttl_ms, metadata=metadata)
        states.append(shown(await watch.read()))
        await first.extend(ttl_ms, metadata=updated)
        states.append(shown(await watch.read()))
        await first.release()
        states.append(shown(await watch.read()))
        await second.acquire(ttl_ms)
        states.append(shown(await watch.read()))
        watch.cancel()
        tokens = {"token": str(first.token), "second_token": str(second.token)}
        return {"states": states} | tokens

    async def case_watch_resumed(self, ttl_ms, bookmark_ms):
        first = self.holder("first")
        await first.acquire(ttl_ms)
        resumed = self.watch(
            after_fencing_token=first.token, bookmark_interval=duration(bookmark_ms)
        )
        states = [shown(await resumed.read()), shown(await resumed.read())]
        resumed.cancel()
        ahead = self.watch(after_fencing_token=first.token + 1)
        state = shown(await ahead.read())
        ahead.cancel()
        return {"token": str(first.token), "resumed": states, "ahead": state}

    async def case_bad_fields(self, ttl_ms, wait_ms):
        request = api.AcquireRequest(ttl=duration(ttl_ms), wait=duration(wait_ms))
        error = await failure(self.stub.Acquire(request, timeout=BOUND))
        bad = detail(error, error_details_pb2.BadRequest).field_violations
        return {
            "error": error_of(error),
            "domain": detail(error, error_details_pb2.ErrorInfo).domain,
            "fields": sorted(violation.field for violation in bad),
        }

    async def case_no_quorum(self, ttl_ms):
        me = self.holder("me")
        error = await failure(me.acquire(ttl_ms))
        retry = detail(error, error_details_pb2.RetryInfo).retry_delay
        return {
            "error": error_of(error),
            "masters": sorted(detail(error, error_details_pb2.ErrorInfo).metadata),
            "retry_ms": retry.ToMilliseconds(),
            "retry_trailer_ms": int(trailers(error)["holdfast-retry-after-ms"]),
            "release": await me.release(),
        }

    async def case_token(self, ttl_ms):
        me = self.holder("me")
        await me.acquire(ttl_ms)
        own, before = await me.standing(), await me.standing(me.token - 1)
        return {
            "token": str(me.token),
            "newest": str(own.newest_fencing_token),
            "own": api.TokenStanding.Name(own.standing),
            "one_before": api.TokenStanding.Name(before.standing),
        }


async def main():
    for asked in lines():
        async with grpc.aio.insecure_channel(asked["address"]) as channel:
            try:
                case = getattr(Cases(channel, asked["resource"]), f"case_{asked['case']}")
                seen = await case(**asked["with"])
            except Exception as error:  # whatever it is, it is told, and the next case goes on
                seen = {"problem": repr(error)}
        tell(seen)


if __name__ == "__main__":
    asyncio.run(main())
