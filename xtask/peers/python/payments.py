"""A server like Stripe of other people (localstripe) on a free port, which it prints. It ends when its input ends."""

import socket
import subprocess
import sys
import time

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "-m", "localstripe", "--port", str(port)], stdout=sys.stderr, stdin=subprocess.DEVNULL
)
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        break
    except OSError:
        time.sleep(0.1)
print(f"http://127.0.0.1:{port}", flush=True)
sys.stdin.read()
server.terminate()
server.wait()
