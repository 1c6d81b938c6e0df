// The page of a link in a mail. The token is in the fragment of the address, which browsers do not send; it is used only
// when the person presses the button.
"use strict";

const purpose = location.pathname.split("/").pop();
const token = location.hash.slice(1);
// So that the token is not in the history of the browser.
history.replaceState(null, "", location.pathname);

const operations = { verify: "verify", email: "email/confirm", reset: "reset" };
const done = {
  verify: "Your address is confirmed. You can close this page.",
  email: "Your address has changed. Log in with it from now on.",
  reset: "Your new password is set. Log in with it now.",
};
const form = document.getElementById(purpose);
const message = document.getElementById("message");

function say(text, bad) {
  message.textContent = text;
  message.className = bad ? "bad" : "";
}

async function send() {
  const body = { token };
  if (purpose === "reset") {
    const password = document.getElementById("password");
    const again = document.getElementById("again");
    if (password.value !== again.value) {
      say("The two passwords differ.", true);
      again.focus();
      return;
    }
    body.password = password.value;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  say("One moment…", false);
  try {
    const answer = await fetch(`/api/v1/auth/${operations[purpose]}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      form.hidden = true;
      say(done[purpose], false);
      return;
    }
    const problem = await answer.json();
    const field = (problem.errors || []).find((error) => error.pointer === "/password");
    say(field ? `The password ${field.detail}.` : problem.detail || problem.title, true);
  } catch {
    say("The server cannot be reached; try again.", true);
  }
  button.disabled = false;
}

if (!token) {
  say("The link is not complete. Open it again from the mail, or ask for another mail.", true);
} else {
  form.hidden = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
}
