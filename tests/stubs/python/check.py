"""Uses the stubs of both services: modules, messages and enums are there, and a token of 16 digits stays what it is."""

import grpc

from holdfast.v1 import admin_service_pb2, admin_service_pb2_grpc, lock_pb2, lock_service_pb2, lock_service_pb2_grpc

channel = grpc.insecure_channel("127.0.0.1:7420")
locks = lock_service_pb2_grpc.LockServiceStub(channel)
admin = admin_service_pb2_grpc.AdminServiceStub(channel)
rpcs = [
    locks.Acquire, locks.Extend, locks.Release, locks.KeepAlive, locks.Session, locks.Hold, locks.WatchLeader,
    locks.CheckFencingToken, admin.ListLocks, admin.DescribeLock, admin.ForceRelease, admin.GetClusterStatus,
]  # fmt: skip
assert all(callable(rpc) for rpc in rpcs)

lease = lock_pb2.Lease(resource="job", fencing_token=2**53 - 1)
answer = lock_service_pb2.AcquireResponse.FromString(lock_service_pb2.AcquireResponse(lease=lease).SerializeToString())
assert answer.WhichOneof("outcome") == "lease" and answer.lease.fencing_token == 2**53 - 1
assert lock_service_pb2.LIVENESS_HEARTBEAT == 1 and admin_service_pb2.MASTER_STATE_VOTING == 1
