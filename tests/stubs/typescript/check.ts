// A program that uses the stubs of both services. It is only compiled, as strictly as tsc can.
import { credentials } from "@grpc/grpc-js";
import { AdminServiceClient } from "./holdfast/v1/admin_service.js";
import { Liveness } from "./holdfast/v1/lock_service.js";
import { AcquireRequest, AcquireResponse, LockServiceClient } from "./holdfast/v1/lock_service.js";

const locks = new LockServiceClient("127.0.0.1:7420", credentials.createInsecure());
const admin = new AdminServiceClient("127.0.0.1:7420", credentials.createInsecure());

locks.acquire(AcquireRequest.create({ resource: "job", ttl: { seconds: 5 } }), (error, answer: AcquireResponse) => {
  if (error === null && answer.outcome?.$case === "lease") {
    const token: number = answer.outcome.value.fencingToken;
    console.log(token);
  }
});

const hold = locks.hold();
hold.write({
  message: {
    $case: "start",
    value: { acquire: AcquireRequest.create({ resource: "job" }), fencingToken: 0, grace: undefined, liveness: Liveness.LIVENESS_HEARTBEAT },
  },
});
hold.on("data", (answer) => console.log(answer));

admin.getClusterStatus({}, (_error, status) => console.log(status?.masters[0]?.name));
