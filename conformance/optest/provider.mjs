// npm's certified oidc-provider, for tests: its settings come as JSON in argv[2], the folder of its
// package in argv[3]. It says "listening PORT" when it is up.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(process.argv[2]);
const { Provider } = await import(pathToFileURL(process.argv[3] + '/lib/index.js'));

const key = (alg, kid, type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' };
};
const sessions = new Map(); // account → [{ client, sid }]

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: settings.clients,
  jwks: { keys: [key('RS256', 'rsa', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', 'ec', { namedCurve: 'P-256' })] },
  cookies: { keys: ['of no worth outside a test'] },
  acrValues: ['urn:postern:mfa'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username', 'name', 'given_name', 'family_name'], acr: null, auth_time: null, sid: null },
  conformIdTokenClaims: false,
  features: {
    backchannelLogout: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: settings.requirePAR },
    rpInitiatedLogout: { enabled: true },
    devInteractions: { enabled: true },
  },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  pkce: { required: () => true },
  clientDefaults: { require_auth_time: true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, email: id.includes('@') ? id : `${id}@op.example`, email_verified: true, name: id }),
  }),
  // Its own guard refuses loopback, where every test is.
  fetch: (address, { dispatcher, ...options }) => globalThis.fetch(address, options),
});
provider.on('authorization.success', (ctx) => {
  const { account, session, client } = ctx.oidc;
  const of = sessions.get(account.accountId) ?? [];
  of.push({ client: client.clientId, sid: session.sidFor(client.clientId) });
  sessions.set(account.accountId, of);
});
const handle = provider.callback();
server.on('request', async (request, response) => {
  const address = new URL(request.url, issuer);
  if (address.pathname !== '/test/logout') return handle(request, response);
  // What an administrator's "end this person's sessions" does at other providers.
  try {
    const account = address.searchParams.get('account');
    for (const { client: id, sid } of sessions.get(account) ?? []) {
      const client = await provider.Client.find(id);
      if (client.backchannelLogoutUri) await client.backchannelLogout(account, sid);
    }
    sessions.delete(account);
    response.writeHead(204).end();
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
});
process.stdout.write(`listening ${server.address().port}\n`);
