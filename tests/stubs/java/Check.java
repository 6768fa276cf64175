import com.google.protobuf.Duration;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.stub.StreamObserver;
import io.holdfast.v1.AcquireRequest;
import io.holdfast.v1.AcquireResponse;
import io.holdfast.v1.AdminServiceGrpc;
import io.holdfast.v1.GetClusterStatusRequest;
import io.holdfast.v1.HoldRequest;
import io.holdfast.v1.HoldResponse;
import io.holdfast.v1.HoldStart;
import io.holdfast.v1.Liveness;
import io.holdfast.v1.LockServiceGrpc;

/** A program that uses the stubs of both services. It is only compiled. */
final class Check {
    static StreamObserver<HoldRequest> use(StreamObserver<HoldResponse> events) {
        ManagedChannel channel = ManagedChannelBuilder.forTarget("127.0.0.1:7420").usePlaintext().build();
        Duration ttl = Duration.newBuilder().setSeconds(5).build();
        AcquireRequest acquire = AcquireRequest.newBuilder().setResource("job").setTtl(ttl).build();

        AcquireResponse answer = LockServiceGrpc.newBlockingStub(channel).acquire(acquire);
        long token = answer.getLease().getFencingToken();
        System.out.println(answer.getOutcomeCase() == AcquireResponse.OutcomeCase.LEASE ? token : 0);

        GetClusterStatusRequest status = GetClusterStatusRequest.getDefaultInstance();
        System.out.println(AdminServiceGrpc.newBlockingStub(channel).getClusterStatus(status).getMastersList());

        StreamObserver<HoldRequest> hold = LockServiceGrpc.newStub(channel).hold(events);
        HoldStart start = HoldStart.newBuilder().setAcquire(acquire).setLiveness(Liveness.LIVENESS_HEARTBEAT).build();
        hold.onNext(HoldRequest.newBuilder().setStart(start).build());
        return hold;
    }
}
