package polyglot;

import com.google.protobuf.util.Durations;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import io.holdfast.v1.HoldHeartbeat;
import io.holdfast.v1.HoldRelease;
import io.holdfast.v1.HoldRequest;
import io.holdfast.v1.HoldResponse;
import io.holdfast.v1.HoldResponse.EventCase;
import io.holdfast.v1.HoldStart;
import java.util.HashMap;
import java.util.Map;

/** A Hold stream. One thread may read while another writes. */
final class Hold {
    private final BlockingClientCall<HoldRequest, HoldResponse> call;

    /** When each heartbeat was sent; 0 is the start. */
    final Map<Long, Long> sent = new HashMap<>();

    Hold(Holder holder, long ttlMs, long waitMs) throws StatusException, InterruptedException {
        this(holder, HoldStart.newBuilder().setAcquire(holder.request(ttlMs, waitMs)));
    }

    /** With a grace; comes back to the lease if there is a fencing token. */
    Hold(Holder holder, long ttlMs, long graceMs, long token) throws StatusException, InterruptedException {
        this(holder, HoldStart.newBuilder()
                .setAcquire(holder.request(ttlMs, 0))
                .setGrace(Durations.fromMillis(graceMs))
                .setFencingToken(token));
    }

    private Hold(Holder holder, HoldStart.Builder start) throws StatusException, InterruptedException {
        sent.put(0L, System.nanoTime());
        call = holder.stub.withDeadlineAfter(Holder.BOUND).hold();
        call.write(HoldRequest.newBuilder().setStart(start).build());
    }

    void beat(long sequence) throws StatusException, InterruptedException {
        sent.put(sequence, System.nanoTime());
        var heartbeat = HoldHeartbeat.newBuilder().setSequence(sequence);
        call.write(HoldRequest.newBuilder().setHeartbeat(heartbeat).build());
    }

    void release() throws StatusException, InterruptedException {
        call.write(HoldRequest.newBuilder().setRelease(HoldRelease.getDefaultInstance()).build());
    }

    void cancel() {
        call.cancel("the case wants it", null);
    }

    HoldResponse next() throws StatusException, InterruptedException {
        HoldResponse response = call.read();
        if (response == null) throw new IllegalStateException("the stream has ended");
        return response;
    }

    /** Skips what comes before it. */
    HoldResponse expect(EventCase wanted) throws StatusException, InterruptedException {
        HoldResponse response = next();
        while (response.getEventCase() != wanted) {
            response = next();
        }
        return response;
    }

    /** How the stream ends, after its last message. */
    String status() throws InterruptedException {
        try {
            while (call.read() != null) {}
            return "OK";
        } catch (StatusException e) {
            return e.getStatus().getCode().name();
        }
    }
}
