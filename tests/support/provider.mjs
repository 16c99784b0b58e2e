// A certified OpenID provider on the loopback for the tests. Its settings come as one line of JSON on the standard
// input; each further line replaces some of them (other keys, other accounts) as a restart of the provider would.
// Whoever signs in types the name of an account; how that account signs in (acr, amr) is a matter of the settings.
import http from "node:http";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const { default: Provider } = await import(pathToFileURL(process.argv[2]).href);
let settings = {};
let provider = null;
let answer = null;

function accounts() {
  return settings.accounts;
}

function made() {
  const one = new Provider(settings.issuer, {
    clients: settings.clients,
    jwks: settings.jwks,
    cookies: { keys: ["of-the-tests"] },
    acrValues: ["https://refeds.org/profile/mfa"],
    claims: {
      openid: ["sub", "amr"],
      profile: ["name", "voperson_id"],
      aarc: ["eduperson_assurance", "eduperson_entitlement"],
      acr: null, auth_time: null, sid: null, iss: null,
    },
    conformIdTokenClaims: settings.conform ?? true,
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          ctx.body = `<!doctype html><html lang="en"><title>Sign out</title><main><h1>Sign out</h1>${form}
            <button form="op.logoutForm" name="logout" value="yes">Yes</button></main></html>`;
        },
      },
    },
    // The library refuses to call private addresses; here the portal has one.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    findAccount: (ctx, id) => accounts()[id] && { accountId: id, claims: () => ({ sub: id, ...accounts()[id].claims }) },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      const known = ctx.oidc.session.grantIdFor(ctx.oidc.client.clientId);
      const kept = known && (await ctx.oidc.provider.Grant.find(known));
      if (kept) return kept;
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope("openid profile aarc");
      await grant.save();
      return grant;
    },
    pkce: { required: () => true },
    ttl: { Session: 3600, Interaction: 600, AccessToken: 300, IdToken: 300, Grant: 3600, AuthorizationCode: 60 },
  });
  one.on("server_error", (ctx, error) => console.error(error));
  one.on("backchannel.error", (ctx, error) => console.error(`back-channel: ${error.message}`));
  return one;
}

async function interaction(request, response) {
  if (request.method === "GET") {
    const { prompt } = await provider.interactionDetails(request, response);
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(`<!doctype html><html lang="en"><title>Provider</title><main><h1>Who are you?</h1>
      <form method="post"><p><label>Name <input name="login"></label>
      <button>Sign in</button> <button name="refuse" value="${prompt.name}">No, thank you</button></p></form></main></html>`);
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const given = new URLSearchParams(body);
  const account = accounts()[given.get("login")];
  const result = given.get("refuse") || !account
    ? { error: "access_denied", error_description: "<b>the person said no</b>" }
    : { login: { accountId: given.get("login"), acr: account.acr, amr: account.amr, remember: true } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const server = http.createServer(async (request, response) => {
  try {
    if (request.url.startsWith("/interaction/")) await interaction(request, response);
    else await answer(request, response);
  } catch (error) {
    console.error(error);
    response.statusCode = 500;
    response.end("error");
  }
});

for await (const line of readline.createInterface({ input: process.stdin })) {
  settings = { ...settings, ...JSON.parse(line) };
  provider = made();
  answer = provider.callback();
  if (!server.listening) await new Promise((ready) => server.listen(settings.port, "127.0.0.1", ready));
  console.log("ready");
}
process.exit(0);
