// Projects, dates, labels, order, batches and the feed with openapi-fetch: `node planning.js http://127.0.0.1:8000/api/v1`.
// tsc --strict reads it, as it does `lifecycle.ts`.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import process from "node:process";
import type { Client } from "openapi-fetch";
import { signIn, wanted } from "./signing.js";
import type { components, paths } from "./task-api.js";

type Schemas = components["schemas"];
type Api = Client<paths>;

const me = { user_id: "me" };

/** What has changed since. */
async function feed(api: Api, since?: string): Promise<Schemas["ChangePage"]> {
  const query = since === undefined ? {} : { since };
  return wanted(await api.GET("/{user_id}/changes", { params: { path: me, query } }));
}

/** What the operations did, or would do. */
async function batch(api: Api, operations: Schemas["BatchOperation"][], dry = false): Promise<Schemas["BatchOutcome"]> {
  const query = dry ? { dry_run: true } : {};
  return wanted(await api.POST("/{user_id}/batch", { params: { path: me, query }, body: { operations } }));
}

/** The titles of a project's tasks, in their order. */
async function titles(api: Api, project: Schemas["Project"]): Promise<string[]> {
  const query = { project_id: project.id, sort: "position" as const };
  const page = wanted(await api.GET("/{user_id}/tasks", { params: { path: me, query } }));
  return page.items.map((task) => task.title);
}

/** A new project, and a task in it with a date, a label and a priority. */
async function plan(api: Api): Promise<[Schemas["Project"], Schemas["Task"]]> {
  const path = { params: { path: me } };
  const house = wanted(await api.POST("/{user_id}/projects", { ...path, body: { name: "Move house", color: "#2f6f4e" } }));
  const due = { date: "2126-11-20", time: "17:30", time_zone: "Europe/Berlin" };
  const body = { title: "Boxes", project_id: house.id, due, labels: ["home"], priority: "high" as const };
  const parent = wanted(await api.POST("/{user_id}/tasks", { ...path, body }));
  assert.deepEqual([parent.labels, parent.project_id], [["home"], house.id]);
  assert.deepEqual([parent.due?.date, parent.due?.time], [due.date, due.time]);
  return [house, parent];
}

async function main(url: string): Promise<void> {
  const api = await signIn(url, "annie@example.com");
  const begin = (await feed(api)).next;
  const [house, parent] = await plan(api);
  const rug = randomUUID();
  const operations: Schemas["BatchOperation"][] = [
    { create_task: { title: "Books", parent_id: parent.id } },
    { create_task: { title: "Rug", id: rug, project_id: house.id } },
    { update_task: { id: parent.id, change: { title: "All boxes" }, version: parent.version } },
    { move_task: { id: rug, before: parent.id } },
  ];
  const tried = await batch(api, operations, true);
  assert.deepEqual(await titles(api, house), ["Boxes"]);
  const done = await batch(api, operations);
  assert.equal(done.seq, tried.seq);
  assert.deepEqual(done.results.map((each) => each.task?.title), ["Books", "Rug", "All boxes", "Rug"]);
  assert.deepEqual((await titles(api, house)).slice(0, 2), ["Rug", "All boxes"]);
  const again = await api.POST("/{user_id}/batch", { params: { path: me }, body: { operations } });
  assert.ok(again.error !== undefined && "operation" in again.error, JSON.stringify(again));
  assert.ok([409, 412].includes(again.response.status));

  const path = { ...me, task_id: rug };
  const moved = await api.POST("/{user_id}/tasks/{task_id}/move", { params: { path }, body: { after: parent.id } });
  assert.equal(wanted(moved).id, rug);
  const label = { ...me, label: "home" };
  wanted(await api.PATCH("/{user_id}/labels/{label}", { params: { path: label }, body: { name: "house" } }));
  const labels = wanted(await api.GET("/{user_id}/labels", { params: { path: me } }));
  assert.deepEqual(labels.items.map((each) => [each.name, each.open_tasks]), [["house", 1]]);
  const complete = { params: { path: { ...me, task_id: parent.id } }, body: { completed: true, subtasks: "complete" as const } };
  assert.equal(wanted(await api.PATCH("/{user_id}/tasks/{task_id}/complete", complete)).completed, true);
  await batch(api, [{ delete_task: { id: rug } }]);

  const page = await feed(api, begin);
  assert.deepEqual(page.tasks.map((task) => task.title).sort(), ["All boxes", "Books"]);
  assert.deepEqual(page.deleted.map((each) => [each.kind, each.id]), [["task", rug]]);
  const projects = wanted(await api.GET("/{user_id}/projects", { params: { path: me } }));
  assert.deepEqual([page.projects, projects.items], [[house], [house]]);
  console.log("openapi-typescript: a plan, each reply of its type");
}

const url = process.argv[2];
assert.ok(url !== undefined);
await main(url);
