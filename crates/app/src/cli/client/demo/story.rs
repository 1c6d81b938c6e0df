//! The chapters of the demo. Each checks what it shows, and fails with what went wrong.

use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::paid::plan_file_and_invoice;
use super::screen::Screen;
use super::visit::Login;
use crate::cli::Failure;
use crate::cli::client::api::{Api, Proxies, number, text};
use crate::system;

/// The sample log: CloudEvents, one a line, compressed with gzip.
const SAMPLE: &[u8] = include_bytes!("../../../../assets/file-events.jsonl.gz");

/// The number of events in one request.
const BATCH: usize = 500;

/// The timeout of one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The timeout of each step of the demo.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The interval of polling.
const GLANCE: Duration = Duration::from_millis(50);

/// Runs the demo on the server at `base`, and returns the login that it leaves there. `own_server` says whether the demo
/// has started it.
///
/// # Errors
/// [`Failure`] for the first thing that did not happen as expected.
pub(crate) async fn run_story(base: &str, screen: &Screen, own_server: bool) -> Result<Login, Failure> {
    let unusable = |error| Failure::Failed(format!("cannot make an HTTP client: {error}"));
    let api = Api::new(base, ANSWER_WITHIN, Proxies::Ignored).map_err(unusable)?;
    let mut sample = String::new();
    let unpacked = MultiGzDecoder::new(SAMPLE).read_to_string(&mut sample);
    unpacked.map_err(|error| Failure::Failed(format!("the sample log cannot be unpacked: {error}")))?;
    let lines: Vec<&str> = sample.lines().filter(|line| !line.trim().is_empty()).collect();

    screen.chapter("A person and a workspace");
    let (api, mut login) = register(&api, screen).await?;
    if own_server {
        verify(&api, screen).await?;
    }
    let (first, slug) = found(&api, "Demo").await?;
    login.workspace = slug;
    screen.done(&format!("workspace {} ({first})", login.workspace));
    has_room(&api, &first, lines.len()).await?;

    screen.chapter("Events");
    let position = load(&api, screen, &first, &lines).await?;
    await_detection(&api, screen, &first, position).await?;

    screen.chapter("Patterns");
    patterns(&api, screen, &first).await?;

    screen.chapter("Suggestions");
    let suggestion = suggestions(&api, screen, &first).await?;

    screen.chapter("A workflow");
    let workflow = apply(&api, screen, &first, &suggestion).await?;
    login.subject = subject(&suggestion).unwrap_or_default().to_owned();
    let run = run(&api, screen, &first, &workflow, &suggestion).await?;

    screen.chapter("A plan, a file and an invoice");
    plan_file_and_invoice(&api, screen, &first, SAMPLE, own_server).await?;

    screen.chapter("Usage");
    usage(&api, screen, &first).await?;

    screen.chapter("Another workspace sees none of it");
    let (second, slug) = found(&api, "Demo, next door").await?;
    screen.done(&format!("workspace {slug} ({second})"));
    sees_nothing(&api, screen, &second, &run).await?;
    Ok(login)
}

async fn register(api: &Api, screen: &Screen) -> Result<(Api, Login), Failure> {
    let env = system::environment();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let email = format!("demo-{}@example.org", hex(&env.random::<4>()));
    let password = hex(&env.random::<10>());
    let person = json!({"email": email, "password": password, "name": "Demo"});
    api.post("/auth/register", &person).await?;
    screen.done(&format!("{email} is registered"));
    let answer = api.post("/auth/login", &json!({"email": email, "password": password})).await?;
    let token = text(&answer.body, "/access_token").to_owned();
    if token.is_empty() {
        return Err(Failure::Failed("the log-in brought no access token".to_owned()));
    }
    screen.done("logged in");
    let login = Login { email, password, workspace: String::new(), token, subject: String::new() };
    Ok((api.with_token(&login.token), login))
}

/// Follows the link in the mail, which the demo's own server has kept.
async fn verify(api: &Api, screen: &Screen) -> Result<(), Failure> {
    let until = Instant::now() + TIMEOUT;
    while Instant::now() < until {
        let kept = api.get("/dev/mail?limit=1").await?;
        let link = kept.items().iter().find_map(|mail| text(mail, "/text").split_once("/account/verify#"));
        if let Some(token) = link.and_then(|(_, rest)| rest.split_whitespace().next()) {
            api.post("/auth/verify", &json!({"token": token})).await?;
            screen.done("the address is verified by the link in the mail");
            return Ok(());
        }
        sleep(GLANCE).await;
    }
    Err(Failure::Failed("the mail that verifies the address did not come".to_owned()))
}

async fn found(api: &Api, name: &str) -> Result<(String, String), Failure> {
    let [one, other] = system::environment().random::<2>();
    let slug = format!("{}-{one:02x}{other:02x}", name.to_lowercase().replace(", ", "-").replace(' ', "-"));
    let answer = api.post("/workspaces", &json!({"name": name, "slug": slug})).await?;
    Ok((text(&answer.body, "/id").to_owned(), text(&answer.body, "/slug").to_owned()))
}

/// Fails if the plan's quota would stop the demo in the middle.
async fn has_room(api: &Api, workspace: &str, events: usize) -> Result<(), Failure> {
    let usage = api.get(&format!("/workspaces/{workspace}/usage")).await?;
    let needed = i64::try_from(events).unwrap_or(i64::MAX).saturating_add(10);
    let meter = usage.items().iter().find(|line| text(line, "/meter") == "events");
    let limit = meter.and_then(|line| line.get("limit")).and_then(Value::as_i64);
    match limit {
        Some(limit) if limit - meter.map_or(0, |line| number(line, "/used")) < needed => {
            Err(Failure::Refused(format!(
                "this server's plan for a new workspace allows {limit} events in a period and the demo sends {needed}; \
             start the server with `--default-plan unlimited`, or run `tidegate demo` without --url"
            )))
        }
        _ => Ok(()),
    }
}

async fn load(api: &Api, screen: &Screen, workspace: &str, lines: &[&str]) -> Result<i64, Failure> {
    let (mut position, mut sent, mut accepted) = (0, 0, 0);
    let all = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    for batch in lines.chunks(BATCH) {
        let answer = api.post_lines(&format!("/workspaces/{workspace}/events"), &batch.join("\n")).await?;
        position = answer.position("tidegate-position").max(position);
        accepted += number(&answer.body, "/accepted");
        sent += i64::try_from(batch.len()).unwrap_or(0);
        screen.progress("sending", sent, all);
    }
    if accepted != all {
        return Err(Failure::Failed(format!("{accepted} of {all} events were accepted")));
    }
    screen.done(&format!("{accepted} events of the history of a real project are in, at position {position}"));
    Ok(position)
}

async fn await_detection(api: &Api, screen: &Screen, workspace: &str, position: i64) -> Result<(), Failure> {
    let began = Instant::now();
    let mut seen = -1;
    loop {
        let answer = api.get(&format!("/workspaces/{workspace}/patterns?limit=1")).await?;
        let watermark = answer.position("tidegate-watermark").min(position);
        if watermark != seen {
            seen = watermark;
            screen.progress("detecting", watermark, position);
        }
        if watermark >= position {
            break;
        }
        if began.elapsed() > TIMEOUT {
            return Err(Failure::Failed(format!("detection stands at {watermark} of {position}; does a worker run?")));
        }
        sleep(GLANCE).await;
    }
    screen.done(&format!("all of them are counted, {:.1} s after the last was sent", began.elapsed().as_secs_f64()));
    Ok(())
}

async fn patterns(api: &Api, screen: &Screen, workspace: &str) -> Result<(), Failure> {
    for (kind, what, query) in [
        ("co_occurrence", "change together", "&min_confidence=0.5"),
        ("sequence", "follow each other", ""),
        ("frequency", "happen often", ""),
    ] {
        let answer = api.get(&format!("/workspaces/{workspace}/patterns?kind={kind}&limit=4{query}")).await?;
        screen.item(&screen.strong(&format!("What things {what}:")));
        for pattern in answer.items() {
            let confidence = pattern.get("confidence").and_then(Value::as_f64).unwrap_or(0.0) * 100.0;
            let lift = pattern
                .get("lift")
                .and_then(Value::as_f64)
                .map_or(String::new(), |lift| format!(", {lift:.1} times chance"));
            let numbers = screen.faint(&format!("({confidence:.0} %{lift})"));
            screen.item(&format!("  {} {numbers}", screen.outside(text(pattern, "/description"))));
        }
        if answer.items().is_empty() && kind != "sequence" {
            return Err(Failure::Failed(format!("no pattern of the kind {kind} was found in the sample")));
        }
    }
    Ok(())
}

async fn suggestions(api: &Api, screen: &Screen, workspace: &str) -> Result<Value, Failure> {
    let answer = api.get(&format!("/workspaces/{workspace}/suggestions?status=open&limit=5")).await?;
    for suggestion in answer.items() {
        screen.item(&screen.strong(&screen.outside(text(suggestion, "/title"))));
        screen.item(&format!("  {}", screen.outside(text(suggestion, "/reasoning"))));
    }
    let wanted = |suggestion: &&Value| text(suggestion, "/template").starts_with("co_change_reminder");
    let found = answer.items().iter().find(wanted).or_else(|| answer.items().first());
    found.cloned().ok_or_else(|| Failure::Failed("nothing was suggested".to_owned()))
}

async fn apply(api: &Api, screen: &Screen, workspace: &str, suggestion: &Value) -> Result<String, Failure> {
    let path = format!("/workspaces/{workspace}/suggestions/{}/apply", text(suggestion, "/id"));
    let answer = api.post(&path, &json!({})).await?;
    let id = text(&answer.body, "/id").to_owned();
    screen.done(&format!("applied: \"{}\" is a draft ({id})", screen.outside(text(&answer.body, "/name"))));
    api.post(&format!("/workspaces/{workspace}/workflows/{id}/publish"), &json!({})).await?;
    screen.done("published: it runs by itself whenever its trigger fires");
    Ok(id)
}

/// The subject that the suggested workflow listens to.
fn subject(suggestion: &Value) -> Option<&str> {
    let parameter = |name| suggestion.pointer(name).and_then(Value::as_str);
    parameter("/parameters/antecedent").or_else(|| parameter("/parameters/from"))
}

/// Starts a run by hand and follows it; returns its id.
async fn run(
    api: &Api,
    screen: &Screen,
    workspace: &str,
    workflow: &str,
    suggestion: &Value,
) -> Result<String, Failure> {
    let input = match subject(suggestion) {
        Some(path) => json!({"path": path, "wait": "1s"}),
        None => json!({}),
    };
    let started =
        api.post(&format!("/workspaces/{workspace}/workflows/{workflow}/runs"), &json!({"input": input})).await?;
    let id = text(&started.body, "/id").to_owned();
    screen.done(&format!("started once by hand ({id})"));
    let began = Instant::now();
    let mut told: Vec<(String, String)> = Vec::new();
    loop {
        let run = api.get(&format!("/workspaces/{workspace}/runs/{id}")).await?.body;
        for step in run.get("steps").and_then(Value::as_array).into_iter().flatten() {
            let now = (text(step, "/id").to_owned(), text(step, "/status").to_owned());
            if now.1 != "pending" && !told.contains(&now) {
                let output = step.get("output").filter(|output| !output.is_null());
                let output = output.map_or(String::new(), |output| screen.faint(&screen.outside(&output.to_string())));
                screen.item(&format!("{:<10} {:<14} {:<10} {output}", now.0, text(step, "/uses"), now.1));
                told.push(now);
            }
        }
        match text(&run, "/status") {
            "completed" => {
                let outputs = run.get("outputs").map(ToString::to_string).unwrap_or_default();
                screen.done(&format!("completed: {}", screen.outside(&outputs)));
                return Ok(id);
            }
            status @ ("failed" | "cancelled" | "timed_out") => {
                let error = run.get("error").map(ToString::to_string).unwrap_or_default();
                return Err(Failure::Failed(format!("the run {id} is {status}: {error}")));
            }
            status if began.elapsed() > TIMEOUT => {
                return Err(Failure::Failed(format!("the run {id} is still {status}; does a worker run?")));
            }
            _ => sleep(GLANCE).await,
        }
    }
}

async fn usage(api: &Api, screen: &Screen, workspace: &str) -> Result<(), Failure> {
    let usage = api.get(&format!("/workspaces/{workspace}/usage")).await?;
    for line in usage.items() {
        let limit =
            line.get("limit").and_then(Value::as_i64).map_or("no limit".to_owned(), |limit| format!("of {limit}"));
        screen.item(&format!("{:<16} {:>8}  {}", text(line, "/meter"), number(line, "/used"), screen.faint(&limit)));
    }
    Ok(())
}

/// Checks that the other workspace is empty, and that objects of the first do not exist there.
async fn sees_nothing(api: &Api, screen: &Screen, workspace: &str, run: &str) -> Result<(), Failure> {
    for list in ["events", "patterns", "suggestions", "workflows", "runs"] {
        let answer = api.get(&format!("/workspaces/{workspace}/{list}")).await?;
        let count = answer.items().len();
        if count > 0 {
            return Err(Failure::Failed(format!("the second workspace sees {count} {list} of somebody else's")));
        }
        screen.item(&format!("{list:<16} {count:>8}"));
    }
    let foreign = api.try_get(&format!("/workspaces/{workspace}/runs/{run}")).await?;
    if foreign.status != 404 {
        return Err(Failure::Failed(format!("the first workspace's run answers {} in the second", foreign.status)));
    }
    screen.done("the first workspace's run does not exist there (404)");
    Ok(())
}
