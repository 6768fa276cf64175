"""What both runners share: requests, the clock, and how what was seen is told."""

import json
import secrets
import sys
import time

from google.protobuf import duration_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from holdfast.v1 import lock_pb2 as lock
from holdfast.v1 import lock_service_pb2 as api

DRIFT = 0.01
BOUND = 60.0  # longer than anything takes, so that nothing hangs


def duration(ms):
    span = duration_pb2.Duration()
    span.FromMilliseconds(ms)
    return span


def now():
    # Counts suspend, unlike time.monotonic() on Linux.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def deadline(sent, lease):
    """Until when the holder may rely on the lease, on the clock of `now`."""
    served_in = lease.served_in.ToMicroseconds() / 1e6
    return sent + served_in * (1 - DRIFT) + lease.valid_for.ToMicroseconds() / 1e6


class Requests:
    """Those of one who uses a resource, with a lease_id of its own."""

    def __init__(self, resource, name):
        self.resource, self.name = resource, name
        self.lease_id = secrets.token_hex(16)
        self.token = 0

    def acquire(self, ttl_ms, wait_ms=0, metadata=None):
        return api.AcquireRequest(
            resource=self.resource,
            holder=self.name,
            ttl=duration(ttl_ms),
            wait=duration(wait_ms),
            lease_id=self.lease_id,
            metadata=metadata or {},
        )

    def acquired(self, answer):
        """`lease` or `held`, and which."""
        outcome = answer.WhichOneof("outcome")
        if outcome == "lease":
            # Of several answers the highest counts.
            self.token = max(self.token, answer.lease.fencing_token)
        return outcome, getattr(answer, outcome)

    def extend(self, ttl_ms, **metadata):
        lease = {"resource": self.resource, "lease_id": self.lease_id, "fencing_token": self.token}
        return api.ExtendRequest(**lease, ttl=duration(ttl_ms), **metadata)

    def release(self, token=None):
        token = self.token if token is None else token
        lease = {"resource": self.resource, "lease_id": self.lease_id, "fencing_token": token}
        return api.ReleaseRequest(**lease)

    def standing(self, token=None):
        token = self.token if token is None else token
        return api.CheckFencingTokenRequest(resource=self.resource, fencing_token=token)


def detail(error, kind):
    """One of the details of an error."""
    found = kind()
    packed = rpc_status.from_call(error).details
    next(it for it in packed if it.Is(kind.DESCRIPTOR)).Unpack(found)
    return found


def error_of(error):
    info = detail(error, error_details_pb2.ErrorInfo)
    told = {"code": error.code().name, "reason": info.reason}
    told["trailer"] = trailers(error)["holdfast-reason"]
    if "lost_reason" in info.metadata:
        told["lost_reason"] = info.metadata["lost_reason"]
    return told


def trailers(error):
    return {key: value for key, value in error.trailing_metadata()}


def shown(response):
    """A state of a watch."""
    state = response.WhichOneof("state")
    told = {"state": state, "reason": api.WatchReason.Name(response.reason)}
    if state == "leader":
        leader = response.leader
        told |= {"token": str(leader.fencing_token), "holder": leader.holder}
        told |= {"metadata": dict(leader.metadata)}
    elif state == "vacant":
        told |= {"token": str(response.vacant.last_fencing_token)}
    else:
        told |= {"why": lock.UnknownReason.Name(response.unknown.reason)}
    return told


def lines():
    """What is asked for, a case a line."""
    return map(json.loads, sys.stdin)


def tell(seen):
    print(json.dumps(seen), flush=True)
