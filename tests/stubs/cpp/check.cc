// A program that uses the stubs of both services. It is only compiled.
#include <cstdint>
#include <iostream>
#include <memory>

#include <grpcpp/grpcpp.h>

#include "holdfast/v1/admin_service.grpc.pb.h"
#include "holdfast/v1/lock_service.grpc.pb.h"

namespace v1 = holdfast::v1;

int main() {
    auto channel = grpc::CreateChannel("127.0.0.1:7420", grpc::InsecureChannelCredentials());
    auto locks = v1::LockService::NewStub(channel);
    auto admin = v1::AdminService::NewStub(channel);

    v1::AcquireRequest request;
    request.set_resource("job");
    request.mutable_ttl()->set_seconds(5);
    v1::AcquireResponse answer;
    grpc::ClientContext call;
    if (locks->Acquire(&call, request, &answer).ok() && answer.has_lease()) {
        std::uint64_t token = answer.lease().fencing_token();
        std::cout << token << '\n';
    }

    grpc::ClientContext stream;
    auto hold = locks->Hold(&stream);
    v1::HoldRequest start;
    *start.mutable_start()->mutable_acquire() = request;
    start.mutable_start()->set_liveness(v1::LIVENESS_HEARTBEAT);
    hold->Write(start);

    grpc::ClientContext look;
    v1::GetClusterStatusResponse status;
    admin->GetClusterStatus(&look, v1::GetClusterStatusRequest(), &status);
}
