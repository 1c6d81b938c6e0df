//! Apps that show one-time codes, for the people of tests.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::people::Person;
use crate::support::{Answer, TestApp, text};

/// An app that shows one-time codes.
pub struct CodeApp {
    /// `fac_…`.
    pub factor: String,
    totp: Totp,
}

impl CodeApp {
    /// The code that the app shows at this time.
    pub fn code(&self, at: DateTime<Utc>) -> String {
        self.totp.generate(u64::try_from(at.timestamp()).expect("a time since 1970")).to_string()
    }
}

impl TestApp {
    /// An app of a person that is not confirmed.
    pub async fn code_app(&self, person: &Person) -> CodeApp {
        let new = self.post("/api/v1/auth/factors/totp").bearer(&person.token).json(&json!({ "name": "phone" }));
        let new = new.send().await.expect(201);
        let secret = Secret::try_from_base32(text(&new["secret"])).expect("base 32");
        let totp = Builder::new().with_secret(secret).build().expect("a secret of 20 bytes");
        CodeApp { factor: text(&new["id"]), totp }
    }

    /// Confirms an app with a code.
    pub async fn confirm(&self, person: &Person, app: &CodeApp, code: &str) -> Answer {
        let body = json!({ "factor": app.factor, "code": code });
        self.post("/api/v1/auth/factors/totp/confirm").bearer(&person.token).json(&body).send().await
    }

    /// An app of a person that is confirmed at this time, and the recovery codes.
    pub async fn second_factor(&self, person: &Person, at: DateTime<Utc>) -> (CodeApp, Vec<String>) {
        let app = self.code_app(person).await;
        let confirmed = self.confirm(person, &app, &app.code(at)).await.expect(200);
        let codes = confirmed["recovery_codes"].as_array().expect("codes").iter().map(text).collect();
        (app, codes)
    }

    /// The challenge of a log-in with the right password.
    pub async fn challenge(&self, email: &str) -> String {
        let login = json!({ "email": email, "password": "an umbrella in march" });
        let problem = self.post("/api/v1/auth/login").json(&login).send().await;
        text(&problem.expect_problem(401, "second-factor-required")["challenge"])
    }

    /// Tries to finish a log-in.
    pub async fn answer_challenge(&self, challenge: &str, code: &str) -> Answer {
        let body: Value = json!({ "challenge": challenge, "code": code });
        self.post("/api/v1/auth/challenge").json(&body).send().await
    }
}
