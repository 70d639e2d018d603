// Swagger UI, set up so that a page works by clicking: optional parameters start empty, and signing in takes e-mail and password.
"use strict";

const API = new URL("..", document.baseURI).href;
const STORED = "task-api-session";
const MARGIN = 30; // seconds before its end that an access token is refreshed

const session = {
  read() {
    return JSON.parse(sessionStorage.getItem(STORED) || "null");
  },
  keep(tokens) {
    const expires_at = Date.now() / 1000 + tokens.expires_in;
    sessionStorage.setItem(STORED, JSON.stringify({ ...tokens, expires_at }));
    return tokens.access_token;
  },
  forget() {
    sessionStorage.removeItem(STORED);
  },
};

async function post(path, body) {
  const reply = await fetch(API + path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.errors?.map((each) => `${each.pointer}: ${each.detail}`).join(" ") || content.detail);
  return content;
}

// One refresh at a time: a refresh token is good for one.
let refreshing = null;

async function currentToken() {
  const kept = session.read();
  if (!kept || kept.expires_at - MARGIN > Date.now() / 1000) return kept?.access_token;
  refreshing ??= post("auth/refresh", { refresh_token: kept.refresh_token })
    .then(session.keep, () => session.forget())
    .finally(() => (refreshing = null));
  return refreshing;
}

// Parameters lose what Swagger UI would fill in and send, but for the user, who is `me`.
function withoutPrefills(contract) {
  const resolve = (part) => (part.$ref ? resolve(part.$ref.slice(2).split("/").reduce((at, key) => at[key], contract)) : part);
  const emptied = (reference) => {
    const parameter = structuredClone(resolve(reference));
    parameter.schema = structuredClone(resolve(parameter.schema));
    if (parameter.schema.items) parameter.schema.items = structuredClone(resolve(parameter.schema.items));
    if (parameter.name === "user_id") return parameter;
    for (const part of [parameter, parameter.schema, parameter.schema.items ?? {}]) {
      delete part.example;
      delete part.default;
    }
    return parameter;
  };
  for (const item of Object.values(contract.paths)) {
    for (const part of [item, ...Object.values(item)]) {
      if (part.parameters) part.parameters = part.parameters.map(emptied);
    }
  }
  contract.info.description = "Press *Authorize* to sign in. Then open an operation, and press *Execute*.";
  return contract;
}

// The dialog "Authorize", with a form to sign in above the field for a token.
const signIn = (system) => ({
  wrapComponents: {
    HttpAuth: (Original, { React }) =>
      function SignIn(props) {
        const h = React.createElement;
        const [told, tell] = React.useState("");
        const authorize = (token) =>
          system.getSystem().authActions.authorize({ bearer: { name: "bearer", schema: props.schema, value: token } });
        // The dialog is a form already, and a form cannot stand in another.
        const inputs = React.useRef(null);
        React.useEffect(() => inputs.current.querySelector("input").focus(), []);
        const submit = async (register) => {
          const [email, password] = [...inputs.current.querySelectorAll("input")].map((input) => input.value);
          try {
            if (register) await post("auth/register", { email, password });
            authorize(session.keep(await post("auth/token", { email, password })));
            tell("You are signed in.");
          } catch (error) {
            tell(error.message);
          }
        };
        const pressed = (event) => {
          if (event.key !== "Enter" || event.target.tagName === "BUTTON") return;
          event.preventDefault();
          submit(false);
        };
        const field = (name, label, type, autoComplete) =>
          h("label", { key: name }, label, h("input", { name, type, autoComplete }));
        const button = (name, label, register) =>
          h("button", { key: name, name, type: "button", className: "btn", onClick: () => submit(register) }, label);
        const form = h(
          "div",
          { className: "sign-in", ref: inputs, onKeyDown: pressed },
          field("email", "E-mail", "email", "username"),
          field("password", "Password", "password", "current-password"),
          button("sign-in", "Sign in", false),
          button("register", "Register and sign in", true),
          h("p", { key: "told", role: "status" }, told),
        );
        return h("div", null, form, h(Original, props));
      },
  },
  statePlugins: {
    auth: {
      wrapActions: {
        logout: (original) => (names) => {
          session.forget();
          return original(names);
        },
      },
    },
  },
});

// The colours that the visitor's machine has.
function followColours() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", follow);
  follow();
}

async function start() {
  followColours();
  const contract = await (await fetch(`${API}openapi.json`)).json();
  const ui = SwaggerUIBundle({
    spec: withoutPrefills(contract),
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    plugins: [signIn],
    requestInterceptor: async (request) => {
      const token = request.headers.Authorization && session.read() && (await currentToken());
      if (token) request.headers.Authorization = `Bearer ${token}`;
      return request;
    },
    onComplete: async () => {
      const token = await currentToken();
      if (token) ui.preauthorizeApiKey("bearer", token);
    },
  });
}

start();
