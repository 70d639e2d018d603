// Scalar with what belongs to this service alone: nothing is asked of another host, and nothing leads to its makers.
"use strict";

async function start() {
  const contract = await (await fetch(new URL("../openapi.json", document.baseURI))).json();
  const { parameters, schemas } = contract.components;
  parameters.UserId.schema = { ...schemas.UserId, example: "me", default: "me" };
  Scalar.createApiReference("#reference", {
    content: contract,
    agent: { disabled: true },
    telemetry: false,
    showDeveloperTools: "never",
    hideClientButton: true,
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
