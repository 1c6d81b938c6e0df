//! The port of payment providers on Stripe. Cards only: other methods need the customer, or take days.

use async_trait::async_trait;
use serde_json::Value;
use tidegate_billing::PaymentState;
use tidegate_billing::payment::{
    PaymentMethod, PaymentProvider, PaymentRequest, ProviderError, ProviderPayment, SetUp,
};
use tidegate_kernel::WorkspaceId;
use url::Url;

use crate::client::{CallError, Client, Refusal};

/// How often the payment methods of a customer are listed to remove them, a hundred at once.
const PAGES: usize = 10;

/// Stripe as a payment provider.
#[derive(Debug, Clone)]
pub struct Stripe {
    client: Client,
    /// Where customers come back to from the pages of Stripe and of their banks.
    return_url: Url,
}

impl Stripe {
    /// The provider over a client. Customers come back to `return_url`.
    #[must_use]
    pub const fn new(client: Client, return_url: Url) -> Self {
        Self { client, return_url }
    }

    async fn methods(&self, customer: &str, limit: &str) -> Result<Vec<Value>, ProviderError> {
        let query = [("customer", customer), ("type", "card"), ("limit", limit)];
        let mut list = self.client.get("payment_methods", &query).await?;
        match list["data"].take() {
            Value::Array(methods) => Ok(methods),
            _ => Err(ProviderError::Unavailable("a list has no data".to_owned())),
        }
    }
}

/// An id of Stripe, which is a part of a path.
fn id(of: &str) -> Result<&str, ProviderError> {
    let is_id = !of.is_empty() && of.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_id { Ok(of) } else { Err(ProviderError::Refused(format!("{of:?} is no id of Stripe"))) }
}

fn member(object: &Value, name: &str) -> Result<String, ProviderError> {
    let text = object[name].as_str().map(str::to_owned);
    text.ok_or_else(|| ProviderError::Unavailable(format!("an answer has no {name}")))
}

/// The state of a PaymentIntent (<https://docs.stripe.com/payments/paymentintents/lifecycle>).
fn payment(intent: &Value) -> Result<ProviderPayment, ProviderError> {
    let error = &intent["last_payment_error"];
    let failure = ["decline_code", "code", "type"].iter().find_map(|name| error[*name].as_str()).map(str::to_owned);
    let status = intent["status"].as_str().unwrap_or_default();
    let state = match status {
        "requires_payment_method" if failure.is_some() => PaymentState::Failed,
        "requires_payment_method" | "requires_confirmation" => PaymentState::Created,
        "requires_action" => PaymentState::RequiresAction,
        "processing" | "requires_capture" => PaymentState::Processing,
        "succeeded" => PaymentState::Succeeded,
        "canceled" => PaymentState::Cancelled,
        _ => return Err(ProviderError::Unavailable(format!("the status {status:?} of a payment is not known"))),
    };
    let action_url = intent["next_action"]["redirect_to_url"]["url"].as_str().map(str::to_owned);
    Ok(ProviderPayment {
        state,
        failure: failure.filter(|_| state == PaymentState::Failed),
        action_url: action_url.filter(|_| state == PaymentState::RequiresAction),
    })
}

/// A payment that the bank has declined.
fn declined(refusal: Refusal) -> ProviderPayment {
    let failure = refusal.decline_code.or(refusal.code).unwrap_or(refusal.kind);
    ProviderPayment { state: PaymentState::Failed, failure: Some(failure), action_url: None }
}

#[async_trait]
impl PaymentProvider for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn collects(&self) -> bool {
        true
    }

    async fn customer(&self, workspace: WorkspaceId) -> Result<String, ProviderError> {
        let (workspace, key) = (workspace.to_string(), format!("customer-{workspace}"));
        let form = [("metadata[tidegate_workspace]", workspace.as_str())];
        member(&self.client.post("customers", &form, Some(&key)).await?, "id")
    }

    async fn set_up(&self, customer: &str) -> Result<SetUp, ProviderError> {
        let back = self.return_url.as_str();
        let form = [
            ("mode", "setup"),
            ("customer", customer),
            ("payment_method_types[0]", "card"),
            ("success_url", back),
            ("cancel_url", back),
        ];
        let session = self.client.post("checkout/sessions", &form, None).await?;
        Ok(SetUp { url: member(&session, "url")? })
    }

    async fn method(&self, customer: &str) -> Result<Option<PaymentMethod>, ProviderError> {
        // The newest comes first.
        let Some(method) = self.methods(customer, "1").await?.into_iter().next() else { return Ok(None) };
        let card = &method["card"];
        let number = |name: &str| card[name].as_u64();
        let expires = number("exp_year").zip(number("exp_month"));
        Ok(Some(PaymentMethod {
            id: member(&method, "id")?,
            kind: member(&method, "type")?,
            brand: card["brand"].as_str().map(str::to_owned),
            last4: card["last4"].as_str().map(str::to_owned),
            expires: expires.and_then(|(year, month)| Some((i32::try_from(year).ok()?, u32::try_from(month).ok()?))),
        }))
    }

    async fn remove_methods(&self, customer: &str) -> Result<(), ProviderError> {
        for _ in 0..PAGES {
            let methods = self.methods(customer, "100").await?;
            if methods.is_empty() {
                return Ok(());
            }
            for method in methods {
                let method = member(&method, "id")?;
                match self.client.post(&format!("payment_methods/{}/detach", id(&method)?), &[], None).await {
                    // Another request was faster.
                    Ok(_) | Err(CallError::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        if self.methods(customer, "1").await?.is_empty() {
            return Ok(());
        }
        Err(ProviderError::Unavailable("not every payment method could be removed".to_owned()))
    }

    async fn prepare(&self, request: &PaymentRequest) -> Result<String, ProviderError> {
        let (amount, currency) = (request.amount.to_string(), request.currency.code().to_ascii_lowercase());
        let (payment, invoice) = (request.payment.to_string(), request.invoice.to_string());
        let key = format!("prepare-{}", request.key());
        let form = [
            ("amount", amount.as_str()),
            ("currency", &currency),
            ("customer", &request.customer),
            ("payment_method_types[0]", "card"),
            ("metadata[tidegate_number]", &request.number),
            ("metadata[tidegate_payment]", &payment),
            ("metadata[tidegate_invoice]", &invoice),
        ];
        member(&self.client.post("payment_intents", &form, Some(&key)).await?, "id")
    }

    async fn charge(&self, prepared: &str, method: &str, key: &str) -> Result<ProviderPayment, ProviderError> {
        let path = format!("payment_intents/{}/confirm", id(prepared)?);
        let back = self.return_url.as_str();
        let form = [("payment_method", method), ("off_session", "true"), ("return_url", back)];
        let asks = match self.client.post(&path, &form, Some(&format!("charge-{key}"))).await {
            Ok(intent) => return payment(&intent),
            Err(CallError::Refused(refusal)) if refusal.kind == "card_error" => refusal,
            Err(error) => return Err(error.into()),
        };
        if asks.code.as_deref() != Some("authentication_required") {
            return Ok(declined(asks));
        }
        // The bank wants the customer: with them it gives an address.
        let form = [("payment_method", method), ("return_url", back)];
        match self.client.post(&path, &form, Some(&format!("confirm-{key}"))).await {
            Ok(intent) => payment(&intent),
            Err(CallError::Refused(refusal)) if refusal.kind == "card_error" => Ok(declined(refusal)),
            Err(error) => Err(error.into()),
        }
    }

    async fn payment(&self, prepared: &str) -> Result<ProviderPayment, ProviderError> {
        payment(&self.client.get(&format!("payment_intents/{}", id(prepared)?), &[]).await?)
    }

    async fn cancel(&self, prepared: &str) -> Result<ProviderPayment, ProviderError> {
        match self.client.post(&format!("payment_intents/{}/cancel", id(prepared)?), &[], None).await {
            Ok(intent) => payment(&intent),
            // It has ended.
            Err(CallError::Refused(_)) => PaymentProvider::payment(self, prepared).await,
            Err(error) => Err(error.into()),
        }
    }
}
