"""The README's tour with the client that openapi-python-client makes of the document. The server's address is the argument."""

import io
import json
import sys

from tidegate_client import AuthenticatedClient, Client
from tidegate_client.api.auth import auth_login, auth_me, auth_register
from tidegate_client.api.billing import billing_show_usage
from tidegate_client.api.events import events_ingest, events_list
from tidegate_client.api.patterns import patterns_list
from tidegate_client.api.runs import runs_show, runs_start
from tidegate_client.api.suggestions import suggestions_apply, suggestions_list
from tidegate_client.api.workflows import workflows_publish
from tidegate_client.api.workspaces import workspaces_create
from tidegate_client.models import (
    CloudEvent,
    CreateWorkspace,
    LoginRequest,
    Meter,
    PatternKind,
    PatternsListKindItem,
    Problem,
    RegisterRequest,
    RunStatus,
    StartRunBody,
    StepStatus,
    SuggestionStatus,
    WorkflowStatus,
)
from tidegate_client.types import File


def ok(answer):
    """What was answered, or the problem as an error."""
    assert answer is not None and not isinstance(answer, Problem), answer
    return answer


address = sys.argv[1]
email, password = "python@example.org", "an umbrella in march"
anonymous = Client(base_url=address)
ok(auth_register.sync(client=anonymous, body=RegisterRequest(email=email, password=password, name="Ada")))
tokens = ok(auth_login.sync(client=anonymous, body=LoginRequest(email=email, password=password)))
client = AuthenticatedClient(base_url=address, token=tokens.access_token, timeout=60)
assert ok(auth_me.sync(client=client)).email == email
ws = ok(workspaces_create.sync(client=client, body=CreateWorkspace(name="Tour in Python"))).slug


def event(n, subject):
    """One of two files that change together."""
    return CloudEvent(
        specversion="1.0",
        id=f"{n}-{subject}",
        source="/tour",
        type_="file.modified",
        subject=subject,
        data={"actor": "ada", "session": f"s{n}"},
    )


# Four times: twice one by one, twice as lines.
accepted, position = 0, 0
events = {n: [event(n, subject) for subject in ("src/lib.rs", "CHANGES.md")] for n in range(1, 5)}
lines = "\n".join(json.dumps(one.to_dict()) for n in (3, 4) for one in events[n])
for body in [*events[1], *events[2], File(payload=io.BytesIO(lines.encode()))]:
    answer = events_ingest.sync_detailed(ws, client=client, body=body)
    verdicts = ok(answer.parsed)
    assert verdicts.rejected == [], verdicts
    accepted += verdicts.accepted
    position = int(answer.headers["tidegate-position"])
assert accepted == 8
page = ok(events_list.sync(ws, client=client, limit=5))
assert len(page.items) == 5 and page.next_cursor

# Detection reads behind the insert; the watermark says how far it has come.
while True:
    answer = patterns_list.sync_detailed(ws, client=client, kind=[PatternsListKindItem.CO_OCCURRENCE])
    patterns = ok(answer.parsed)
    if int(answer.headers["tidegate-watermark"]) >= position:
        break
assert any(pattern.kind is PatternKind.CO_OCCURRENCE and pattern.support == 4 for pattern in patterns.items)
suggestion = ok(suggestions_list.sync(ws, client=client)).items[0]
assert suggestion.status is SuggestionStatus.OPEN

workflow = ok(suggestions_apply.sync(ws, suggestion.id, client=client))
published = ok(workflows_publish.sync(ws, workflow.id, client=client))
assert published.status is WorkflowStatus.PUBLISHED
start = StartRunBody(input_={"path": "CHANGES.md", "wait": "1s"})
started = ok(runs_start.sync(ws, workflow.id, client=client, body=start, wait="30s"))
assert started.status is RunStatus.COMPLETED, started
run = ok(runs_show.sync(ws, started.id, client=client))
assert run.steps and all(step.status is StepStatus.COMPLETED for step in run.steps)

usage = ok(billing_show_usage.sync(ws, client=client))
assert next(line.used for line in usage if line.meter is Meter.RUNS) == 1
wrong = runs_show.sync(ws, "run_0", client=client)
assert isinstance(wrong, Problem) and wrong.code == "not-found"
print("the tour in Python: done")
