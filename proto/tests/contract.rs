//! What must hold of every file of the contract, read from the descriptor set: all of it is documented,
//! and each rpc has a request and a response of its own.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet};

// Field numbers of google/protobuf/descriptor.proto; a location's path is made of them and of indices.
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const FILE_SERVICE: i32 = 6;
const MESSAGE_FIELD: i32 = 2;
const MESSAGE_NESTED: i32 = 3;
const MESSAGE_ENUM: i32 = 4;
const MESSAGE_ONEOF: i32 = 8;
const ENUM_VALUE: i32 = 2;
const SERVICE_METHOD: i32 = 2;

#[test]
fn everything_is_documented() {
    let mut bare = Vec::new();
    let mut elements = 0;
    for file in contract() {
        let documented = documented_paths(&file);
        for (path, name) in elements_of(&file) {
            elements += 1;
            if !documented.contains(&path) {
                bare.push(format!("{}: {name}", file.name()));
            }
        }
    }
    assert!(elements > 200, "only {elements} elements were found: is the walk complete?");
    assert!(bare.is_empty(), "without a comment:\n{}", bare.join("\n"));
}

#[test]
fn every_rpc_has_its_own_request_and_response() {
    let mut rpcs = 0;
    for file in contract() {
        for method in file.service.iter().flat_map(|service| &service.method) {
            rpcs += 1;
            assert_eq!(method.input_type(), format!(".holdfast.v1.{}Request", method.name()));
            assert_eq!(method.output_type(), format!(".holdfast.v1.{}Response", method.name()));
        }
    }
    assert_eq!(rpcs, 12);
}

/// The files of the contract, without what they import.
fn contract() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("a descriptor set");
    let files: Vec<_> =
        set.file.into_iter().filter(|file| file.package() == "holdfast.v1").collect();
    assert_eq!(files.len(), 3);
    files
}

fn documented_paths(file: &FileDescriptorProto) -> BTreeSet<Vec<i32>> {
    let source = file.source_code_info.as_ref().expect("compiled with source information");
    source
        .location
        .iter()
        .filter(|location| {
            let comments = [location.leading_comments(), location.trailing_comments()];
            comments.iter().any(|comment| !comment.trim().is_empty())
        })
        .map(|location| location.path.clone())
        .collect()
}

/// Every message, field, oneof, enum, enum value, service and rpc, by path.
fn elements_of(file: &FileDescriptorProto) -> BTreeMap<Vec<i32>, String> {
    let mut found = BTreeMap::new();
    for (i, message) in (0..).zip(&file.message_type) {
        add_message(message, vec![FILE_MESSAGE, i], &mut found);
    }
    for (i, enumeration) in (0..).zip(&file.enum_type) {
        add_enum(enumeration, vec![FILE_ENUM, i], &mut found);
    }
    for (i, service) in (0..).zip(&file.service) {
        found.insert(vec![FILE_SERVICE, i], service.name().to_owned());
        for (j, method) in (0..).zip(&service.method) {
            let name = format!("{}.{}", service.name(), method.name());
            found.insert(vec![FILE_SERVICE, i, SERVICE_METHOD, j], name);
        }
    }
    found
}

fn add_message(message: &DescriptorProto, path: Vec<i32>, found: &mut BTreeMap<Vec<i32>, String>) {
    for (i, field) in (0..).zip(&message.field) {
        found
            .insert(child(&path, MESSAGE_FIELD, i), format!("{}.{}", message.name(), field.name()));
    }
    for (i, oneof) in (0..).zip(&message.oneof_decl) {
        found
            .insert(child(&path, MESSAGE_ONEOF, i), format!("{}.{}", message.name(), oneof.name()));
    }
    for (i, enumeration) in (0..).zip(&message.enum_type) {
        add_enum(enumeration, child(&path, MESSAGE_ENUM, i), found);
    }
    for (i, nested) in (0..).zip(&message.nested_type) {
        // The entry type of a map is written by the compiler.
        if !nested.options.as_ref().is_some_and(|options| options.map_entry()) {
            add_message(nested, child(&path, MESSAGE_NESTED, i), found);
        }
    }
    found.insert(path, message.name().to_owned());
}

fn add_enum(
    enumeration: &EnumDescriptorProto,
    path: Vec<i32>,
    found: &mut BTreeMap<Vec<i32>, String>,
) {
    for (i, value) in (0..).zip(&enumeration.value) {
        found.insert(child(&path, ENUM_VALUE, i), value.name().to_owned());
    }
    found.insert(path, enumeration.name().to_owned());
}

fn child(path: &[i32], kind: i32, index: i32) -> Vec<i32> {
    [path, &[kind, index]].concat()
}
