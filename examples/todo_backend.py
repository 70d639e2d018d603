"""The Todo-Backend API (todobackend.com) in front of the service, for the user of an API key."""
# TASK_API_KEY=... python examples/todo_backend.py http://localhost:8000 9000

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TASKS, PORT = f"{sys.argv[1]}/api/v1/me/tasks", int(sys.argv[2])
HEADERS = {"Authorization": f"Bearer {os.environ['TASK_API_KEY']}", "Content-Type": "application/json"}
CORS = {"Access-Control-Allow-" + name: "*" for name in ("Origin", "Methods", "Headers")}


def call(method, path="", body=None):
    try:
        with urlopen(Request(TASKS + path, body, HEADERS, method=method)) as reply:
            return reply.status, json.loads(reply.read() or "null")
    except HTTPError as problem:
        return problem.code, json.load(problem)


class TodoBackend(BaseHTTPRequestHandler):
    def answer(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if "order" in body:  # the service has no number for it, so the description keeps it
            body["description"] = str(body.pop("order"))
        status, found = 200, None
        if self.command == "DELETE" and self.path == "/":
            for task in call("GET", "?limit=1000")[1]["items"]:
                call("DELETE", f"/{task['id']}")
        elif self.command != "OPTIONS":
            status, found = call(self.command, self.path.rstrip("/"), json.dumps(body).encode() if body else None)
        if status < 300 and found:
            found = [self.todo(task) for task in found["items"]] if "items" in found else self.todo(found)
        self.send_response(status)
        for name, value in {**CORS, "Content-Type": "application/json"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if status == 204 else json.dumps(found).encode())

    def todo(self, task):
        order = {"order": int(text)} if (text := task["description"] or "").removeprefix("-").isdecimal() else {}
        return {**task, **order, "url": f"http://{self.headers['Host']}/{task['id']}"}

    do_GET = do_POST = do_PATCH = do_DELETE = do_OPTIONS = answer


ThreadingHTTPServer(("127.0.0.1", PORT), TodoBackend).serve_forever()
