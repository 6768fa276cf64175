//! The codec as a caller meets it: bytes go through the generated server, in process, and come back as
//! a status.

use holdfast_proto::{
    codec::ProtoCodec,
    errors::{DOMAIN, REASON_TRAILER, reason},
    v1::{
        DescribeLockRequest, DescribeLockResponse, ForceReleaseRequest, ForceReleaseResponse,
        GetClusterStatusRequest, GetClusterStatusResponse, ListLocksRequest, ListLocksResponse,
        admin_service_client::AdminServiceClient,
        admin_service_server::{AdminService, AdminServiceServer},
    },
};
use prost::bytes::BufMut;
use tonic::{
    Code, Request, Response, Status,
    client::Grpc,
    codec::{Codec, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};
use tonic_types::StatusExt;

const LIST_LOCKS: &str = "/holdfast.v1.AdminService/ListLocks";
/// `prefix`: field 1, length-delimited.
const PREFIX_TAG: u8 = 0x0a;

#[tokio::test]
async fn text_that_is_not_utf8_is_an_invalid_argument() {
    let status = refused(vec![PREFIX_TAG, 2, 0xc3, 0x28]).await;

    assert!(status.message().contains("holdfast.v1.ListLocksRequest"), "{}", status.message());
    assert!(status.message().contains("prefix"), "{}", status.message());
    assert!(status.message().contains("UTF-8"), "{}", status.message());
}

#[tokio::test]
async fn a_wrong_wire_type_is_an_invalid_argument() {
    let status = refused(vec![0x08, 1]).await; // field 1 as a varint

    assert!(status.message().contains("wire type"), "{}", status.message());
}

#[tokio::test]
async fn a_message_cut_short_is_an_invalid_argument() {
    refused(vec![PREFIX_TAG, 200, b'a']).await;
}

#[tokio::test]
async fn a_well_formed_message_arrives() {
    let mut client = AdminServiceClient::new(AdminServiceServer::new(EchoesPrefix));
    let request = ListLocksRequest { prefix: "orders/".repeat(1000), ..Default::default() };

    let response = client.list_locks(request.clone()).await.expect("an answer").into_inner();

    assert_eq!(response.next_page_token, request.prefix);
}

#[tokio::test]
async fn an_answer_that_does_not_decode_stays_the_fault_of_the_server() {
    // Field 1 of a DescribeLockResponse is text, that of a ListLocksResponse a message; "C" is none.
    let mut grpc = Grpc::new(AdminServiceServer::new(EchoesPrefix));
    grpc.ready().await.expect("always ready");
    let request = DescribeLockRequest { resource: "C".to_owned() };
    let path = PathAndQuery::from_static("/holdfast.v1.AdminService/DescribeLock");
    let misreads = ProtoCodec::<DescribeLockRequest, ListLocksResponse>::default();

    let status =
        grpc.unary(Request::new(request), path, misreads).await.expect_err("no such answer");

    assert_eq!(status.code(), Code::Internal);
}

/// Sends the bytes as the body of a ListLocksRequest and checks what every such answer has in common.
async fn refused(body: Vec<u8>) -> Status {
    let mut grpc = Grpc::new(AdminServiceServer::new(EchoesPrefix));
    grpc.ready().await.expect("always ready");
    let path = PathAndQuery::from_static(LIST_LOCKS);

    let status =
        grpc.unary(Request::new(body), path, SendsBytes).await.expect_err("it does not decode");

    assert_eq!(status.code(), Code::InvalidArgument);
    let trailer = status.metadata().get(REASON_TRAILER).expect("the trailer");
    assert_eq!(trailer, reason::MALFORMED_MESSAGE);
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason::MALFORMED_MESSAGE));
    status
}

struct EchoesPrefix;

#[tonic::async_trait]
impl AdminService for EchoesPrefix {
    async fn list_locks(
        &self,
        request: Request<ListLocksRequest>,
    ) -> Result<Response<ListLocksResponse>, Status> {
        let next_page_token = request.into_inner().prefix;
        Ok(Response::new(ListLocksResponse { next_page_token, ..Default::default() }))
    }

    async fn describe_lock(
        &self,
        request: Request<DescribeLockRequest>,
    ) -> Result<Response<DescribeLockResponse>, Status> {
        let resource = request.into_inner().resource;
        Ok(Response::new(DescribeLockResponse { resource, ..Default::default() }))
    }

    async fn force_release(
        &self,
        _: Request<ForceReleaseRequest>,
    ) -> Result<Response<ForceReleaseResponse>, Status> {
        Err(Status::unimplemented("not part of the test"))
    }

    async fn get_cluster_status(
        &self,
        _: Request<GetClusterStatusRequest>,
    ) -> Result<Response<GetClusterStatusResponse>, Status> {
        Err(Status::unimplemented("not part of the test"))
    }
}

/// A client's codec that sends any bytes as a message.
struct SendsBytes;

impl Codec for SendsBytes {
    type Encode = Vec<u8>;
    type Decode = ListLocksResponse;
    type Encoder = Self;
    type Decoder = <ProtoCodec<ListLocksRequest, ListLocksResponse> as Codec>::Decoder;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProtoCodec::<ListLocksRequest, ListLocksResponse>::default().decoder()
    }
}

impl Encoder for SendsBytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put_slice(&bytes);
        Ok(())
    }
}
