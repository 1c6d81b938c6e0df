//! Cached lists on two servers that share a Redis: they show every change that was answered, whoever made it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tidegate_testing::redis::{RedisCluster, RedisServer};
use tokio::time::{Instant, sleep, timeout};

use crate::after_commit::of_ones_own;
use crate::authorization::all_operations;
use crate::authorization::examples::Example;
use crate::authorization::operators::quarantine;
use crate::authorization::world::{World, request};
use crate::support::{Answer, Person, TestApp, text};

/// Lists of a workspace that are not cached: the engine, ingest, uploads and the job runner change them all the time, and money is never
/// shown as it was.
const NOT_CACHED: &[&str] = &[
    "GET /api/v1/workspaces/{ws}/events",
    "GET /api/v1/workspaces/{ws}/files",
    "GET /api/v1/workspaces/{ws}/credit-notes",
    "GET /api/v1/workspaces/{ws}/invoices",
    "GET /api/v1/workspaces/{ws}/payments",
    "GET /api/v1/workspaces/{ws}/jobs",
    "GET /api/v1/workspaces/{ws}/ledger",
    "GET /api/v1/workspaces/{ws}/runs",
    "GET /api/v1/workspaces/{ws}/usage/corrections",
];

/// The Redis that `cargo xtask test` starts.
fn redis() -> String {
    std::env::var("TIDEGATE_TEST_REDIS_URL").expect("run the tests with `cargo xtask test`")
}

/// Reads of a workspace, and of the person.
fn reads(document: &Value) -> Vec<String> {
    let mut reads = all_operations(document);
    reads.retain(|operation| {
        let persons = ["GET /api/v1/workspaces", "GET /api/v1/auth/me"].contains(&operation.as_str());
        operation.starts_with("GET ") && (operation.contains("/{ws}") || persons)
    });
    reads
}

/// Whether the response of a read is a list with pages.
fn is_list(document: &Value, read: &str) -> bool {
    let described = &document["paths"][read.trim_start_matches("GET ")]["get"];
    let parameters = described["parameters"].as_array().into_iter().flatten();
    parameters.into_iter().any(|parameter| parameter["name"] == "cursor")
}

/// What a caller sees of a response.
fn essence(answer: &Answer) -> (u16, Vec<u8>, String, String) {
    let header = |name| answer.header(name).to_owned();
    let body = if answer.status.is_success() { answer.bytes.clone() } else { Vec::new() };
    (answer.status.as_u16(), body, header("etag"), header("tidegate-watermark"))
}

async fn read(app: &TestApp, example: &Example, token: &str) -> Answer {
    request(app, example, Some(token)).send().await
}

async fn read_fresh(app: &TestApp, example: &Example, token: &str) -> Answer {
    request(app, example, Some(token)).header("cache-control", "no-cache").send().await
}

#[tokio::test]
async fn every_list_shows_every_change_on_every_server() {
    let url = redis();
    let world = World::with(&["--redis-url", &url]).await;
    let operator = world.app.person("operator").await;
    let reader = world.app.beside(&["--redis-url", &url, "--role", "api"]).await;
    let writer = world.app.beside(&["--redis-url", &url, "--role", "api", "--operator", &operator.id]).await;
    let reads = reads(&world.document);
    let (mut changes, mut shown, mut cached_lists, mut compared) = (0, 0, BTreeSet::new(), BTreeSet::new());
    for operation in all_operations(&world.document).iter().filter(|operation| !operation.starts_with("GET ")) {
        let mut place = world.place(operation).await;
        if operation.contains("/quarantine/") {
            quarantine(&world, &place).await;
        }
        let mut change = world.example(operation, &place);
        let person = of_ones_own(&world, operation, &mut change).await;
        // An invoice and its credit notes belong to a subscription, of which a workspace has one.
        let subscribes = operation.starts_with("PUT ") && operation.ends_with("/subscription");
        let reads: Vec<&String> =
            reads.iter().filter(|read| !(subscribes && (read.contains("{inv}") || read.contains("{note}")))).collect();
        for read in &reads {
            world.complete(&mut place, read).await;
        }
        let token = world.owner_token();
        let mut before = Vec::new();
        for name in reads {
            let example = Example::of_get(&place.fill(name.trim_start_matches("GET ")));
            // Such as the content of a deleted file, which is to be restored.
            if read(&reader, &example, token).await.status != 200 {
                continue;
            }
            compared.insert(name.clone());
            let again = read(&reader, &example, token).await;
            let is_cached = !again.header("cache-status").is_empty();
            if is_cached {
                cached_lists.insert(name.clone());
            }
            before.push((name, example, is_cached, essence(&again)));
        }
        let changer = match &person {
            Some(person) => person.token.as_str(),
            None if operation.contains("/monitoring/") => &operator.token,
            None => token,
        };
        let answer = request(&writer, &change, Some(changer)).send().await;
        assert!(answer.status.is_success(), "{operation}: {}", answer.json());
        changes += 1;
        for (name, example, is_cached, before) in before {
            let now = read(&reader, &example, token).await;
            let fresh = read_fresh(&reader, &example, token).await;
            if essence(&now) == essence(&fresh) {
                shown += usize::from(is_cached && essence(&now) != before);
                continue;
            }
            // Detection and the engine may have gone on in between. What only callers change must be the same.
            let detected = name.ends_with("/patterns") || name.ends_with("/suggestions");
            assert!(
                !is_cached || detected,
                "after {operation}, {name} is {:?} and not {:?}",
                essence(&now),
                essence(&fresh)
            );
            let settled = async {
                while essence(&read(&reader, &example, token).await)
                    != essence(&read_fresh(&reader, &example, token).await)
                {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(Duration::from_secs(20), settled).await.unwrap_or_else(|_| panic!("{name} after {operation}"));
        }
    }
    assert!(changes > 20 && shown > 30, "{changes} changes, {shown} of them in a list that was cached");
    let lists = reads.iter().filter(|read| read.contains("/{ws}/") && is_list(&world.document, read));
    let lists: BTreeSet<String> = lists.cloned().collect();
    let never: Vec<_> = reads.iter().filter(|read| !compared.contains(*read)).collect();
    assert!(never.is_empty(), "reads that never succeeded: {never:?}");
    let not_cached: BTreeSet<String> = NOT_CACHED.iter().map(|list| (*list).to_owned()).collect();
    assert!(not_cached.is_subset(&lists), "a list that is gone: take it off NOT_CACHED");
    assert_eq!(
        lists.difference(&not_cached).cloned().collect::<BTreeSet<_>>(),
        cached_lists,
        "answer each list with `services.lists.answer`, or say in NOT_CACHED why not"
    );
}

#[tokio::test]
async fn lists_are_cached_for_their_reader_and_hit_rates_are_seen() {
    let (url, app) = (redis(), TestApp::operated(&[]).await);
    for flags in [["--cache", "in-process"], ["--redis-url", &url]] {
        let app = app.beside(&flags).await;
        let names = [flags[0], "ada"].map(|part| part.replace('-', ""));
        let (ada, eve) = (app.person(&names.concat()).await, app.person(&format!("eve{}", names[0])).await);
        let workspace = app.workspace(&ada, "Acme").await;
        app.join(&workspace, &eve, tidegate_tenancy::Role::VIEWER).await;
        let path = format!("/api/v1/workspaces/{workspace}/workflows");
        let status = async |person: &Person, query: &str| {
            let answer = app.get(&format!("{path}{query}")).bearer(&person.token).send().await;
            answer.expect(200);
            answer.header("cache-status").to_owned()
        };
        assert_eq!(status(&ada, "").await, "tidegate; fwd=miss; stored", "{flags:?}");
        assert_eq!(status(&ada, "").await, "tidegate; hit", "{flags:?}");
        assert_eq!(status(&eve, "").await, "tidegate; fwd=miss; stored", "another reader");
        assert_eq!(status(&ada, "?limit=1").await, "tidegate; fwd=miss; stored", "another query");
        let fresh = app.get(&path).bearer(&ada.token).header("cache-control", "no-cache").send().await;
        assert_eq!(fresh.header("cache-status"), "tidegate; fwd=request; stored");
        // A hit has its tag too, and is compressed like everything else.
        let tag = app.get(&path).bearer(&ada.token).send().await.header("etag").to_owned();
        let known = app.get(&path).bearer(&ada.token).header("if-none-match", &tag).send().await;
        assert_eq!((known.status.as_u16(), known.header("cache-status")), (304, "tidegate; hit"));
        app.get(&format!("{path}?limit=0")).bearer(&ada.token).send().await.expect_problem(400, "invalid-query");
        app.get(&format!("{path}?cursor=x")).bearer(&ada.token).send().await.expect_problem(400, "invalid-cursor");
        let metrics = app.get("/metrics").send().await;
        let metrics = String::from_utf8_lossy(&metrics.bytes).into_owned();
        let hits = metrics.lines().find(|line| line.starts_with("cache_lookups_total{cache=\"lists\",result=\"hit\"}"));
        assert!(hits.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
    }
}

#[tokio::test]
async fn servers_that_share_only_a_database_cache_no_lists() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/workflows", app.workspace(&ada, "Acme").await);
    for _ in 0..2 {
        let answer = app.get(&path).bearer(&ada.token).send().await;
        assert_eq!(answer.header("cache-status"), "tidegate; fwd=bypass");
    }
}

#[tokio::test]
async fn who_lost_access_gets_no_list_from_the_cache() {
    let url = redis();
    let app = TestApp::spawn_with(&["--redis-url", &url]).await;
    let (ada, eve) = (app.person("Ada").await, app.person("Eve").await);
    let workspace = app.workspace(&ada, "Acme").await;
    app.join(&workspace, &eve, tidegate_tenancy::Role::ADMIN).await;
    let (key, secret) = app.api_key(&ada, &workspace, &["workflows:read", "members:read"]).await;
    let path = format!("/api/v1/workspaces/{workspace}");
    for token in [&eve.token, &secret] {
        for _ in 0..2 {
            app.get(&format!("{path}/members")).bearer(token).send().await.expect(200);
        }
    }
    // With a lower role, the same list is read with other permissions.
    let keys = format!("{path}/api-keys");
    for _ in 0..2 {
        app.get(&keys).bearer(&eve.token).send().await.expect(200);
    }
    let patch = app.request(Method::PATCH, &format!("{path}/members/{}", eve.id)).bearer(&ada.token);
    patch.body("application/merge-patch+json", json!({ "role": "viewer" }).to_string()).send().await.expect(200);
    let refused = async |path: &str, token: &str, status: u16| {
        let refused = async {
            while app.get(path).bearer(token).send().await.status.as_u16() != status {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(5), refused).await.expect("access ends");
        for _ in 0..3 {
            app.get(path).bearer(token).send().await.expect(status);
        }
    };
    refused(&keys, &eve.token, 403).await;
    app.request(Method::DELETE, &format!("{path}/members/{}", eve.id)).bearer(&ada.token).send().await.expect(204);
    refused(&format!("{path}/members"), &eve.token, 404).await;
    app.request(Method::DELETE, &format!("{path}/api-keys/{key}")).bearer(&ada.token).send().await.expect(204);
    refused(&format!("{path}/members"), &secret, 401).await;
}

#[tokio::test]
async fn detection_invalidates_what_it_changes() {
    let url = redis();
    let app = TestApp::spawn_with(&["--redis-url", &url]).await;
    let reader = app.beside(&["--redis-url", &url, "--role", "api"]).await;
    let ada = app.person("Ada").await;
    let workspace = app.workspace(&ada, "Acme").await;
    let path = format!("/api/v1/workspaces/{workspace}/patterns");
    let began = Instant::now();
    for times in [1, 2, 3] {
        // The other server has the list from before.
        reader.get(&path).bearer(&ada.token).send().await.expect(200);
        let cached = reader.get(&path).bearer(&ada.token).send().await;
        assert_eq!(cached.header("cache-status"), "tidegate; hit");
        // Reads until the watermark has come, from a list that is cached in between.
        let position = app.change_together(&ada, &workspace, "a", "b", times).await;
        let now = reader.get(&path).bearer(&ada.token).send().await;
        assert!(now.header("tidegate-watermark").parse::<i64>().is_ok_and(|watermark| watermark >= position));
    }
    assert!(began.elapsed() < Duration::from_secs(28), "no list has ended by its age meanwhile");
}

/// Writes and reads on two servers while `disturb` runs. Checks that no request fails, that no list is older than what
/// was answered two seconds before, and that lists are cached again afterwards.
async fn under_load(url: &str, disturb: impl Future<Output = ()>) {
    let app = TestApp::spawn_with(&["--redis-url", url]).await;
    let other = app.beside(&["--redis-url", url, "--role", "api"]).await;
    let ada = app.person("Ada").await;
    let path = format!("/api/v1/workspaces/{}/workflows", app.workspace(&ada, "Acme").await);
    let (app, other, token) = (Arc::new(app), Arc::new(other), Arc::new(ada.token.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    // When each workflow was answered.
    let answered: Arc<std::sync::Mutex<Vec<Instant>>> = Arc::default();
    let reads = Arc::new(AtomicUsize::new(0));
    let number = |list: &Value| text(&list["items"][0]["name"]).parse::<usize>().expect("a number");
    let create = async |app: &TestApp, n: usize, token: &str| {
        let new = json!({ "name": n.to_string(), "steps": [{ "id": "shape", "uses": "transform" }] });
        app.post(&path).bearer(token).json(&new).send().await.expect(201);
    };
    create(&app, 1, &token).await;
    answered.lock().expect("no panic").push(Instant::now());
    let newest = format!("{path}?limit=1");
    let reader = |app: &Arc<TestApp>| {
        let (app, token, stop, answered) = (app.clone(), token.clone(), stop.clone(), answered.clone());
        let (newest, reads) = (newest.clone(), reads.clone());
        async move {
            while !stop.load(Ordering::SeqCst) {
                let due = Instant::now().checked_sub(Duration::from_secs(2));
                let expected = answered.lock().expect("no panic").iter().filter(|at| Some(**at) < due).count();
                let list = app.get(&newest).bearer(&token).send().await.expect(200);
                assert!(number(&list) >= expected, "{} after {expected} was answered", number(&list));
                reads.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let writer = async {
        let mut n = 1;
        while !stop.load(Ordering::SeqCst) {
            n += 1;
            create(if n % 2 == 0 { &app } else { &other }, n, &token).await;
            answered.lock().expect("no panic").push(Instant::now());
            sleep(Duration::from_millis(10)).await;
        }
    };
    let disturbing = async {
        disturb.await;
        // Lists are cached again while the load goes on, and then stay.
        stop.store(true, Ordering::SeqCst);
    };
    let readers = futures::future::join(reader(&app), reader(&other));
    futures::future::join3(disturbing, writer, readers).await;
    for app in [&app, &other] {
        let cached = async {
            loop {
                let answer = app.get(&newest).bearer(&token).send().await;
                let list = answer.expect(200);
                assert_eq!(number(&list), answered.lock().expect("no panic").len(), "the last one is shown at once");
                if answer.header("cache-status") == "tidegate; hit" {
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), cached).await.expect("lists are cached again");
    }
    assert!(reads.load(Ordering::SeqCst) > 50, "there was load");
}

#[tokio::test]
async fn the_service_goes_on_while_redis_is_stopped_and_started_again() {
    let mut server = RedisServer::start(&["--save", "3600 1"]).await;
    let url = server.url();
    let disturb = async {
        for _ in 0..2 {
            sleep(Duration::from_millis(700)).await;
            server.command(&["SAVE"]).await;
            sleep(Duration::from_millis(300)).await;
            server.kill().await;
            sleep(Duration::from_millis(1500)).await;
            server.start_again().await;
        }
        sleep(Duration::from_millis(1500)).await;
    };
    under_load(&url, disturb).await;
}

#[tokio::test]
async fn the_service_goes_on_while_a_node_of_the_cluster_is_started_again() {
    let mut cluster = RedisCluster::start().await;
    let url = cluster.url();
    let disturb = async {
        for n in 0..3 {
            sleep(Duration::from_millis(700)).await;
            cluster.nodes[n].kill().await;
            sleep(Duration::from_millis(700)).await;
            cluster.nodes[n].start_again().await;
            cluster.until_whole().await;
        }
        sleep(Duration::from_millis(1500)).await;
    };
    under_load(&url, disturb).await;
}
