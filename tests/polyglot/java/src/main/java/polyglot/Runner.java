package polyglot;

import com.google.gson.FieldNamingPolicy;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.annotations.SerializedName;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * Runs the cases of ../cases.yaml with the client that grpc-java generates.
 *
 * <p>Reads a case a line from standard input, and prints what it saw.
 */
public final class Runner {
    private static final Gson GSON =
            new GsonBuilder().setFieldNamingPolicy(FieldNamingPolicy.LOWER_CASE_WITH_UNDERSCORES).create();

    private Runner() {}

    /** A line of standard input. */
    private record Asked(@SerializedName("case") String name, String address, String resource, With with) {}

    /** What the cases give; each uses some of it. */
    record With(
            long ttlMs,
            long longerTtlMs,
            long waitMs,
            long deadlineMs,
            long noticeMs,
            long graceMs,
            long heartbeatMs,
            long bookmarkMs,
            int heartbeats,
            int leases,
            Map<String, String> metadata,
            Map<String, String> updated) {}

    public static void main(String[] args) throws IOException {
        var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        String line;
        while ((line = lines.readLine()) != null) {
            out.println(GSON.toJson(run(GSON.fromJson(line, Asked.class))));
        }
        System.exit(0); // whatever a case that failed has left waiting
    }

    private static Map<String, Object> run(Asked asked) {
        ManagedChannel channel =
                Grpc.newChannelBuilder(asked.address, InsecureChannelCredentials.create()).build();
        try {
            return new Cases(channel, asked.resource, asked.with).run(asked.name);
        } catch (Exception e) { // whatever it is, it is told, and the next case goes on
            return Map.of("problem", e.toString());
        } finally {
            channel.shutdownNow();
        }
    }
}
