// Scalar with what belongs to this service alone: nothing is asked of another host, and nothing leads to its makers.
"use strict";

async function start() {
  const contract = await (await fetch(new URL("../openapi.json", document.baseURI))).json();
  const { parameters, schemas } = contract.components;
  const tryIt = new URL("../ui/", document.baseURI);
  for (const operation of Object.values(contract.paths).flatMap(Object.values)) {
    if (!operation.operationId) continue;
    const link = `[Try it](${tryIt}#/${operation.tags[0]}/${operation.operationId})`;
    operation.description = [operation.description, link].filter(Boolean).join("\n\n");
  }
  parameters.UserId.schema = { ...schemas.UserId, example: "me", default: "me" };
  Scalar.createApiReference("#reference", {
    content: contract,
    agent: { disabled: true },
    telemetry: false,
    showDeveloperTools: "never",
    hideClientButton: true,
    // Its own client sends what stood in a field before the last third of a second; the page to try operations does not.
    hideTestRequestButton: true,
    withDefaultFonts: false,
    documentDownloadType: "none",
    proxyUrl: "",
    persistAuth: false,
    defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
    authentication: { preferredSecurityScheme: "bearer" },
    metaData: { title: document.title },
  });
}

start();
