// A Better Auth server as its documentation sets one up, in memory. Prints its origin; PUT /rotate ends the present key.
// It serves the pages of its application from the folder PAGES, if that is set. GET /on-server gets a token as code on the server does.
import { createReadStream } from "node:fs";
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { bearer, jwt } from "better-auth/plugins";

const store = { user: [], session: [], account: [], verification: [], jwks: [] };
const server = createServer();

server.listen(0, "127.0.0.1", () => {
  const origin = `http://127.0.0.1:${server.address().port}`;
  const auth = betterAuth({
    baseURL: origin,
    secret: process.env.BETTER_AUTH_SECRET,
    database: memoryAdapter(store),
    emailAndPassword: { enabled: true },
    plugins: [bearer(), jwt({ jwks: { rotationInterval: 3600 } })],
    telemetry: { enabled: false },
  });
  const handle = toNodeHandler(auth);
  server.on("request", (request, response) => {
    if (request.method === "PUT" && request.url === "/rotate") {
      for (const key of store.jwks) key.expiresAt = new Date(Date.now() - 1000);
      response.writeHead(204).end();
    } else if (request.url === "/on-server") {
      const token = auth.api.getToken({ headers: fromNodeHeaders(request.headers) });
      const refused = { token: null };
      token.catch(() => refused).then((found) => response.end(JSON.stringify(found)));
    } else if (process.env.PAGES && !request.url.startsWith("/api/")) {
      const type = /js$/.test(request.url) ? "text/javascript" : "text/html";
      response.setHeader("Content-Type", type);
      const file = createReadStream(process.env.PAGES + request.url);
      file.on("error", () => response.writeHead(404).end()).pipe(response);
    } else {
      handle(request, response);
    }
  });
  console.log(origin);
});
