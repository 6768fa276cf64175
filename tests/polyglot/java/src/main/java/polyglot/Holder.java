package polyglot;

import com.google.protobuf.util.Durations;
import io.grpc.StatusException;
import io.holdfast.v1.AcquireRequest;
import io.holdfast.v1.AcquireResponse;
import io.holdfast.v1.CheckFencingTokenRequest;
import io.holdfast.v1.CheckFencingTokenResponse;
import io.holdfast.v1.ExtendRequest;
import io.holdfast.v1.Lease;
import io.holdfast.v1.LockServiceGrpc.LockServiceBlockingV2Stub;
import io.holdfast.v1.ReleaseRequest;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.HexFormat;
import java.util.Map;

/** One who acquires a resource, with a lease_id of its own. */
final class Holder {
    /** Longer than anything takes, so that nothing hangs. */
    static final Duration BOUND = Duration.ofSeconds(60);

    private static final double DRIFT = 0.01;

    final LockServiceBlockingV2Stub stub;
    final String resource;
    final String name;
    final String leaseId = random();
    long token;

    Holder(LockServiceBlockingV2Stub stub, String resource, String name) {
        this.stub = stub;
        this.resource = resource;
        this.name = name;
    }

    private static String random() {
        var bytes = new byte[16];
        new SecureRandom().nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }

    /**
     * Until when the holder may rely on the lease, on the clock of System.nanoTime(). On Linux that clock
     * stands still while the machine sleeps: docs/clients/java.md looks at the wall clock, too.
     */
    static long deadline(long sent, Lease lease) {
        long servedIn = Durations.toNanos(lease.getServedIn());
        return sent + (long) (servedIn * (1 - DRIFT)) + Durations.toNanos(lease.getValidFor());
    }

    AcquireRequest.Builder request(long ttlMs, long waitMs) {
        return AcquireRequest.newBuilder()
                .setResource(resource)
                .setHolder(name)
                .setLeaseId(leaseId)
                .setTtl(Durations.fromMillis(ttlMs))
                .setWait(Durations.fromMillis(waitMs));
    }

    AcquireResponse acquire(long ttlMs) throws StatusException {
        return acquire(request(ttlMs, 0), BOUND);
    }

    AcquireResponse acquire(long ttlMs, long waitMs) throws StatusException {
        return acquire(request(ttlMs, waitMs), BOUND);
    }

    AcquireResponse acquire(AcquireRequest.Builder request, Duration timeout) throws StatusException {
        AcquireResponse answer = stub.withDeadlineAfter(timeout).acquire(request.build());
        // Of several answers the highest counts.
        token = Math.max(token, answer.getLease().getFencingToken());
        return answer;
    }

    ExtendRequest.Builder renewal(long ttlMs) {
        return ExtendRequest.newBuilder()
                .setResource(resource)
                .setLeaseId(leaseId)
                .setFencingToken(token)
                .setTtl(Durations.fromMillis(ttlMs));
    }

    Lease extend(long ttlMs) throws StatusException {
        return stub.withDeadlineAfter(BOUND).extend(renewal(ttlMs).build()).getLease();
    }

    Lease extend(long ttlMs, Map<String, String> metadata) throws StatusException {
        var request = renewal(ttlMs).putAllMetadata(metadata).build();
        return stub.withDeadlineAfter(BOUND).extend(request).getLease();
    }

    Lease extendWithoutMetadata(long ttlMs) throws StatusException {
        var request = renewal(ttlMs).setClearMetadata(true).build();
        return stub.withDeadlineAfter(BOUND).extend(request).getLease();
    }

    String release() throws StatusException {
        return release(token);
    }

    String release(long token) throws StatusException {
        var request = ReleaseRequest.newBuilder()
                .setResource(resource)
                .setLeaseId(leaseId)
                .setFencingToken(token)
                .build();
        return stub.withDeadlineAfter(BOUND).release(request).getOutcome().name();
    }

    CheckFencingTokenResponse standing() throws StatusException {
        return standing(token);
    }

    CheckFencingTokenResponse standing(long token) throws StatusException {
        var request = CheckFencingTokenRequest.newBuilder()
                .setResource(resource)
                .setFencingToken(token)
                .build();
        return stub.withDeadlineAfter(BOUND).checkFencingToken(request);
    }
}
