//! Pages of the documentation that a reader does step by step: each is done here, with nothing but its own
//! commands.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::page::{Page, Place, blocks, fits};
use holdfast_tests::secured::Secured;
use holdfast_tests::{docs, tools};
use prost_types::FileDescriptorSet;
use tempfile::TempDir;

/// What `make run` starts, and a replica that asks who somebody is.
struct Servers {
    open: Holdfastd,
    secured: Secured,
}

impl Servers {
    async fn start() -> Result<Servers> {
        let args = vec!["--dev".to_owned()];
        let open = Holdfastd::start(HoldfastdOptions { args, ..Default::default() }).await?;
        open.wait_readyz(200, "").await?;
        Ok(Servers { open, secured: Secured::start().await? })
    }

    fn place(&self) -> Place {
        Place {
            replaced: vec![
                ("127.0.0.1:7420".to_owned(), self.open.grpc_address().to_string()),
                ("lock.example.com:7420".to_owned(), self.secured.address()),
            ],
            env: vec![("HOLDFAST_TOKEN".to_owned(), self.secured.token.clone())],
            files: vec![("ca.pem".to_owned(), self.secured.certificates.ca())],
        }
    }
}

/// A page for each language, and what must be there to do it: `needs` it in continuous integration, too.
macro_rules! clients {
    ($($language:ident $found:ident $($program:literal)+;)+) => {
        const CLIENTS: &[&str] = &[$(stringify!($language)),+];
        $(#[tokio::test] async fn $language() {
            if [$($program),+].into_iter().all($found) {
                client(stringify!($language)).await;
            }
        })+
    };
}

clients! {
    browser needs "node" "npm";
    cpp needs "cmake" "grpc_cpp_plugin";
    csharp done_with "dotnet";
    go needs "go";
    java needs "javac" "mvn";
    node needs "node" "npm";
    python needs "python3";
    rust needs "cargo";
}

fn needs(program: &str) -> bool {
    tools::find(program).is_some()
}

fn done_with(program: &str) -> bool {
    tools::look_for(program).is_some()
}

async fn client(language: &str) {
    let servers = Servers::start().await.expect("servers");
    let page = Page::read(&format!("docs/clients/{language}.md")).expect("the page");
    page.run(&servers.place()).await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// The recipes of operators, and the tools that they are for.
const RECIPES: &str = "docs/operations/grpc.md";
const BY_HAND: [&str; 2] = ["grpcurl", "buf"];

#[tokio::test]
async fn calls_by_hand() {
    if BY_HAND.iter().any(|program| tools::find(program).is_none()) {
        return;
    }
    let servers = Servers::start().await.expect("servers");
    let page = Page::read(RECIPES).expect("the page");
    page.run(&servers.place()).await.unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn every_call_has_a_recipe_for_each_tool() {
    let page = Page::read(RECIPES).expect("the page");
    let commands: Vec<_> = page.blocks("sh").map(|block| block.text.replace("\\\n", "")).collect();
    let with = |tool: &str, method: &str| {
        let mut lines = commands.iter().flat_map(|block| block.lines());
        let calls = |line: &str| line.split_whitespace().any(|word| word.ends_with(method));
        lines.any(|line| line.contains(tool) && calls(line))
    };
    let mut missing = Vec::new();
    for set in [holdfast_proto::FILE_DESCRIPTOR_SET, tonic_health::pb::FILE_DESCRIPTOR_SET] {
        let set: FileDescriptorSet = prost::Message::decode(set).expect("descriptors");
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let method = format!("{}.{}/{}", file.package(), service.name(), method.name());
                    let without = ["grpcurl ", "buf curl "].into_iter();
                    let without = without.filter(|tool| !with(tool, &method));
                    missing.extend(without.map(|tool| format!("{tool}{method}")));
                }
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    for reflection in [" list", " describe ", "--list-methods"] {
        assert!(commands.iter().any(|command| command.contains(reflection)), "{reflection}");
    }
}

#[test]
fn every_page_of_a_language_is_done() {
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        name.strip_suffix(".md").expect("a page").to_owned()
    };
    let pages: BTreeSet<String> =
        fs::read_dir(docs::path("docs/clients")).expect("the folder").map(name).collect();
    let done = CLIENTS.iter().copied().chain(["README"]).map(str::to_owned);
    assert_eq!(pages, done.collect());
}

/// A page that is rendered does not show what opens a block, and with it the name of a file.
#[test]
fn every_file_is_named_before_it_is_shown() {
    for language in CLIENTS {
        let path = format!("docs/clients/{language}.md");
        let text = fs::read_to_string(docs::path(&path)).expect("the page");
        for (name, block) in Page::read(&path).expect("the page").files() {
            let before = text.lines().take(block.line - 2).filter(|line| !line.is_empty()).last();
            assert_eq!(before, Some(format!("`{name}`:").as_str()), "{path}:{}", block.line);
        }
    }
}

#[test]
fn a_page_is_read_block_by_block() {
    let page = "# A\n```py a/b.py\nx = 1\n```\nThen:\n```sh\nls\n```\n\n```text\na…\n```\nsee\n```text\nb\n```\n";
    let told: Vec<_> = blocks(page).into_iter().map(|it| (it.info, it.text, it.line)).collect();
    let block = |info: &str, text: &str, line| (info.to_owned(), text.to_owned(), line);
    let wanted = [
        block("py a/b.py", "x = 1\n", 3),
        block("sh", "ls\n", 7),
        block("text", "a…\n", 11),
        block("text", "b\n", 15),
    ];
    assert_eq!(told, wanted);
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    for (shown, printed, fit) in [
        ("token 1", "token 1", true),
        ("token 1", "token 12", false),
        ("token …", "token 12", true),
        ("… left of …s", "3 left of 4s", true),
        ("… left", "3 right", false),
    ] {
        assert_eq!(fits(shown, printed), fit, "{shown} {printed}");
    }
}

/// A page whose commands fail, or print something else, or more, is not passed.
#[tokio::test]
async fn a_page_that_does_not_hold_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("page.md");
    let run = async |page: &str| {
        fs::write(&path, page).unwrap();
        Page::read(path.to_str().unwrap()).unwrap().run(&Place::default()).await
    };
    run("```sh\necho a b\n```\n```text\na …\n```\n").await.unwrap();
    run("```sh\nx=1\n```\n```sh\necho $x; sleep 60 &\n```\n```text\n1\n```\n").await.unwrap();
    for page in [
        "```sh\nfalse\n```\n",
        "```sh\necho b\n```\n```text\na\n```\n",
        "```sh\necho a; echo b\n```\n```text\na\n```\n",
        "```sh\necho $HOLDFAST_NOT_SET\n```\n",
    ] {
        assert!(run(page).await.is_err(), "{page}");
    }
}
