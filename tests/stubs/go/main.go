// A program that uses the stubs of both services. It is only compiled.
package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"

	holdfastv1 "holdfast-tests/stubs/holdfast/v1"
)

func main() {
	connection, err := grpc.NewClient("127.0.0.1:7420", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	locks, admin := holdfastv1.NewLockServiceClient(connection), holdfastv1.NewAdminServiceClient(connection)

	hold, err := locks.Hold(context.Background())
	if err != nil {
		panic(err)
	}
	acquire := &holdfastv1.AcquireRequest{Resource: "job", Ttl: durationpb.New(5e9)}
	start := &holdfastv1.HoldStart{Acquire: acquire, Liveness: holdfastv1.Liveness_LIVENESS_HEARTBEAT}
	fmt.Println(hold.Send(&holdfastv1.HoldRequest{Message: &holdfastv1.HoldRequest_Start{Start: start}}))

	if answer, err := locks.Acquire(context.Background(), acquire); err == nil {
		var token uint64 = answer.GetLease().GetFencingToken()
		fmt.Println(token)
	}
	fmt.Println(admin.GetClusterStatus(context.Background(), &holdfastv1.GetClusterStatusRequest{}))
}
