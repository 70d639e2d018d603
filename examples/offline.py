"""A client that works offline: a copy of the tasks in a file, and the writes that wait."""
# TASK_API_KEY=... python examples/offline.py tasks.json http://localhost:8000 add "Buy milk"
# Also: change ID '{"title": "Buy oat milk"}', remove ID, list, refused, and sync [SECONDS].

import json
import os
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from uuid import uuid4

OF_THE_SERVER = ("version", "updated_at", "position", "completed", "completed_at")


class Unreachable(Exception):
    """The service decides nothing now: what is to be sent waits."""


class Client:
    """A user's tasks on one device. One process at a time uses the file."""

    def __init__(self, file, url, key):
        self.file, self.url = Path(file), f"{url}/api/v1/me"
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        new = {"next": None, "copy": {}, "walk": {}, "queue": [], "refused": []}
        self.state = json.loads(self.file.read_text("utf-8")) if self.file.exists() else new

    def save(self):
        """Put the file in place as a whole: a process that ends half-way leaves the one before."""
        new = self.file.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(self.state, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.file)

    def tasks(self):
        """Return the tasks by id as the user sees them: the copy, with the writes on top."""
        tasks = dict(self.state["copy"].get("tasks", {}))
        for write in self.state["queue"]:
            if write["method"] == "DELETE":
                tasks.pop(write["id"], None)
            elif write["method"] == "POST":
                tasks.setdefault(write["id"], write["body"])
            elif write["id"] in tasks:
                tasks[write["id"]] = tasks[write["id"]] | write["body"]
        return tasks

    def write(self, method, id_, body):
        """Queue a write, with the task as it was then: the members that it sets, or all of it."""
        seen = self.tasks().get(id_, {})
        before = {name: seen.get(name) for name in body or seen if name not in OF_THE_SERVER}
        write = {"method": method, "id": id_, "body": body, "before": before, "version": seen.get("version", 0)}
        self.state["queue"].append(write | {"key": str(uuid4()), "done": False})
        self.save()

    def push(self):
        """Send the writes that wait, in their order. Raise Unreachable."""
        for write in self.state["queue"]:
            while not write["done"]:
                is_new = write["method"] == "POST"
                path = "/tasks" if is_new else f"/tasks/{write['id']}"
                name, value = ("Idempotency-Key", write["key"]) if is_new else ("If-Match", write["version"])
                self.settle(write, *self.send(write["method"], path, write["body"], {name: f'"{value}"'}))
                self.save()

    def settle(self, write, status, reply):
        """Note what became of a write. What is left of one that came too late is sent again."""
        method, body, before, code = write["method"], write["body"], write["before"], reply.get("code")
        if code == "idempotency_in_progress":
            raise Unreachable(code)
        if code == "precondition_failed":  # compare what was, what is and what shall be
            now = reply["current"]
            clash = [name for name in before if now.get(name) not in (before[name], body.get(name, before[name]))]
            self.state["refused"] += [write | {"code": code, "clash": clash}] if clash else []
            left = {name: body[name] for name in body if name not in clash and now.get(name) != body[name]}
            write.update(body=left, version=now["version"], done=bool(clash) if method == "DELETE" else not left)
            return  # later writes keep the version that they saw, and are compared as well
        # An id that is taken is of an earlier try, and what is to be deleted may be gone.
        if status >= 400 and code != "id_taken" and (method, status) != ("DELETE", 404):
            self.state["refused"].append(write | {"code": code})
        for later in self.state["queue"]:
            if status < 300 and reply and (later["id"], later["version"]) == (write["id"], write["version"]):
                later["version"] = reply["version"]
        write["done"] = True

    def pull(self, wait=0):
        """Take what has changed. Raise Unreachable.

        Until all is there, what is done stays on top, and a walk from nothing beside the copy.
        """
        state, more = self.state, True
        while more:
            query = {"wait": wait} | ({"since": state["next"]} if state["next"] else {})
            status, page = self.send("GET", f"/changes?{urlencode(query)}")
            if status == 410:  # from nothing
                state.update(next=None, walk={})
                continue
            copy = state["walk"] if page["full"] else state["copy"]
            for kind in ("tasks", "projects"):
                copy[kind] = copy.get(kind, {}) | {each["id"]: each for each in page[kind]}
            for each in page["deleted"]:
                copy.get(f"{each['kind']}s", {}).pop(each["id"], None)
            state["next"], more = page["next"], page["more"]
            if not more:
                state.update(copy=copy, walk={}, queue=[write for write in state["queue"] if not write["done"]])
            self.save()

    def send(self, method, path, body=None, headers=None):
        """Return status and JSON of a reply that decides something. Raise Unreachable."""
        content = json.dumps(body).encode() if body else None
        request = Request(self.url + path, content, self.headers | (headers or {}), method=method)
        try:
            try:
                with urlopen(request, timeout=60) as reply:
                    return reply.status, json.loads(reply.read() or "{}")
            except HTTPError as problem:
                status, found = problem.code, json.load(problem)
        except (OSError, HTTPException, ValueError) as error:  # no reply, or a part of one
            raise Unreachable(error) from error
        if status in (401, 403, 408, 429) or status >= 500 or (method, status) == ("GET", 400):
            raise Unreachable(found["title"])
        return status, found


def main(file, url, command, *arguments):
    client = Client(file, url, os.environ["TASK_API_KEY"])
    match command, arguments:
        case "add", [title]:
            id_ = str(uuid4())  # made here, so later writes can name what the service does not know yet
            client.write("POST", id_, {"id": id_, "title": title})
            print(id_)
        case "change", [id_, members]:
            client.write("PATCH", id_, json.loads(members))
        case "remove", [id_]:
            client.write("DELETE", id_, {})
        case "list" | "refused", []:
            print(json.dumps(client.state["refused"] if command == "refused" else [*client.tasks().values()]))
        case "sync", [*seconds]:
            try:
                client.push()
                client.pull(*map(int, seconds))
            except Unreachable as error:
                sys.exit(f"{error}: {sum(not write['done'] for write in client.state['queue'])} writes wait.")


main(*sys.argv[1:])
