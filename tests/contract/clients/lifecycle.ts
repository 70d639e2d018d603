// The life of tasks with the types that openapi-typescript generates: `node lifecycle.js http://127.0.0.1:8000/api/v1`.
// tsc --strict reads it: each reply, problems too, is what its type says.

import assert from "node:assert/strict";
import process from "node:process";
import type { Client } from "openapi-fetch";
import { signIn, wanted } from "./signing.js";
import type { components, paths } from "./task-api.js";

type Task = components["schemas"]["Task"];
type Api = Client<paths>;

const me = { user_id: "me" };

async function create(api: Api, title: string): Promise<Task> {
  return wanted(await api.POST("/{user_id}/tasks", { params: { path: me }, body: { title } }));
}

/** Every title, read in pages of two. */
async function titles(api: Api): Promise<string[]> {
  const found: string[] = [];
  let cursor: string | null = null;
  do {
    const query = { sort: "title" as const, limit: 2, ...(cursor === null ? {} : { cursor }) };
    const page: components["schemas"]["TaskPage"] = wanted(
      await api.GET("/{user_id}/tasks", { params: { path: me, query } }),
    );
    found.push(...page.items.map((task) => task.title));
    cursor = page.next_cursor;
  } while (cursor !== null);
  return found;
}

/** Makes a key with an end, which is the same instant in the reply. */
async function createKey(api: Api, end: string): Promise<void> {
  const body = { name: "Until then", scopes: ["tasks:read" as const], expires_at: end };
  const key = wanted(await api.POST("/{user_id}/keys", { params: { path: me }, body }));
  assert.ok(key.expires_at !== null);
  assert.equal(Date.parse(key.expires_at), Date.parse(end));
}

async function main(url: string): Promise<void> {
  const api = await signIn(url, "grace@example.com");
  await createKey(api, new Date(Date.UTC(2997, 10, 20)).toISOString());
  await createKey(api, "2997-11-20T00:00:00+14:00");
  const names = ["Answer mail", "Buy milk", "Call Ada", "Dust", "Eat"];
  const first = await create(api, "Answer mail");
  for (const name of names.slice(1)) await create(api, name);
  assert.deepEqual(await titles(api), names);
  const path = { ...me, task_id: first.id };
  const header = { "If-Match": `"${first.version}"` };

  const changed = wanted(
    await api.PATCH("/{user_id}/tasks/{task_id}", {
      params: { path, header },
      body: { status: "in_progress", description: "All of it" },
    }),
  );
  assert.deepEqual([changed.status, changed.description, changed.title], ["in_progress", "All of it", first.title]);

  const lost = await api.PATCH("/{user_id}/tasks/{task_id}", { params: { path, header }, body: { title: "Lost" } });
  assert.ok(lost.error !== undefined && "current" in lost.error, JSON.stringify(lost));
  assert.equal(lost.response.status, 412);
  assert.equal(lost.error.code, "precondition_failed");
  assert.deepEqual(lost.error.current, changed);

  const refused = await api.POST("/{user_id}/tasks", { params: { path: me }, body: { title: "x".repeat(256) } });
  assert.ok(refused.error !== undefined && "errors" in refused.error, JSON.stringify(refused));
  assert.equal(refused.response.status, 400);
  const [violation] = refused.error.errors ?? [];
  assert.deepEqual([violation?.pointer, violation?.code], ["/title", "too_long"]);

  const done = wanted(
    await api.PATCH("/{user_id}/tasks/{task_id}/complete", { params: { path }, body: { completed: true } }),
  );
  assert.equal(done.completed, true);
  assert.ok(done.completed_at !== null && done.completed_at >= done.created_at);

  const deleted = await api.DELETE("/{user_id}/tasks/{task_id}", { params: { path } });
  assert.equal(deleted.response.status, 204);
  const gone = await api.GET("/{user_id}/tasks/{task_id}", { params: { path } });
  assert.equal(gone.error?.code, "not_found");
  console.log("openapi-typescript: a life of tasks, each reply of its type");
}

const url = process.argv[2];
assert.ok(url !== undefined);
await main(url);
