//! Responses while PostgreSQL is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Answer, TestApp};

/// The state of the path to PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Connections work.
    Open,
    /// Connections are refused, and existing ones are closed.
    Refused,
    /// Connections are accepted, and no data passes.
    Hanging,
}

/// A proxy to PostgreSQL that can be blocked.
struct Barrier {
    url: String,
    way: Arc<watch::Sender<Way>>,
}

impl Barrier {
    async fn before(url: &str) -> Self {
        let (head, rest) = url.split_once('@').expect("an address with a login");
        let (host, path) = rest.split_once('/').expect("an address with a database");
        let database = path.split('?').next().unwrap_or_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = Arc::new(watch::Sender::new(Way::Open));
        let (host, ways) = (host.to_owned(), way.clone());
        tokio::spawn(async move {
            let mut listener = Some(listener);
            let mut changes = ways.subscribe();
            loop {
                let way = *changes.borrow_and_update();
                match way {
                    Way::Refused => listener = None,
                    _ if listener.is_none() => listener = Some(TcpListener::bind(address).await.expect("the port")),
                    _ => {}
                }
                let accept = async {
                    match &listener {
                        Some(listener) => listener.accept().await.expect("a connection").0,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    client = accept => { tokio::spawn(relay(client, host.clone(), ways.subscribe())); }
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
        });
        Self { url: format!("{head}@{address}/{database}?sslmode=disable"), way }
    }

    fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// Forwards data while the path is open.
async fn relay(mut client: TcpStream, host: String, mut way: watch::Receiver<Way>) {
    if way.wait_for(|way| *way != Way::Hanging).await.is_err() {
        return;
    }
    let mut server = TcpStream::connect(&host).await.expect("the PostgreSQL answers");
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = way.wait_for(|way| *way != Way::Open) => {}
    }
    // While it hangs, both ends stay open and nothing is read from either. Data under way is lost.
    let _ = way.wait_for(|way| *way != Way::Hanging).await;
}

/// A server behind a barrier, and a caller.
struct Scene {
    barrier: Barrier,
    server: TestApp,
    token: String,
}

impl Scene {
    async fn new() -> Self {
        let app = TestApp::spawn().await;
        let barrier = Barrier::before(app.database.url()).await;
        let server = app.at(&barrier.url, &["--role", "api"]).await;
        let token = server.person("Ada").await.token;
        Self { barrier, server, token }
    }

    /// The response to a request that needs the database, and how long it took.
    async fn ask(&self) -> (Answer, Duration) {
        let began = Instant::now();
        let answer = self.server.get("/api/v1/workspaces").bearer(&self.token).send().await;
        (answer, began.elapsed())
    }

    #[track_caller]
    fn is_refused(answer: &Answer, took: Duration) {
        answer.expect_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    async fn metric(&self, name: &str) -> f64 {
        let metrics = String::from_utf8(self.server.get("/metrics").send().await.bytes).expect("text");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name}{{pool=\"api\"}} ")));
        line.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().expect("a number")
    }

    /// Blocks the path, and checks all responses until it is open again.
    async fn outage(&self, way: Way) {
        self.ask().await.0.expect(200);
        self.barrier.set(way);
        // Ten requests at once, as at the beginning of an outage, and then one after the other, as during it.
        let first = futures::future::join_all((0..10).map(|_| self.ask())).await;
        for (answer, took) in first {
            Self::is_refused(&answer, took);
        }
        for _ in 0..10 {
            let (answer, took) = self.ask().await;
            Self::is_refused(&answer, took);
        }
        let ready = self.server.get("/health/readiness").send().await;
        let ready = ready.expect(503);
        assert_eq!(ready["unavailable"], json!(["database"]), "{ready}");
        assert!(["open", "half_open"].contains(&ready["database_breaker"].as_str().expect("a state")), "{ready}");
        assert_eq!(self.server.get("/health/liveness").send().await.expect(200)["status"], "ok");
        assert!((self.metric("database_breaker_open").await - 1.0).abs() < f64::EPSILON);
        assert!(self.metric("database_breaker_refusals_total").await >= 10.0);

        self.barrier.set(Way::Open);
        let again = async {
            while self.ask().await.0.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), again).await.expect("it answers again");
        let ready = self.server.get("/health/readiness").send().await.expect(200);
        assert_eq!((&ready["unavailable"], &ready["database_breaker"]), (&json!([]), &"closed".into()), "{ready}");
        assert!(self.metric("database_breaker_open").await.abs() < f64::EPSILON);
        self.ask().await.0.expect(200);
    }
}

#[tokio::test]
async fn while_nobody_listens_requests_are_refused_within_a_second() {
    let scene = Scene::new().await;
    scene.outage(Way::Refused).await;
    scene.outage(Way::Refused).await;
}

#[tokio::test]
async fn while_the_database_hangs_requests_are_refused_within_a_second() {
    let scene = Scene::new().await;
    scene.outage(Way::Hanging).await;
    scene.outage(Way::Hanging).await;
}

#[tokio::test]
async fn a_server_without_requests_recovers_by_its_readiness() {
    let scene = Scene::new().await;
    scene.barrier.set(Way::Refused);
    let ready = async |status: u16| {
        while scene.server.get("/health/readiness").send().await.status != status {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready(503)).await.expect("it is not ready");
    scene.barrier.set(Way::Open);
    tokio::time::timeout(Duration::from_secs(10), ready(200)).await.expect("it is ready again");
    scene.ask().await.0.expect(200);
}

#[tokio::test]
async fn sessions_that_the_server_has_ended_are_felt_by_nobody() {
    let scene = Scene::new().await;
    for _ in 0..3 {
        let warm = futures::future::join_all((0..8).map(|_| scene.ask())).await;
        warm.iter().for_each(|(answer, _)| drop(answer.expect(200)));
        // As a restart or an administrator does.
        let end = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name like 'tidegate%' and pid <> pg_backend_pid()";
        scene.server.database.run(end.to_owned()).await;
        let answers = futures::future::join_all((0..8).map(|_| scene.ask())).await;
        answers.iter().for_each(|(answer, _)| drop(answer.expect(200)));
    }
    assert!(scene.metric("database_breaker_openings_total").await.abs() < f64::EPSILON);
}
