//! The pages of links in mails. They are the same for everybody: the token of a link is in the fragment of its address,
//! which the browser does not send, and the page uses it by POST when the person presses the button. So a scanner that
//! fetches links uses none up, and no token is in a log or a `Referer`.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, web};

const PAGE: &str = include_str!("../../../assets/account/page.html");
const STYLE: &str = include_str!("../../../assets/account/page.css");
const SCRIPT: &str = include_str!("../../../assets/account/page.js");

/// What the page may load and do: only its own style, its own script, and calls of the API. Nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Registers the pages.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for page in ["verify", "email", "reset"] {
        config.route(&format!("/account/{page}"), web::get().to(async || file("text/html; charset=utf-8", PAGE)));
    }
    config.route("/account/page.css", web::get().to(async || file("text/css; charset=utf-8", STYLE)));
    config.route("/account/page.js", web::get().to(async || file("text/javascript; charset=utf-8", SCRIPT)));
}

fn file(content_type: &'static str, content: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .body(content)
}
