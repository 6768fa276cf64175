package polyglot;

import static java.util.concurrent.TimeUnit.SECONDS;
import static polyglot.Holder.deadline;
import static polyglot.Told.detail;
import static polyglot.Told.errorOf;
import static polyglot.Told.failure;
import static polyglot.Told.shown;
import static polyglot.Told.trailer;

import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import io.holdfast.v1.AcquireRequest;
import io.holdfast.v1.AcquireResponse;
import io.holdfast.v1.AdminServiceGrpc;
import io.holdfast.v1.ExtendRequest;
import io.holdfast.v1.ForceReleaseRequest;
import io.holdfast.v1.HoldResponse;
import io.holdfast.v1.HoldResponse.EventCase;
import io.holdfast.v1.KeepAliveRequest;
import io.holdfast.v1.KeepAliveResponse;
import io.holdfast.v1.Lease;
import io.holdfast.v1.LockServiceGrpc;
import io.holdfast.v1.LockServiceGrpc.LockServiceBlockingV2Stub;
import io.holdfast.v1.WatchLeaderRequest;
import io.holdfast.v1.WatchLeaderResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** The cases of ../cases.yaml, each by its name. */
final class Cases {
    private static final ExecutorService BACKGROUND = Executors.newCachedThreadPool();

    private final LockServiceBlockingV2Stub stub;
    private final AdminServiceGrpc.AdminServiceBlockingV2Stub admin;
    private final String resource;
    private final Runner.With with;

    Cases(Channel channel, String resource, Runner.With with) {
        stub = LockServiceGrpc.newBlockingV2Stub(channel);
        admin = AdminServiceGrpc.newBlockingV2Stub(channel);
        this.resource = resource;
        this.with = with;
    }

    Map<String, Object> run(String name) throws Exception {
        return switch (name) {
            case "try" -> tryOnce();
            case "contended" -> contended();
            case "wait" -> waits();
            case "wait_in_vain" -> waitInVain();
            case "deadline" -> beforeDeadline();
            case "retry" -> retry();
            case "superseded" -> superseded();
            case "extend" -> extend();
            case "lost" -> lost();
            case "release" -> release();
            case "keep_alive" -> keepAlive();
            case "hold" -> hold();
            case "hold_contended" -> holdContended();
            case "hold_lost" -> holdLost();
            case "hold_silent" -> holdSilent();
            case "hold_cancelled" -> holdCancelled();
            case "hold_reattached" -> holdReattached();
            case "watch" -> watch();
            case "watch_resumed" -> watchResumed();
            case "bad_fields" -> badFields();
            case "no_quorum" -> noQuorum();
            case "token" -> token();
            default -> throw new IllegalArgumentException("no such case: " + name);
        };
    }

    private Holder holder(String name) {
        return new Holder(stub, resource, name);
    }

    private static String text(long token) {
        return Long.toString(token);
    }

    /** `lease` or `held`. */
    private static String outcome(AcquireResponse answer) {
        return answer.getOutcomeCase().name().toLowerCase(Locale.ROOT);
    }

    private static <T> T result(Future<T> background) throws Exception {
        return background.get(Holder.BOUND.toSeconds(), SECONDS);
    }

    /** Looks until somebody waits for the resource, and says how many. */
    private int untilWaiting() throws Exception {
        while (true) {
            int waiters = holder("").acquire(1000).getHeld().getWaiters();
            if (waiters > 0) return waiters;
            Thread.sleep(20);
        }
    }

    private Map<String, Object> tryOnce() throws Exception {
        var me = holder("me");
        long sent = System.nanoTime();
        AcquireResponse answer = me.acquire(with.ttlMs());
        Lease lease = answer.getLease();
        return Map.of(
                "outcome", outcome(answer),
                "asked_lease_id", me.leaseId,
                "lease_id", lease.getLeaseId(),
                "token", text(lease.getFencingToken()),
                "ttl_ms", Durations.toMillis(lease.getTtl()),
                "votes", lease.getVotes(),
                "masters", lease.getMasters(),
                "reliable_ms", TimeUnit.NANOSECONDS.toMillis(deadline(sent, lease) - System.nanoTime()));
    }

    private Map<String, Object> contended() throws Exception {
        var first = holder("first");
        first.acquire(first.request(with.ttlMs(), 0).putAllMetadata(with.metadata()), Holder.BOUND);
        AcquireResponse answer = holder("second").acquire(with.ttlMs());
        var held = answer.getHeld();
        return Map.of(
                "outcome", outcome(answer),
                "holders_token", text(first.token),
                "holder", held.getHolder(),
                "metadata", held.getMetadataMap(),
                "token", text(held.getFencingToken()),
                "remaining_ms", Durations.toMillis(held.getRemaining()),
                "waiters", held.getWaiters());
    }

    private Map<String, Object> waits() throws Exception {
        var first = holder("first");
        var second = holder("second");
        first.acquire(with.ttlMs());
        var waiting = BACKGROUND.submit(() -> second.acquire(with.ttlMs(), with.waitMs()));
        int waiters = untilWaiting();
        first.release();
        return Map.of(
                "waiters", waiters,
                "outcome", outcome(result(waiting)),
                "first_token", text(first.token),
                "token", text(second.token));
    }

    private Map<String, Object> waitInVain() throws Exception {
        holder("first").acquire(with.ttlMs());
        AcquireResponse answer = holder("second").acquire(with.ttlMs(), with.waitMs());
        return Map.of("outcome", outcome(answer), "holder", answer.getHeld().getHolder());
    }

    private Map<String, Object> beforeDeadline() throws Exception {
        holder("first").acquire(with.ttlMs());
        var second = holder("second");
        var request = second.request(with.ttlMs(), with.waitMs());
        AcquireResponse answer = second.acquire(request, Duration.ofMillis(with.deadlineMs()));
        return Map.of("outcome", outcome(answer), "holder", answer.getHeld().getHolder());
    }

    private Map<String, Object> retry() throws Exception {
        var me = holder("me");
        AcquireResponse first = me.acquire(with.ttlMs());
        String firstToken = text(me.token);
        AcquireResponse second = me.acquire(with.ttlMs());
        return Map.of(
                "outcomes", List.of(outcome(first), outcome(second)),
                "first_token", firstToken,
                "token", text(me.token),
                "release", me.release());
    }

    private Map<String, Object> superseded() throws Exception {
        var first = holder("first");
        var second = holder("second");
        first.acquire(with.ttlMs());
        var older = BACKGROUND.submit(() -> failure(() -> second.acquire(with.ttlMs(), with.waitMs())));
        untilWaiting();
        var newer = BACKGROUND.submit(() -> second.acquire(with.ttlMs(), with.waitMs()));
        StatusException error = result(older);
        first.release();
        return Map.of("older", errorOf(error), "newer", outcome(result(newer)));
    }

    private Map<String, Object> extend() throws Exception {
        var me = holder("me");
        me.acquire(with.ttlMs());
        Lease lease = me.extend(with.longerTtlMs(), with.metadata());
        var held = holder("other").acquire(with.ttlMs()).getHeld();
        me.extendWithoutMetadata(with.longerTtlMs());
        var heldAgain = holder("other").acquire(with.ttlMs()).getHeld();
        return Map.of(
                "first_token", text(me.token),
                "token", text(lease.getFencingToken()),
                "ttl_ms", Durations.toMillis(lease.getTtl()),
                "metadata", held.getMetadataMap(),
                "cleared", heldAgain.getMetadataMap());
    }

    private Map<String, Object> lost() throws Exception {
        var me = holder("me");
        var other = holder("other");
        long sent = System.nanoTime();
        Lease lease = me.acquire(with.ttlMs()).getLease();
        long notice = deadline(sent, lease) - TimeUnit.MILLISECONDS.toNanos(with.noticeMs());
        TimeUnit.NANOSECONDS.sleep(notice - System.nanoTime());
        String atNotice = me.standing().getStanding().name();
        other.acquire(30_000, with.waitMs());
        return Map.of(
                "at_notice", atNotice,
                "first_token", text(me.token),
                "token", text(other.token),
                "afterwards", me.standing().getStanding().name(),
                "extend", errorOf(failure(() -> me.extend(with.ttlMs()))));
    }

    private Map<String, Object> release() throws Exception {
        var me = holder("me");
        var other = holder("other");
        me.acquire(with.ttlMs());
        String others = other.release();
        String own = me.release();
        String again = me.release();
        other.acquire(with.ttlMs());
        return Map.of("others", others, "own", own, "again", again, "without_token", other.release(0));
    }

    private Map<String, Object> keepAlive() throws Exception {
        var holders = IntStream.range(0, with.leases())
                .mapToObj(number -> new Holder(stub, resource + "/" + number, "me"))
                .toList();
        for (Holder holder : holders) {
            holder.acquire(with.ttlMs());
        }
        var call = stub.withDeadlineAfter(Holder.BOUND).keepAlive();
        List<KeepAliveResponse> renewed = renewAll(call, holders);
        long own = renewed.stream()
                .filter(it -> it.getLease().getFencingToken() == holders.get((int) it.getSequence()).token)
                .count();
        holders.get(holders.size() - 1).release();
        List<KeepAliveResponse> again = renewAll(call, holders);
        var withoutResource = ExtendRequest.newBuilder().setLeaseId("x").setFencingToken(1);
        call.write(KeepAliveRequest.newBuilder().setExtend(withoutResource).build());
        var error = call.read().getError();
        call.halfClose();
        return Map.of(
                "renewed", renewed.stream().filter(KeepAliveResponse::hasLease).count(),
                "with_their_tokens", own,
                "renewed_again", again.stream().filter(KeepAliveResponse::hasLease).count(),
                "lost", again.stream()
                        .filter(KeepAliveResponse::hasLost)
                        .map(it -> it.getLost().getReason().name())
                        .toList(),
                "error", Map.of(
                        "code", Status.fromCodeValue(error.getCode()).getCode().name(),
                        "reason", error.getReason()));
    }

    /** One answer for each, in whatever order they come. */
    private List<KeepAliveResponse> renewAll(
            BlockingClientCall<KeepAliveRequest, KeepAliveResponse> call, List<Holder> holders) throws Exception {
        for (int sequence = 0; sequence < holders.size(); sequence++) {
            var extend = holders.get(sequence).renewal(with.ttlMs());
            call.write(KeepAliveRequest.newBuilder().setSequence(sequence).setExtend(extend).build());
        }
        var answers = new ArrayList<KeepAliveResponse>();
        while (answers.size() < holders.size()) {
            answers.add(call.read());
        }
        return answers;
    }

    private Map<String, Object> hold() throws Exception {
        var first = holder("first");
        first.acquire(with.ttlMs());
        var hold = new Hold(holder("second"), with.ttlMs(), with.waitMs());
        var queued = hold.expect(EventCase.QUEUED).getQueued();
        first.release();
        Lease granted = hold.expect(EventCase.GRANTED).getGranted();
        var renewed = new ArrayList<Long>();
        long reliable = 0;
        for (long sequence = 1; sequence <= with.heartbeats(); sequence++) {
            hold.beat(sequence);
            HoldResponse response = hold.expect(EventCase.RENEWED);
            renewed.add(response.getSequence());
            long sent = hold.sent.get(response.getSequence());
            reliable = deadline(sent, response.getRenewed()) - System.nanoTime();
        }
        hold.release();
        return Map.of(
                "position", queued.getPosition(),
                "behind", queued.getHeld().getHolder(),
                "heartbeat_interval_ms", Durations.toMillis(queued.getHeartbeatInterval()),
                "first_token", text(first.token),
                "token", text(granted.getFencingToken()),
                "renewed", renewed,
                "reliable_ms", TimeUnit.NANOSECONDS.toMillis(reliable),
                "released", hold.expect(EventCase.RELEASED).getReleased().name(),
                "status", hold.status());
    }

    private Map<String, Object> holdContended() throws Exception {
        holder("first").acquire(with.ttlMs());
        var hold = new Hold(holder("second"), with.ttlMs(), 0);
        var contended = hold.expect(EventCase.CONTENDED).getContended();
        return Map.of("contended", contended.getHolder(), "status", hold.status());
    }

    private Map<String, Object> holdLost() throws Exception {
        var hold = new Hold(holder("me"), with.ttlMs(), 0);
        long token = hold.expect(EventCase.GRANTED).getGranted().getFencingToken();
        var request = ForceReleaseRequest.newBuilder().setResource(resource).setFencingToken(token).build();
        var forced = admin.withDeadlineAfter(Holder.BOUND).forceRelease(request).getOutcome();
        var lost = BACKGROUND.submit(() -> hold.expect(EventCase.LOST).getLost());
        for (long sequence = 1; !lost.isDone(); sequence++) {
            hold.beat(sequence);
            Thread.sleep(with.heartbeatMs());
        }
        return Map.of("forced", forced.name(), "lost", lost.get().getReason().name(), "status", hold.status());
    }

    private Map<String, Object> holdSilent() throws Exception {
        var hold = new Hold(holder("me"), with.ttlMs(), 0);
        hold.expect(EventCase.GRANTED);
        var atRisk = new ArrayList<String>();
        HoldResponse response = hold.next();
        while (!response.hasLost()) {
            atRisk.add(response.getAtRisk().getReason().name());
            response = hold.next();
        }
        return Map.of("at_risk", atRisk, "lost", response.getLost().getReason().name(), "status", hold.status());
    }

    private Map<String, Object> holdCancelled() throws Exception {
        var other = holder("other");
        var hold = new Hold(holder("me"), with.ttlMs(), 0);
        long token = hold.expect(EventCase.GRANTED).getGranted().getFencingToken();
        var waiting = BACKGROUND.submit(() -> other.acquire(with.ttlMs(), with.waitMs()));
        untilWaiting();
        hold.cancel();
        String outcome = outcome(result(waiting));
        return Map.of("outcome", outcome, "first_token", text(token), "token", text(other.token));
    }

    private Map<String, Object> holdReattached() throws Exception {
        var me = holder("me");
        var hold = new Hold(me, with.ttlMs(), with.graceMs(), 0);
        long token = hold.expect(EventCase.GRANTED).getGranted().getFencingToken();
        hold.cancel();
        var again = new Hold(me, with.ttlMs(), with.graceMs(), token);
        Lease granted = again.expect(EventCase.GRANTED).getGranted();
        again.release();
        return Map.of(
                "first_token", text(token),
                "token", text(granted.getFencingToken()),
                "released", again.expect(EventCase.RELEASED).getReleased().name());
    }

    private BlockingClientCall<?, WatchLeaderResponse> watching(WatchLeaderRequest.Builder request) {
        return stub.withDeadlineAfter(Holder.BOUND).watchLeader(request.setResource(resource).build());
    }

    private Map<String, Object> watch() throws Exception {
        var first = holder("first");
        var second = holder("second");
        var states = new ArrayList<Map<String, Object>>();
        var watch = watching(WatchLeaderRequest.newBuilder());
        states.add(shown(watch.read()));
        first.acquire(first.request(with.ttlMs(), 0).putAllMetadata(with.metadata()), Holder.BOUND);
        states.add(shown(watch.read()));
        first.extend(with.ttlMs(), with.updated());
        states.add(shown(watch.read()));
        first.release();
        states.add(shown(watch.read()));
        second.acquire(with.ttlMs());
        states.add(shown(watch.read()));
        watch.cancel("seen enough", null);
        return Map.of("token", text(first.token), "second_token", text(second.token), "states", states);
    }

    private Map<String, Object> watchResumed() throws Exception {
        var first = holder("first");
        first.acquire(with.ttlMs());
        var resumed = watching(WatchLeaderRequest.newBuilder()
                .setAfterFencingToken(first.token)
                .setBookmarkInterval(Durations.fromMillis(with.bookmarkMs())));
        var states = List.of(shown(resumed.read()), shown(resumed.read()));
        resumed.cancel("seen enough", null);
        var ahead = watching(WatchLeaderRequest.newBuilder().setAfterFencingToken(first.token + 1));
        var state = shown(ahead.read());
        ahead.cancel("seen enough", null);
        return Map.of("token", text(first.token), "resumed", states, "ahead", state);
    }

    private Map<String, Object> badFields() throws Exception {
        var request = AcquireRequest.newBuilder()
                .setTtl(Durations.fromMillis(with.ttlMs()))
                .setWait(Durations.fromMillis(with.waitMs()))
                .build();
        StatusException error = failure(() -> stub.withDeadlineAfter(Holder.BOUND).acquire(request));
        return Map.of(
                "error", errorOf(error),
                "domain", detail(error, ErrorInfo.class).getDomain(),
                "fields", detail(error, BadRequest.class).getFieldViolationsList().stream()
                        .map(BadRequest.FieldViolation::getField)
                        .sorted()
                        .toList());
    }

    private Map<String, Object> noQuorum() throws Exception {
        var me = holder("me");
        StatusException error = failure(() -> me.acquire(with.ttlMs()));
        return Map.of(
                "error", errorOf(error),
                "masters", detail(error, ErrorInfo.class).getMetadataMap().keySet().stream().sorted().toList(),
                "retry_ms", Durations.toMillis(detail(error, RetryInfo.class).getRetryDelay()),
                "retry_trailer_ms", Long.parseLong(trailer(error, "holdfast-retry-after-ms")),
                "release", me.release());
    }

    private Map<String, Object> token() throws Exception {
        var me = holder("me");
        me.acquire(with.ttlMs());
        var own = me.standing();
        return Map.of(
                "token", text(me.token),
                "newest", text(own.getNewestFencingToken()),
                "own", own.getStanding().name(),
                "one_before", me.standing(me.token - 1).getStanding().name());
    }
}
