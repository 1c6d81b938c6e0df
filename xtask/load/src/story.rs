//! A person who registers, logs in and creates workspaces.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::http::Client;

/// The person's email address.
pub(crate) const EMAIL: &str = "bench@example.org";

/// A person with an access token.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) token: String,
}

/// Registers a person and logs them in.
pub(crate) async fn person(server: &str) -> Result<Person, Failure> {
    let mut client = Client::connect(server, None).await?;
    let credentials = json!({ "email": EMAIL, "password": "a bench by the quay", "name": "Bench" });
    client.post("/auth/register", &credentials).await?.expect(202)?;
    let login = json!({ "email": credentials["email"], "password": credentials["password"] });
    let tokens = client.post("/auth/login", &login).await?.json(200)?;
    let token = text(&tokens, "access_token")?;
    Ok(Person { client: Client::connect(server, Some(&token)).await?, token })
}

/// Creates a workspace and returns its id.
pub(crate) async fn workspace(person: &mut Person, name: &str) -> Result<String, Failure> {
    text(&person.client.post("/workspaces", &json!({ "name": name })).await?.json(201)?, "id")
}

/// A text member of an object.
pub(crate) fn text(object: &Value, field: &str) -> Result<String, Failure> {
    let value = object.get(field).and_then(Value::as_str);
    value.map(str::to_owned).ok_or_else(|| Failure::new(format!("no {field} in {object}")))
}
