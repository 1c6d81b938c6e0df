//! A server like Stripe in this process, with the few calls that Tidegate makes. Tests make it fail on purpose.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The secret key of the account.
pub const STRIPE_KEY: &str = "sk_test_tidegate";

/// What a card does when it is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// It pays.
    Good,
    /// The bank declines for lack of money.
    Declined,
    /// The bank wants the customer to confirm.
    NeedsCustomer,
    /// The payment is processed for a while.
    Slow,
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripeFault {
    /// It does not.
    None,
    /// With status 500, without an effect.
    InternalError,
    /// With status 429, without an effect.
    TooManyRequests,
    /// The connection is cut after the request has had its effect.
    LostAnswer,
}

#[derive(Default)]
struct Account {
    last: u64,
    customers: Vec<String>,
    /// Payment methods, oldest first: the id, the customer and the card.
    methods: Vec<(String, String, Card)>,
    /// PaymentIntents, and the cards that they were confirmed with.
    intents: BTreeMap<String, Value>,
    /// Answers by idempotency key, with the form.
    answers: BTreeMap<String, (String, u16, Value)>,
    faults: VecDeque<StripeFault>,
    requests: usize,
    charges: usize,
}

/// The server. It stops when it is dropped.
pub struct FakeStripe {
    address: SocketAddr,
    account: Arc<Mutex<Account>>,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for FakeStripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeStripe").field("address", &self.address).finish_non_exhaustive()
    }
}

fn lock(account: &Mutex<Account>) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeStripe {
    /// A server on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let account = Arc::new(Mutex::new(Account::default()));
        let task = tokio::spawn(accept(listener, Arc::clone(&account)));
        Self { address, account, task }
    }

    /// The address of the API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes the next requests fail.
    pub fn fail_next(&self, faults: &[StripeFault]) {
        lock(&self.account).faults.extend(faults);
    }

    /// Adds a card to a customer, as its page does, and returns its id.
    #[must_use]
    pub fn add_card(&self, customer: &str, card: Card) -> String {
        let mut account = lock(&self.account);
        let id = account.id("pm");
        account.methods.push((id.clone(), customer.to_owned(), card));
        id
    }

    /// The customers, oldest first.
    #[must_use]
    pub fn customers(&self) -> Vec<String> {
        lock(&self.account).customers.clone()
    }

    /// The payments, oldest first.
    #[must_use]
    pub fn intents(&self) -> Vec<Value> {
        lock(&self.account).intents.values().cloned().collect()
    }

    /// How often money was taken.
    #[must_use]
    pub fn charges(&self) -> usize {
        lock(&self.account).charges
    }

    /// How many requests have come.
    #[must_use]
    pub fn requests(&self) -> usize {
        lock(&self.account).requests
    }

    /// Ends a payment that waits for the customer or is processed: it succeeds, or fails.
    pub fn finish(&self, intent: &str, succeeds: bool) {
        let mut account = lock(&self.account);
        if succeeds {
            account.charges += 1;
        }
        let intent = account.intents.get_mut(intent).expect("a payment");
        intent["status"] = if succeeds { "succeeded" } else { "requires_payment_method" }.into();
        intent["next_action"] = Value::Null;
        if !succeeds {
            intent["last_payment_error"] =
                json!({ "type": "card_error", "code": "payment_intent_authentication_failure" });
        }
    }
}

impl Drop for FakeStripe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Account {
    fn id(&mut self, prefix: &str) -> String {
        self.last += 1;
        format!("{prefix}_{:08}", self.last)
    }

    fn answer(&mut self, method: &Method, path: &str, form: &BTreeMap<String, String>) -> (u16, Value) {
        let of = |name: &str| form.get(name).cloned().unwrap_or_default();
        match (method.as_str(), &*path.split('/').collect::<Vec<_>>()) {
            ("POST", ["customers"]) => {
                let id = self.id("cus");
                self.customers.push(id.clone());
                (200, json!({ "id": id, "object": "customer" }))
            }
            ("POST", ["checkout", "sessions"]) if of("mode") == "setup" && !of("success_url").is_empty() => {
                let id = self.id("cs");
                (200, json!({ "id": id, "url": format!("https://checkout.example/{id}") }))
            }
            ("GET", ["payment_methods"]) => {
                let limit = of("limit").parse().unwrap_or(10);
                let of_customer = self.methods.iter().rev().filter(|(_, customer, _)| *customer == of("customer"));
                let card = json!({ "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2040 });
                let view = |(id, ..): &(String, String, Card)| json!({ "id": id, "type": "card", "card": card });
                (200, json!({ "data": of_customer.take(limit).map(view).collect::<Vec<_>>() }))
            }
            ("POST", ["payment_methods", id, "detach"]) => {
                let before = self.methods.len();
                self.methods.retain(|(method, ..)| method != id);
                if self.methods.len() < before { (200, json!({ "id": id })) } else { refusal("resource_missing") }
            }
            ("POST", ["payment_intents"]) => {
                let id = self.id("pi");
                let intent = json!({
                    "id": id, "object": "payment_intent", "status": "requires_payment_method", "amount": of("amount"),
                    "currency": of("currency"), "customer": of("customer"), "number": of("metadata[tidegate_number]"),
                });
                self.intents.insert(id, intent.clone());
                (200, intent)
            }
            (_, ["payment_intents", id, rest @ ..]) if self.intents.contains_key(*id) => {
                self.intent(method, &(*id).to_owned(), rest, form)
            }
            _ => (404, json!({ "error": { "type": "invalid_request_error", "code": "resource_missing" } })),
        }
    }

    fn intent(&mut self, method: &Method, id: &String, rest: &[&str], form: &BTreeMap<String, String>) -> (u16, Value) {
        let Some(intent) = self.intents.get_mut(id) else { return refusal("resource_missing") };
        let has_ended = ["succeeded", "canceled"].iter().any(|status| intent["status"] == *status);
        match (method.as_str(), rest) {
            ("GET", []) => {}
            ("POST", ["cancel" | "confirm"]) if has_ended || intent["status"] == "processing" => {
                return refusal("payment_intent_unexpected_state");
            }
            ("POST", ["cancel"]) => {
                intent["status"] = "canceled".into();
                intent["next_action"] = Value::Null;
            }
            ("POST", ["confirm"]) => {
                let method = form.get("payment_method");
                let card = self.methods.iter().find(|(id, ..)| Some(id) == method).map(|(.., card)| *card);
                let alone = form.get("off_session").is_some_and(|value| value == "true");
                let code = match card {
                    None => return refusal("resource_missing"),
                    Some(Card::Good) => {
                        self.charges += 1;
                        intent["status"] = "succeeded".into();
                        None
                    }
                    Some(Card::Slow) => {
                        intent["status"] = "processing".into();
                        None
                    }
                    Some(Card::NeedsCustomer) if !alone => {
                        intent["status"] = "requires_action".into();
                        let url = format!("https://bank.example/{id}");
                        intent["next_action"] = json!({ "type": "redirect_to_url", "redirect_to_url": { "url": url } });
                        None
                    }
                    Some(Card::NeedsCustomer) => Some(("authentication_required", "authentication_required")),
                    Some(Card::Declined) => Some(("card_declined", "insufficient_funds")),
                };
                if let Some((code, decline_code)) = code {
                    let error = json!({
                        "type": "card_error", "code": code, "decline_code": decline_code, "message": "Your card was declined.",
                    });
                    intent["last_payment_error"] = error.clone();
                    return (402, json!({ "error": error }));
                }
            }
            _ => return refusal("resource_missing"),
        }
        (200, intent.clone())
    }
}

fn refusal(code: &str) -> (u16, Value) {
    (400, json!({ "error": { "type": "invalid_request_error", "code": code, "message": "It cannot be done." } }))
}

async fn accept(listener: TcpListener, account: Arc<Mutex<Account>>) {
    while let Ok((socket, _)) = listener.accept().await {
        let account = Arc::clone(&account);
        let answer = service_fn(move |request: Request<Incoming>| {
            let account = Arc::clone(&account);
            async move { respond(&account, request).await }
        });
        tokio::spawn(async move {
            // A connection that is cut on purpose ends with an error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

async fn respond(account: &Mutex<Account>, request: Request<Incoming>) -> Result<Response<String>, std::io::Error> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let sent = String::from_utf8_lossy(&bytes).into_owned();
    let form = if head.method == Method::GET { head.uri.query().unwrap_or_default().to_owned() } else { sent };
    let url = reqwest::Url::parse(&format!("http://form/?{form}")).expect("a form");
    let fields = url.query_pairs().into_owned().collect();
    let mut account = lock(account);
    account.requests += 1;
    let fault = account.faults.pop_front();
    let (status, answer) = match fault {
        Some(StripeFault::InternalError) => (500, json!({})),
        Some(StripeFault::TooManyRequests) => (429, json!({})),
        _ if header("authorization") != Some(format!("Bearer {STRIPE_KEY}")) || header("stripe-version").is_none() => {
            (401, json!({}))
        }
        _ => {
            let path = head.uri.path().trim_start_matches("/v1/").to_owned();
            let content = format!("{path}?{form}");
            let kept = header("idempotency-key").and_then(|key| account.answers.get(&key).cloned());
            match kept {
                Some((before, ..)) if before != content => refusal("idempotency_error"),
                Some((_, status, answer)) => (status, answer),
                None => {
                    let (status, answer) = account.answer(&head.method, &path, &fields);
                    if let Some(key) = header("idempotency-key") {
                        account.answers.insert(key, (content, status, answer.clone()));
                    }
                    (status, answer)
                }
            }
        }
    };
    if fault == Some(StripeFault::LostAnswer) {
        return Err(std::io::Error::other("cut on purpose"));
    }
    let mut response = Response::new(answer.to_string());
    *response.status_mut() = status.try_into().expect("a status");
    Ok(response)
}
