//! Takes a lock where TLS is spoken and a token is asked for, from any of several replicas.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::fs;

use holdfast_client::{Certificate, Client, ClientTlsConfig, Error};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(ca), Some(token_file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: secure CA_FILE TOKEN_FILE https://HOST:PORT...".into());
    };
    // Without a `ca_certificate`, `with_native_roots` trusts what this machine trusts.
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(ca)?));
    let client = Client::builder()
        // The first one that answers is used, the others when it fails.
        .addresses(arguments)
        .tls(tls)
        // Read again as it changes.
        .token_file(token_file)
        .build()?;

    match client.lock("invoices").acquire().await {
        Ok(guard) => println!("held with token {}", guard.fencing_token()),
        Err(Error::Unauthenticated(why)) => println!("who is this? {why}"),
        Err(Error::PermissionDenied(denial)) => println!("not allowed: {denial}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
