// A client that works offline: a copy of the tasks in a file, and the writes that the service has yet to take.
// TASK_API_KEY=... node offline.js tasks.json http://localhost:8000 add "Buy milk"
// Also: change ID '{"title": "Buy oat milk"}', remove ID, list, refused, and sync, perhaps with the seconds to wait.

import { randomUUID } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual as same } from "node:util";

type Members = Record<string, unknown>;
type Item = Members & { id: string; version?: number };
type Copy = Record<string, Record<string, Item>>;
interface Write {
  method: "POST" | "PATCH" | "DELETE";
  id: string;
  body: Members;
  before: Members; // what it sets, or all of the task, when the write was made
  version: number; // of the task then
  key: string;
  done: boolean;
}
interface State {
  next: string | null;
  copy: Copy;
  walk: Copy; // from nothing, until it is whole
  queue: Write[];
  refused: (Write & { code: unknown; clash: string[] })[];
}

const OF_THE_SERVER = ["version", "updated_at", "position", "completed", "completed_at"];

/** The service decides nothing now: what is to be sent waits. */
class Unreachable extends Error {}

/** A user's tasks on one device. One process at a time uses the file. */
class Client {
  readonly state: State = { next: null, copy: {}, walk: {}, queue: [], refused: [] };

  constructor(private readonly file: string, private readonly origin: string, private readonly key: string) {
    if (existsSync(file)) this.state = JSON.parse(readFileSync(file, "utf8"));
  }

  /** Puts the file in place as a whole: a process that ends half-way leaves the one before. */
  save(): void {
    writeFileSync(`${this.file}.new`, JSON.stringify(this.state), { flush: true });
    renameSync(`${this.file}.new`, this.file);
  }

  /** The tasks by id as the user sees them: the copy, with the writes on top. */
  tasks(): Record<string, Item> {
    const tasks = { ...this.state.copy["tasks"] };
    for (const { method, id, body } of this.state.queue) {
      if (method === "DELETE") delete tasks[id];
      else if (method === "POST") tasks[id] ??= { id, ...body };
      else if (id in tasks) tasks[id] = { id, ...tasks[id], ...body };
    }
    return tasks;
  }

  /** Queues a write. */
  write(method: Write["method"], id: string, body: Members): void {
    const seen: Members & { version?: number } = this.tasks()[id] ?? {};
    const names = Object.keys(method === "DELETE" ? seen : body).filter((name) => !OF_THE_SERVER.includes(name));
    const before = Object.fromEntries(names.map((name) => [name, seen[name] ?? null]));
    this.state.queue.push({ method, id, body, before, version: seen.version ?? 0, key: randomUUID(), done: false });
    this.save();
  }

  /** Sends the writes that wait, in their order. */
  async push(): Promise<void> {
    for (const write of this.state.queue) {
      while (!write.done) {
        const { method, id, key, version, body } = write;
        const path = method === "POST" ? "/tasks" : `/tasks/${id}`;
        const headers = method === "POST" ? { "Idempotency-Key": `"${key}"` } : { "If-Match": `"${version}"` };
        this.settle(write, ...(await this.send(method, path, body, headers)));
        this.save();
      }
    }
  }

  /** Notes what became of a write. What is left of one that came too late is sent again. */
  private settle(write: Write, status: number, reply: Members): void {
    const { method, id, body, before, version } = write, code = reply["code"];
    const refuse = (clash: string[]) => this.state.refused.push({ ...write, code, clash });
    if (code === "idempotency_in_progress") throw new Unreachable(code);
    if (code === "precondition_failed") { // compare what was, what is and what shall be
      const now = reply["current"] as Item & { version: number };
      const isClash = (name: string) => !same(now[name], before[name]) && !(name in body && same(now[name], body[name]));
      const clash = Object.keys(before).filter(isClash);
      if (clash.length > 0) refuse(clash);
      const left = Object.entries(body).filter(([name, to]) => !clash.includes(name) && !same(now[name], to));
      write.done = method === "DELETE" ? clash.length > 0 : left.length === 0;
      Object.assign(write, { body: Object.fromEntries(left), version: now.version });
      return; // later writes keep the version that they saw, and are compared as well
    }
    // An id that is taken is of an earlier try, and what is to be deleted may be gone.
    if (status >= 400 && code !== "id_taken" && !(method === "DELETE" && status === 404)) refuse([]);
    const seen = status < 300 ? this.state.queue.filter((it) => it.id === id && it.version === version) : [];
    for (const later of seen) later.version = (reply as Partial<Item>).version ?? version;
    write.done = true;
  }

  /** Takes what has changed. Until it has come, what is done stays on top of the copy: the user never sees less. */
  async pull(wait = 0): Promise<void> {
    const state = this.state;
    for (let more = true; more; this.save()) {
      const since: Record<string, string> = state.next === null ? {} : { since: state.next };
      const [status, page] = await this.send("GET", `/changes?${new URLSearchParams({ wait: String(wait), ...since })}`);
      if (status === 410) {
        Object.assign(state, { next: null, walk: {} });
        continue;
      }
      const copy = page["full"] ? state.walk : state.copy;
      for (const kind of ["tasks", "projects"]) for (const item of page[kind] as Item[]) (copy[kind] ??= {})[item.id] = item;
      for (const gone of page["deleted"] as { kind: string; id: string }[]) delete copy[`${gone.kind}s`]?.[gone.id];
      [state.next, more] = [page["next"] as string, page["more"] as boolean];
      if (!more) Object.assign(state, { copy, walk: {}, queue: state.queue.filter((write) => !write.done) });
    }
  }

  /** Status and JSON of a reply that decides something. */
  private async send(method: string, path: string, body: Members = {}, more: object = {}): Promise<[number, Members]> {
    const headers = { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json", ...more };
    const content = method === "POST" || method === "PATCH" ? { body: JSON.stringify(body) } : {};
    const unreachable = (error: unknown): never => { throw new Unreachable(String(error)); };
    const late = new AbortController(), timer = setTimeout(() => late.abort(), 60_000);
    const sent = fetch(`${this.origin}/api/v1/me${path}`, { method, headers, signal: late.signal, ...content });
    const received = sent.then(async (reply) => ({ status: reply.status, text: await reply.text() }));
    const { status, text } = await received.catch(unreachable).finally(() => clearTimeout(timer));
    const found: Members = JSON.parse(text || "{}");
    if ([401, 403, 408, 429].includes(status) || status >= 500 || (method === "GET" && status === 400)) unreachable(found["title"]);
    return [status, found];
  }
}

const [file = "", origin = "", command = "", first = "", second = ""] = process.argv.slice(2);
const client = new Client(file, origin, process.env["TASK_API_KEY"] ?? "");
const id = command === "add" ? randomUUID() : first; // so later writes can name what the service does not know yet
if (command === "add") client.write("POST", id, { id, title: first }), console.log(id);
if (command === "change") client.write("PATCH", id, JSON.parse(second));
if (command === "remove") client.write("DELETE", id, {});
if (command === "list") console.log(JSON.stringify(Object.values(client.tasks())));
if (command === "refused") console.log(JSON.stringify(client.state.refused));
if (command === "sync") {
  client.push().then(() => client.pull(Number(first))).catch((error: unknown) => {
    if (!(error instanceof Unreachable)) throw error;
    console.error(`${error.message}: ${client.state.queue.filter((write) => !write.done).length} writes wait.`);
    process.exitCode = 1;
  });
}
