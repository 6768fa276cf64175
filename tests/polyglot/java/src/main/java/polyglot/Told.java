package polyglot;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import io.grpc.Metadata;
import io.grpc.StatusException;
import io.grpc.protobuf.StatusProto;
import io.holdfast.v1.WatchLeaderResponse;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;

/** How errors and the states of a watch are told. */
final class Told {
    private Told() {}

    /** The error that the call ends with. */
    static StatusException failure(Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (StatusException e) {
            return e;
        }
        throw new IllegalStateException("it worked");
    }

    /** What every language can tell of an error; LEASE_LOST says why, too. */
    static Map<String, Object> errorOf(StatusException error) throws InvalidProtocolBufferException {
        ErrorInfo info = detail(error, ErrorInfo.class);
        var told = new HashMap<String, Object>();
        told.put("code", error.getStatus().getCode().name());
        told.put("reason", info.getReason());
        told.put("trailer", trailer(error, "holdfast-reason"));
        if (info.containsMetadata("lost_reason")) {
            told.put("lost_reason", info.getMetadataOrThrow("lost_reason"));
        }
        return told;
    }

    /** One of the messages of google.rpc that come with an error. */
    static <T extends Message> T detail(StatusException error, Class<T> kind) throws InvalidProtocolBufferException {
        for (Any packed : StatusProto.fromThrowable(error).getDetailsList()) {
            if (packed.is(kind)) return packed.unpack(kind);
        }
        throw new IllegalStateException("no " + kind.getSimpleName() + " came with " + error);
    }

    static String trailer(StatusException error, String name) {
        return error.getTrailers().get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
    }

    /** A state of a watch. */
    static Map<String, Object> shown(WatchLeaderResponse response) {
        var told = new HashMap<String, Object>();
        told.put("state", response.getStateCase().name().toLowerCase(Locale.ROOT));
        told.put("reason", response.getReason().name());
        switch (response.getStateCase()) {
            case LEADER -> {
                var leader = response.getLeader();
                told.put("token", Long.toString(leader.getFencingToken()));
                told.put("holder", leader.getHolder());
                told.put("metadata", leader.getMetadataMap());
            }
            case VACANT -> told.put("token", Long.toString(response.getVacant().getLastFencingToken()));
            case UNKNOWN -> told.put("why", response.getUnknown().getReason().name());
            case STATE_NOT_SET -> throw new IllegalStateException("a state without any");
        }
        return told;
    }
}
