package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "holdfast-tests/polyglot/holdfastv1"
)

// drift is how far two clocks may run apart, unless the server is configured otherwise.
const drift = 0.01

// now counts the time that the machine sleeps, as time.Now does not on Linux.
func now() time.Duration {
	var at unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_BOOTTIME, &at))
	return time.Duration(at.Nano())
}

// deadline is until when the holder may rely on the lease, on the clock of now.
func deadline(sent time.Duration, lease *pb.Lease) time.Duration {
	served := float64(lease.ServedIn.AsDuration())
	return sent + time.Duration(served*(1-drift)) + lease.ValidFor.AsDuration()
}

// ms are milliseconds.
type ms int64

func (m ms) time() time.Duration { return time.Duration(m) * time.Millisecond }

func (m ms) proto() *durationpb.Duration { return durationpb.New(m.time()) }

// Holder is one who acquires a resource, with a lease_id of its own.
type Holder struct {
	locks                   pb.LockServiceClient
	resource, name, leaseID string
	token                   uint64
}

func newHolder(locks pb.LockServiceClient, resource, name string) *Holder {
	random := make([]byte, 16)
	rand.Read(random) // never fails
	return &Holder{locks: locks, resource: resource, name: name, leaseID: hex.EncodeToString(random)}
}

func (h *Holder) request(ttl, wait ms) *pb.AcquireRequest {
	return &pb.AcquireRequest{
		Resource: h.resource,
		Holder:   h.name,
		Ttl:      ttl.proto(),
		Wait:     wait.proto(),
		LeaseId:  h.leaseID,
	}
}

// acquire answers with the lease, or with who holds the resource.
func (h *Holder) acquire(
	ctx context.Context, request *pb.AcquireRequest, options ...grpc.CallOption,
) (*pb.AcquireResponse, error) {
	answer, err := h.locks.Acquire(ctx, request, options...)
	if err != nil {
		return nil, err
	}
	// Of several answers the highest counts.
	h.token = max(h.token, answer.GetLease().GetFencingToken())
	return answer, nil
}

func outcome(answer *pb.AcquireResponse) string {
	switch answer.Outcome.(type) {
	case *pb.AcquireResponse_Lease:
		return "lease"
	case *pb.AcquireResponse_Held:
		return "held"
	}
	return ""
}

func (h *Holder) renewal(ttl ms) *pb.ExtendRequest {
	return &pb.ExtendRequest{Resource: h.resource, LeaseId: h.leaseID, FencingToken: h.token, Ttl: ttl.proto()}
}

func (h *Holder) extend(
	ctx context.Context, request *pb.ExtendRequest, options ...grpc.CallOption,
) (*pb.Lease, error) {
	answer, err := h.locks.Extend(ctx, request, options...)
	return answer.GetLease(), err
}

func (h *Holder) release(ctx context.Context) (string, error) {
	request := &pb.ReleaseRequest{Resource: h.resource, LeaseId: h.leaseID, FencingToken: h.token}
	answer, err := h.locks.Release(ctx, request)
	return answer.GetOutcome().String(), err
}

func (h *Holder) standing(ctx context.Context, token uint64) (*pb.CheckFencingTokenResponse, error) {
	request := &pb.CheckFencingTokenRequest{Resource: h.resource, FencingToken: token}
	return h.locks.CheckFencingToken(ctx, request)
}

// Hold is a Hold stream.
type Hold struct {
	stream grpc.BidiStreamingClient[pb.HoldRequest, pb.HoldResponse]
	cancel context.CancelFunc
	sent   map[uint64]time.Duration
}

func (h *Holder) hold(ctx context.Context, start *pb.HoldStart) (*Hold, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := h.locks.Hold(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	hold := &Hold{stream: stream, cancel: cancel, sent: map[uint64]time.Duration{0: now()}}
	return hold, stream.Send(&pb.HoldRequest{Message: &pb.HoldRequest_Start{Start: start}})
}

func (h *Hold) beat(sequence uint64) error {
	h.sent[sequence] = now()
	beat := &pb.HoldHeartbeat{Sequence: sequence}
	return h.stream.Send(&pb.HoldRequest{Message: &pb.HoldRequest_Heartbeat{Heartbeat: beat}})
}

func (h *Hold) release() error {
	return h.stream.Send(&pb.HoldRequest{Message: &pb.HoldRequest_Release{Release: &pb.HoldRelease{}}})
}

// expect reads until the event that is wanted.
func expect[Event any](h *Hold) (*pb.HoldResponse, error) {
	for {
		response, err := h.stream.Recv()
		if err != nil {
			return nil, err
		}
		if _, wanted := any(response.Event).(Event); wanted {
			return response, nil
		}
	}
}

// status is how the stream ends, after its last message.
func (h *Hold) status() string {
	for {
		if _, err := h.stream.Recv(); errors.Is(err, io.EOF) {
			return codeName(nil)
		} else if err != nil {
			return codeName(err)
		}
	}
}

// codeName is the code as gRPC writes it: Go has names of its own.
func codeName(err error) string { return code.Code(status.Code(err)).String() }

// errorOf is what every language can tell of an error; LEASE_LOST says why, too.
func errorOf(err error, trailer metadata.MD) seen {
	info := detail[*errdetails.ErrorInfo](err)
	told := seen{"code": codeName(err), "reason": info.GetReason(), "trailer": first(trailer, "holdfast-reason")}
	if why, lost := info.GetMetadata()["lost_reason"]; lost {
		told["lost_reason"] = why
	}
	return told
}

func first(trailer metadata.MD, key string) string {
	values := append(trailer.Get(key), "")
	return values[0]
}

// detail is the one of this type, or nil, whose getters answer all the same.
func detail[Detail any](err error) (none Detail) {
	for _, found := range status.Convert(err).Details() {
		if detail, wanted := found.(Detail); wanted {
			return detail
		}
	}
	return none
}
