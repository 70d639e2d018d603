// What the programs with openapi-fetch begin with.

import assert from "node:assert/strict";
import createClient, { type Client } from "openapi-fetch";
import type { paths } from "./task-api.js";

/** What was asked for; fails with the problem that came instead. */
export function wanted<T>(reply: { data?: T; error?: unknown }): T {
  assert.ok(reply.data !== undefined, JSON.stringify(reply.error));
  return reply.data;
}

/** A client of a new user. */
export async function signIn(url: string, email: string): Promise<Client<paths>> {
  const api = createClient<paths>({ baseUrl: url });
  const account = { email, password: "correct horse battery staple" };
  wanted(await api.POST("/auth/register", { body: { ...account, name: "Grace" } }));
  const token = wanted(await api.POST("/auth/token", { body: account }));
  assert.equal(token.token_type, "Bearer");
  const headers = { Authorization: `Bearer ${token.access_token}` };
  return createClient<paths>({ baseUrl: url, headers });
}
