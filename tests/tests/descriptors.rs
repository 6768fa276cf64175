//! The contract that `holdfastd descriptors` writes: it is what the proto files say, and tools take it in their place.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use holdfast_tests::binaries;
use holdfast_tests::docs;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::tools;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tempfile::TempDir;

fn holdfastd() -> PathBuf {
    binaries::built("holdfastd").expect("holdfastd")
}

/// What it writes, in a file that buf knows by its name.
fn written(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("holdfast.binpb");
    let file = File::create(&path).expect("a file");
    let status = Command::new(holdfastd()).arg("descriptors").stdout(file).status();
    assert!(status.expect("holdfastd").success());
    path
}

/// Runs it to its end; it must succeed.
fn done(program: &Path, args: &[&OsStr]) -> Output {
    let output = Command::new(program).args(args).output().expect("the program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {args:?}: {said}", program.display());
    output
}

/// The files of a descriptor set, by name.
fn files(set: &[u8]) -> BTreeMap<String, FileDescriptorProto> {
    let set = FileDescriptorSet::decode(set).expect("a descriptor set");
    set.file.into_iter().map(|file| (file.name().to_owned(), file)).collect()
}

#[test]
fn it_is_what_buf_makes_of_the_proto_files() {
    let Some(buf) = tools::find("buf") else { return };
    let folder = TempDir::new().unwrap();
    let ours = files(&fs::read(written(&folder)).unwrap());
    let built = folder.path().join("built.binpb");
    let proto = docs::path("proto");
    let args = ["build".as_ref(), proto.as_ref(), "--as-file-descriptor-set".as_ref()];
    done(&buf, &[&args[..], &["-o".as_ref(), built.as_ref()]].concat());
    let theirs = files(&fs::read(&built).unwrap());

    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert_eq!(ours.len(), 4);
    for (name, file) in &ours {
        // Who compiles says in his own way where in the text something stands.
        let bare = |file: &FileDescriptorProto| FileDescriptorProto {
            source_code_info: None,
            ..file.clone()
        };
        assert_eq!(bare(file), bare(&theirs[name]), "{name}");
    }
    for file in ours.values().filter(|file| file.package() == "holdfast.v1") {
        let locations = &file.source_code_info.as_ref().expect("comments").location;
        let comments = locations.iter().filter(|it| it.leading_comments.is_some()).count();
        assert!(comments > 20, "{}: {comments} comments", file.name());
    }
}

#[test]
fn buf_takes_it_in_place_of_the_proto_files() {
    let Some(buf) = tools::find("buf") else { return };
    let folder = TempDir::new().unwrap();
    let ours = written(&folder);
    let proto = docs::path("proto");
    done(&buf, &["breaking".as_ref(), proto.as_ref(), "--against".as_ref(), ours.as_ref()]);
    done(&buf, &["breaking".as_ref(), ours.as_ref(), "--against".as_ref(), proto.as_ref()]);
}

#[tokio::test]
async fn grpcurl_calls_a_server_with_it() {
    let Some(grpcurl) = tools::find("grpcurl") else { return };
    let folder = TempDir::new().unwrap();
    let ours = written(&folder);
    let dev = HoldfastdOptions { args: vec!["--dev".to_owned()], ..HoldfastdOptions::default() };
    let replica = Holdfastd::start(dev).await.unwrap();
    let address = replica.grpc_address().to_string();

    let protoset = ["-protoset".as_ref(), ours.as_ref()];
    let listed = done(&grpcurl, &[&protoset[..], &["list".as_ref()]].concat());
    let services = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(services, "holdfast.v1.AdminService\nholdfast.v1.LockService\n");

    let call = ["-plaintext", "-d", r#"{"resource":"r"}"#, &address];
    let call = call.into_iter().chain(["holdfast.v1.LockService/Acquire"]).map(OsStr::new);
    let args: Vec<_> = protoset.into_iter().chain(call).collect();
    let answer = String::from_utf8(done(&grpcurl, &args).stdout).unwrap();
    assert!(answer.contains(r#""fencingToken": ""#), "{answer}");
}

#[test]
fn a_terminal_is_spared() {
    let line = format!("{} descriptors", holdfastd().display());
    let script = ["--quiet", "--return", "--command", &line, "/dev/null"];
    let output = Command::new("script").args(script).output().expect("script");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("descriptors > holdfast.binpb"), "{said}");
    assert!(said.len() < 200, "{said}");
}
