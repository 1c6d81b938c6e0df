//! The chapter of the demo about money: a plan, files up to its limit, and the invoice.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use tidegate_billing::Currency;

use super::screen::Screen;
use crate::cli::Failure;
use crate::cli::client::api::{Api, number, text};

/// The plan that the server of the demo sells.
const PLAN: &str = "demo";

/// Buys the plan of the demo, stores `sample` as a file, and shows the limit and the invoice. Nothing is bought at a server
/// that is not the demo's own; it shows the file alone.
///
/// # Errors
/// [`Failure`] for the first thing that did not happen as expected.
pub(super) async fn plan_file_and_invoice(
    api: &Api,
    screen: &Screen,
    workspace: &str,
    sample: &[u8],
    own_server: bool,
) -> Result<(), Failure> {
    if !own_server {
        screen.item(&screen.faint("nothing is bought at a server that is not the demo's own"));
        return file(api, screen, workspace, sample).await;
    }
    let plans = api.get("/plans").await?;
    let none = || Failure::Failed(format!("the plan {PLAN} is not sold"));
    let plan = plans.items().iter().find(|plan| text(plan, "/name") == PLAN).ok_or_else(none)?;
    let buy = json!({"plan": PLAN, "interval": "month", "currency": "EUR"});
    api.put(&format!("/workspaces/{workspace}/subscription"), &buy).await?;
    let price = amount(plan, "/prices/0/amount", "EUR")?;
    screen.done(&format!("bought the plan {}: {price} a month", screen.outside(text(plan, "/title"))));
    file(api, screen, workspace, sample).await?;
    fill(api, screen, workspace).await?;
    invoice(api, screen, workspace).await
}

/// Stores a file and reads it back.
async fn file(api: &Api, screen: &Screen, workspace: &str, sample: &[u8]) -> Result<(), Failure> {
    let sent = send(api, workspace, "history.jsonl.gz", "application/gzip", sample.to_vec()).await?;
    if text(&sent.1, "/code") == "no-object-store" {
        screen.item(&screen.faint("this server has no object store, so it has no files"));
        return Ok(());
    }
    if sent.0 != 201 {
        return Err(Failure::Failed(format!("the file was answered with {}: {}", sent.0, text(&sent.1, "/detail"))));
    }
    let id = text(&sent.1, "/id").to_owned();
    if api.bytes(&format!("/workspaces/{workspace}/files/{id}/content")).await? != sample {
        return Err(Failure::Failed(format!("the file {id} is not what was sent")));
    }
    screen.done(&format!("the log itself is a file now ({id}), and reads back byte by byte"));
    Ok(())
}

/// Fills the storage to the last byte, after one byte too many was refused.
async fn fill(api: &Api, screen: &Screen, workspace: &str) -> Result<(), Failure> {
    let (used, limit) = storage(api, workspace).await?;
    let left = usize::try_from(limit.saturating_sub(used)).unwrap_or(0);
    screen.item(&format!("{used} of {limit} bytes are used, {left} are left"));
    let notes = |bytes| send(api, workspace, "notes.txt", "text/plain", vec![b'.'; bytes]);
    let (status, problem) = notes(left.saturating_add(1)).await?;
    if status != 402 {
        return Err(Failure::Failed(format!("a file of {} bytes was answered with {status}", left.saturating_add(1))));
    }
    let detail = screen.faint(&screen.outside(text(&problem, "/detail")));
    screen.done(&format!("one byte too many: 402 {} {detail}", screen.outside(text(&problem, "/title"))));
    let (status, _) = notes(left).await?;
    let (used, _) = storage(api, workspace).await?;
    if (status, used) != (201, limit) {
        return Err(Failure::Failed(format!(
            "a file of {left} bytes was answered with {status}; {used} bytes are used"
        )));
    }
    screen.done(&format!("exactly {left} bytes fit: {used} of {limit}"));
    Ok(())
}

/// Shows the invoice of the month.
async fn invoice(api: &Api, screen: &Screen, workspace: &str) -> Result<(), Failure> {
    let list = api.get(&format!("/workspaces/{workspace}/invoices?limit=1")).await?;
    let none = || Failure::Failed("no invoice was issued".to_owned());
    let invoice = list.items().first().ok_or_else(none)?;
    let currency = text(invoice, "/currency");
    screen.item(&screen.strong(&format!("{}, {}:", text(invoice, "/number"), text(invoice, "/status"))));
    let mut sum = 0;
    for line in invoice.get("lines").and_then(Value::as_array).into_iter().flatten() {
        sum += number(line, "/amount");
        let described = screen.outside(text(line, "/description"));
        screen.item(&format!("  {described:<46} {:>12}", amount(line, "/amount", currency)?));
    }
    if sum != number(invoice, "/subtotal") {
        return Err(Failure::Failed(format!(
            "the lines sum to {sum}, the invoice says {}",
            number(invoice, "/subtotal")
        )));
    }
    for (label, pointer) in [("tax", "/tax"), ("total", "/total"), ("due", "/amount_due")] {
        screen.item(&format!("  {label:<46} {:>12}", amount(invoice, pointer, currency)?));
    }
    let path = format!("/workspaces/{workspace}/invoices/{}.pdf", text(invoice, "/id"));
    let pdf = api.bytes(&path).await?;
    if !pdf.starts_with(b"%PDF-") {
        return Err(Failure::Failed(format!("{path} is no PDF")));
    }
    screen.done(&format!("as PDF it has {} KB: GET /api/v1{path}", pdf.len().div_ceil(1000)));
    Ok(())
}

/// The bytes that are used and allowed.
async fn storage(api: &Api, workspace: &str) -> Result<(i64, i64), Failure> {
    let usage = api.get(&format!("/workspaces/{workspace}/usage")).await?;
    let meter = usage.items().iter().find(|line| text(line, "/meter") == "storage_bytes");
    let none = || Failure::Failed("the usage has no limit of storage".to_owned());
    let meter = meter.ok_or_else(none)?;
    let limit = meter.get("limit").and_then(Value::as_i64).ok_or_else(none)?;
    Ok((number(meter, "/used"), limit))
}

/// Sends a file, and returns the status and the body of the response.
async fn send(api: &Api, workspace: &str, name: &str, kind: &str, bytes: Vec<u8>) -> Result<(u16, Value), Failure> {
    let part = Part::bytes(bytes).file_name(name.to_owned()).mime_str(kind);
    let part = part.map_err(|error| Failure::Failed(format!("{kind} is not a media type: {error}")))?;
    let answer = api.try_form(&format!("/workspaces/{workspace}/files"), Form::new().part("file", part)).await?;
    Ok((answer.status, answer.body))
}

/// An amount as people read it.
fn amount(value: &Value, pointer: &str, currency: &str) -> Result<String, Failure> {
    let currency: Currency = currency.parse().map_err(|error| Failure::Failed(format!("an amount: {error}")))?;
    Ok(currency.amount(number(value, pointer)))
}
