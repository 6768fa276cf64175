//! Who calls: by certificate, static token, JWT. And that nobody else comes in.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_proto::errors::reason::UNAUTHENTICATED;
use holdfast_tests::calls::reason;
use holdfast_tests::certs::Certificates;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::scene::{Client, Files, auth, dev, identity, new_token};

/// An RSA key of 2,048 bits that signs nothing else.
const RSA: &[u8] = include_bytes!("rsa.der");
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn without_any_proof_configured_nobody_is_asked() {
    let replica = dev("").await;
    let client = Client::with_token(replica.channel(), "whatever");
    let lease = client.acquire("orders/42").await.unwrap().unwrap();
    assert_eq!(identity(&client.describe("orders/42").await.unwrap()), "");
    client.release(&lease).await.unwrap();
}

#[tokio::test]
async fn a_token_is_an_identity_and_no_token_is_none() {
    let files = Files::new();
    let ((ci, entry), (other, other_entry)) = (new_token("ci").await, new_token("other").await);
    let tokens = files.write("tokens.toml", format!("{entry}\n{other_entry}"));
    let replica = dev(&auth(&[("tokens_file", &tokens)])).await;
    let ours = Client::with_token(replica.channel(), &ci);

    let lease = ours.acquire("orders/42").await.unwrap().unwrap();
    let described = Client::with_token(replica.channel(), &other).describe("orders/42").await;
    assert_eq!(identity(&described.unwrap()), "token:ci");
    // Without a policy whoever is known may do everything; the lease is still its holder's.
    let stranger = Client::with_token(replica.channel(), &other);
    let mut guessed = lease.clone();
    guessed.lease_id = "guessed".to_owned();
    assert_eq!(stranger.extend(&guessed).await.unwrap_err().code(), Code::FailedPrecondition);
    ours.extend(&lease).await.unwrap();

    let anonymous = || Client::anonymous(replica.channel());
    for nobody in [
        anonymous(),
        anonymous().with_header("Bearer "),
        anonymous().with_header("Bearer hft_0000"),
        anonymous().with_header(&format!("Basic {ci}")),
        anonymous().with_header(&ci),
        anonymous().with_header(&format!("Bearer {ci}")).with_header(&format!("Bearer {ci}")),
    ] {
        let refused = nobody.acquire("orders/43").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
        assert_eq!(reason(&refused).as_deref(), Some(UNAUTHENTICATED));
        assert!(!refused.message().contains(&ci), "{refused:?}");
        for refused in [
            nobody.extend(&lease).await.map(drop),
            nobody.release(&lease).await.map(drop),
            nobody.watch("orders/42").await.map(drop),
            nobody.hold("orders/42", Duration::from_secs(10)).await.map(drop),
            nobody.describe("orders/42").await.map(drop),
            nobody.list().await.map(drop),
            nobody.force(&lease).await.map(drop),
            nobody.status().await,
        ] {
            assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated);
        }
    }
    // The scheme is not case sensitive; probes have no token.
    anonymous().with_header(&format!("bearer {ci}")).status().await.unwrap();
    let mut health = HealthClient::new(replica.channel());
    health.check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(replica.http_get("/metrics").await.unwrap().status, 200);
}

#[tokio::test]
async fn what_is_logged_of_a_call_says_who_called() {
    let files = Files::new();
    let (token, entry) = new_token("ci").await;
    let tokens = files.write("tokens.toml", entry);
    let filter = "[log]\nfilter = \"holdfast_server=debug\"\nformat = \"json\"\n";
    let replica = dev(&format!("{filter}{}", auth(&[("tokens_file", &tokens)]))).await;
    let refused = Client::with_token(replica.channel(), &token).acquire("a\nb").await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let said = |line: &String| line.contains("refused") && line.contains("token:ci");
    for _ in 0..1_000 {
        if replica.process().lines().iter().any(said) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:#?}", replica.process().lines());
}

#[tokio::test]
async fn a_certificate_is_an_identity_and_without_one_nobody_comes_in() {
    let certificates = Certificates::generate("billing").unwrap();
    let strangers = Certificates::generate("billing").unwrap();
    let server = certificates.server();
    let options = HoldfastdOptions {
        config: format!(
            "[grpc]\ntls = {{ cert = {:?}, key = {:?}, client_ca = {:?} }}",
            server.cert,
            server.key,
            certificates.ca()
        ),
        args: vec!["--dev".to_owned()],
        client_tls: Some(certificates.grpc_client().unwrap()),
        ..Default::default()
    };
    let replica = Holdfastd::start(options).await.unwrap();
    let client = Client::anonymous(replica.channel());
    client.acquire("orders/42").await.unwrap().unwrap();
    assert_eq!(identity(&client.describe("orders/42").await.unwrap()), "cert:billing");

    let address = format!("https://{}", replica.grpc_address());
    let with = |tls| {
        tonic::transport::Endpoint::from_shared(address.clone()).unwrap().tls_config(tls).unwrap()
    };
    let foreign = strangers.grpc_client().unwrap();
    let trusting =
        tonic::transport::Certificate::from_pem(std::fs::read(certificates.ca()).unwrap());
    for tls in [certificates.grpc_client_anonymous().unwrap(), foreign.ca_certificate(trusting)] {
        // TLS 1.3 lets the client believe for a moment that it is connected.
        let refused = Client::anonymous(with(tls).connect_lazy()).status().await.unwrap_err();
        assert_eq!(reason(&refused), None, "no call came through: {refused:?}");
    }
}

/// A JWKS of one key of each kind.
fn jwks() -> String {
    let keys = [
        ("hs", EncodingKey::from_secret(SECRET), Algorithm::HS256),
        ("rs", EncodingKey::from_rsa_der(RSA), Algorithm::RS256),
    ];
    let mut keys: Vec<Value> = keys
        .into_iter()
        .map(|(id, key, algorithm)| {
            let mut jwk = Jwk::from_encoding_key(&key, algorithm).expect("in a test");
            jwk.common.key_id = Some(id.to_owned());
            serde_json::to_value(jwk).expect("in a test")
        })
        .collect();
    let (_, public) = ed25519();
    keys.push(json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": public}));
    // What cannot be used is left out, and the rest is.
    keys.push(json!({"kty": "oct", "kid": "short", "k": "c2hvcnQ"}));
    keys.push(json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": "x", "y": "y"}));
    json!({ "keys": keys }).to_string()
}

/// The key of RFC 8037, appendix A: private as PKCS #8, public as in a JWK.
fn ed25519() -> (EncodingKey, &'static str) {
    let secret = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c,
        0xc4, 0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae,
        0x7f, 0x60,
    ];
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [&head[..], &secret].concat();
    (EncodingKey::from_ed_der(&der), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("in a test").as_secs() as i64
}

fn claims() -> BTreeMap<&'static str, Value> {
    let (sub, iss) = (json!("alice"), json!("https://issuer"));
    let aud = json!(["other", "holdfast"]);
    BTreeMap::from([("sub", sub), ("iss", iss), ("aud", aud), ("exp", json!(now() + 600))])
}

fn signed(
    (algorithm, id, key): (Algorithm, Option<&str>, &EncodingKey),
    claims: &BTreeMap<&str, Value>,
) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    encode(&header, claims, key).expect("in a test")
}

#[tokio::test]
async fn a_jwt_is_an_identity_if_everything_about_it_is_right() {
    let files = Files::new();
    let jwks = files.write("jwks.json", jwks());
    let config = format!(
        "[auth.jwt]\njwks_file = {jwks:?}\nissuer = \"https://issuer\"\naudience = \"holdfast\"\n\
         leeway = \"30s\""
    );
    let replica = dev(&config).await;
    let called = async |token: &str| {
        let client = Client::with_token(replica.channel(), token);
        client.status().await.map_err(|status| {
            assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
            status.message().to_owned()
        })
    };
    let secret = EncodingKey::from_secret(SECRET);
    let hs = (Algorithm::HS256, Some("hs"), &secret);
    let rsa = EncodingKey::from_rsa_der(RSA);
    let (ed, _) = ed25519();
    for signer in [hs, (Algorithm::RS256, Some("rs"), &rsa), (Algorithm::EdDSA, Some("ed"), &ed)] {
        let token = signed(signer, &claims());
        let client = Client::with_token(replica.channel(), &token);
        let resource = signer.1.unwrap();
        client.acquire(resource).await.unwrap().unwrap();
        assert_eq!(identity(&client.describe(resource).await.unwrap()), "jwt:alice");
        // Also when it is remembered.
        called(&token).await.unwrap();
    }
    let with = |claim, value| {
        let mut changed = claims();
        match value {
            Value::Null => drop(changed.remove(claim)),
            value => drop(changed.insert(claim, value)),
        }
        signed(hs, &changed)
    };
    called(&with("exp", json!(now() - 10))).await.expect("within the leeway");
    called(&with("nbf", json!(now() + 10))).await.expect("within the leeway");
    called(&with("aud", json!("holdfast"))).await.expect("one audience");
    let other_secret = EncodingKey::from_secret(b"fedcba9876543210fedcba9876543210");
    let public_as_secret = {
        let jwk: Value = serde_json::from_str(&self::jwks()).unwrap();
        let modulus = jwk["keys"][1]["n"].as_str().unwrap().as_bytes().to_vec();
        EncodingKey::from_secret(&modulus)
    };
    let unsigned = {
        let token = signed(hs, &claims());
        let body = token.split('.').nth(1).unwrap();
        // {"alg":"none","kid":"hs"}
        format!("eyJhbGciOiJub25lIiwia2lkIjoiaHMifQ.{body}.")
    };
    let tampered = {
        let token = signed(hs, &claims());
        let (rest, signature) = token.rsplit_once('.').unwrap();
        let other = signed(hs, &BTreeMap::from([("sub", json!("root"))]));
        let body = other.split('.').nth(1).unwrap();
        let _ = rest;
        format!("{}.{body}.{signature}", token.split('.').next().unwrap())
    };
    for (what, token) in [
        ("expired", with("exp", json!(now() - 60))),
        ("no exp", with("exp", Value::Null)),
        ("exp is text", with("exp", json!("tomorrow"))),
        ("not yet", with("nbf", json!(now() + 120))),
        ("nbf is text", with("nbf", json!("yesterday"))),
        ("another audience", with("aud", json!("other"))),
        ("no audience", with("aud", Value::Null)),
        ("another issuer", with("iss", json!("https://evil"))),
        ("no issuer", with("iss", Value::Null)),
        ("no subject", with("sub", Value::Null)),
        ("a subject that spoils logs", with("sub", json!("a\nb"))),
        ("another secret", signed((Algorithm::HS256, Some("hs"), &other_secret), &claims())),
        ("an unknown key", signed((Algorithm::HS256, Some("xx"), &secret), &claims())),
        ("no kid", signed((Algorithm::HS256, None, &secret), &claims())),
        ("a key that is too short", signed((Algorithm::HS256, Some("short"), &secret), &claims())),
        (
            "the public key as a secret",
            signed((Algorithm::HS256, Some("rs"), &public_as_secret), &claims()),
        ),
        (
            "another algorithm of the key",
            signed((Algorithm::HS384, Some("hs"), &secret), &claims()),
        ),
        ("no algorithm", unsigned),
        ("tampered with", tampered),
        ("no JWT", "a.b.c".to_owned()),
        ("nothing", String::new()),
    ] {
        assert!(called(&token).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn files_that_are_not_good_exit_64_and_show_no_secret() {
    let files = Files::new();
    let tokens = files.write("tokens.toml", "[[tokens]]\nname = 'ci'\nsha256 = 'hft_secret'");
    let policy = files.write("policy.toml", "[[rules]]\nallow = ['everything']");
    let config = auth(&[("tokens_file", &tokens), ("policy_file", &policy)]);
    for subcommand in ["check", "serve"] {
        let args = vec!["--dev".to_owned()];
        let options = HoldfastdOptions { config: config.clone(), args, ..Default::default() };
        let (code, said) = if subcommand == "check" {
            let finished = Holdfastd::run("check", &options).await.unwrap();
            (finished.status.code(), finished.lines.join("\n"))
        } else {
            let mut replica = Holdfastd::spawn(options).unwrap();
            let status = replica.wait_exit(Duration::from_secs(20)).await.unwrap();
            (status.code(), replica.process().lines().join("\n"))
        };
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains("tokens[0].sha256") && said.contains("everything"), "{said}");
        assert!(!said.contains("hft_secret"), "{said}");
    }
}
