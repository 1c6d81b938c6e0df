"""A mail server (aiosmtpd) that asks for STARTTLS and a log-in, and writes each mail as a line of JSON.

Usage: mailbox.py FOLDER. It writes FOLDER/ca.pem and FOLDER/mails.jsonl, prints its port, and runs until its standard input ends.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys
import threading
from pathlib import Path

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FOLDER = Path(sys.argv[1])


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {
            "to": envelope.rcpt_tos,
            "from": mail["from"],
            "subject": mail["subject"],
            "id": mail["message-id"],
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
            "defects": [str(defect) for part in mail.walk() for defect in part.defects],
            "tls": session.ssl is not None,
            "user": session.auth_data.decode(),
        }
        with open(FOLDER / "mails.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"tidegate", b"p@ss")
    return AuthResult(success=right, auth_data=data.login if right else None)


async def main() -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(FOLDER / "ca.pem")
    (FOLDER / "mails.jsonl").write_text("")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def protocol() -> SMTP:
        return SMTP(
            Mailbox(), tls_context=context, require_starttls=True, auth_required=True, authenticator=login
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()


asyncio.run(main())
