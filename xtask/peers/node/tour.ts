// The README's tour with the types that openapi-typescript makes of the document. The server's address is the argument.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const baseUrl = process.argv[2];
assert(baseUrl, "usage: node tour.js http://HOST:PORT");

/** The answer, or the problem as an error. */
async function ok<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (data === undefined) throw new Error(`${response.status} ${response.url}: ${JSON.stringify(error)}`);
  return data;
}

const email = "typescript@example.org";
const password = "an umbrella in march";
const anonymous = createClient<paths>({ baseUrl });
await ok(anonymous.POST("/api/v1/auth/register", { body: { email, password, name: "Ada" } }));
const tokens = await ok(anonymous.POST("/api/v1/auth/login", { body: { email, password } }));
const api = createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${tokens.access_token}` } });
const user = await ok(api.GET("/api/v1/auth/me"));
assert.equal(user.email, email);

const workspace = await ok(api.POST("/api/v1/workspaces", { body: { name: "Tour in TypeScript" } }));
const ws = workspace.slug;

// Two files that change together, four times: as a batch, one by one, as lines and in binary mode.
type CloudEvent = components["schemas"]["CloudEvent"];
const event = (n: number, subject: string): CloudEvent => ({
  specversion: "1.0", id: `${n}-${subject}`, source: "/tour", type: "file.modified", subject,
  data: { actor: "ada", session: `s${n}` },
});
const both = (n: number) => ["src/lib.rs", "CHANGES.md"].map((subject) => event(n, subject));
let accepted = 0;
let position = 0;
async function send(body: CloudEvent | CloudEvent[] | string, contentType: string, headers: Record<string, string> = {}) {
  const { data, error, response } = await api.POST("/api/v1/workspaces/{ws}/events", {
    params: { path: { ws } },
    headers: { "content-type": contentType, ...headers },
    body,
    bodySerializer: (body) => (typeof body === "string" ? body : JSON.stringify(body)),
  });
  if (!data) throw new Error(`${response.status}: ${JSON.stringify(error)}`);
  assert.deepEqual(data.rejected, []);
  accepted += data.accepted;
  position = Number(response.headers.get("tidegate-position"));
}
await send(both(1), "application/cloudevents-batch+json");
for (const one of both(2)) await send(one, "application/cloudevents+json");
await send(both(3).map((one) => JSON.stringify(one)).join("\n"), "application/x-ndjson");
for (const { data, ...attributes } of both(4)) {
  const headers = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, encodeURIComponent(String(value))]);
  await send(JSON.stringify(data), "application/json", Object.fromEntries(headers));
}
assert.equal(accepted, 8);
const page = await ok(api.GET("/api/v1/workspaces/{ws}/events", { params: { path: { ws }, query: { limit: 5 } } }));
assert.equal(page.items.length, 5);
assert(page.next_cursor);

// Detection reads behind the insert; the watermark says how far it has come.
const inWorkspace = { params: { path: { ws } } };
for (;;) {
  const { response } = await api.GET("/api/v1/workspaces/{ws}/patterns", inWorkspace);
  if (Number(response.headers.get("tidegate-watermark")) >= position) break;
}
const query = { kind: ["co_occurrence" as const] };
const patterns = await ok(api.GET("/api/v1/workspaces/{ws}/patterns", { params: { path: { ws }, query } }));
assert(patterns.items.some((pattern) => pattern.kind === "co_occurrence" && pattern.support === 4));
const suggestions = await ok(api.GET("/api/v1/workspaces/{ws}/suggestions", inWorkspace));
const suggestion = suggestions.items[0];
assert.equal(suggestion?.status, "open");

const workflow = await ok(
  api.POST("/api/v1/workspaces/{ws}/suggestions/{sug}/apply", { params: { path: { ws, sug: suggestion.id } } }),
);
const path = { ws, wf: workflow.id };
const published = await ok(api.POST("/api/v1/workspaces/{ws}/workflows/{wf}/publish", { params: { path } }));
assert.equal(published.status, "published");
const started = await ok(
  api.POST("/api/v1/workspaces/{ws}/workflows/{wf}/runs", {
    params: { path, query: { wait: "30s" } },
    body: { input: { path: "CHANGES.md", wait: "1s" } },
  }),
);
assert.equal(started.status, "completed", JSON.stringify(started));
const run = await ok(
  api.GET("/api/v1/workspaces/{ws}/runs/{run}", { params: { path: { ws, run: started.id } } }),
);
assert(run.steps.length > 0 && run.steps.every((step) => step.status === "completed"));

const usage = await ok(api.GET("/api/v1/workspaces/{ws}/usage", inWorkspace));
assert.equal(usage.find((line) => line.meter === "runs")?.used, 1);
const wrong = await api.GET("/api/v1/workspaces/{ws}/runs/{run}", { params: { path: { ws, run: "run_0" } } });
assert.equal(wrong.error?.code, "not-found");
console.log("the tour in TypeScript: done");
