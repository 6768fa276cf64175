// polyglot-go runs the cases of ../cases.yaml with the client that protoc-gen-go and protoc-gen-go-grpc generate.
//
// It reads a case a line from standard input, {"case", "address", "resource", "with"}, and prints what it saw.
// client.go is what a program takes from here; cases.go says what each case does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "holdfast-tests/polyglot/holdfastv1"
)

// bound is longer than any case takes, so that nothing hangs.
const bound = 2 * time.Minute

type asked struct {
	Case, Address, Resource string
	With                    with
}

// with has what the cases are given; each looks at its own.
type with struct {
	TTL       ms                `json:"ttl_ms"`
	LongerTTL ms                `json:"longer_ttl_ms"`
	Wait      ms                `json:"wait_ms"`
	Deadline  ms                `json:"deadline_ms"`
	Notice    ms                `json:"notice_ms"`
	Heartbeat ms                `json:"heartbeat_ms"`
	Grace     ms                `json:"grace_ms"`
	Bookmark  ms                `json:"bookmark_ms"`
	Leases    int               `json:"leases"`
	Beats     uint64            `json:"heartbeats"`
	Metadata  map[string]string `json:"metadata"`
	Updated   map[string]string `json:"updated"`
}

type seen map[string]any

func main() {
	lines, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var next asked
		if err := lines.Decode(&next); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(run(next)); err != nil {
			log.Fatal(err)
		}
	}
}

// run tells what a case saw. Whatever ends a case is told, and the next one goes on.
func run(asked asked) (told seen) {
	defer func() {
		if problem := recover(); problem != nil {
			told = seen{"problem": fmt.Sprint(problem)}
		}
	}()
	do, known := cases[asked.Case]
	if !known {
		return seen{"problem": "no such case"}
	}
	conn := must(grpc.NewClient(asked.Address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	defer conn.Close()
	// The end of the context ends every call and stream that is left.
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	return do(&client{pb.NewLockServiceClient(conn), pb.NewAdminServiceClient(conn), asked.Resource}, ctx, asked.With)
}

// must ends a case whose calls do not do what it expects.
func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
