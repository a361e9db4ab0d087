// SPDX-License-Identifier: Apache-2.0
// A real OpenID provider (oidc-provider) over HTTPS: access tokens that are JWTs, by client credentials, and
// for people by the device flow, who log in as whoever they say.
// node provider.mjs PORT CERTIFICATE KEY KEYS.json SECONDS
import fs from 'node:fs';
import https from 'node:https';
import Provider from 'oidc-provider';

const [port, certificate, key, keys, lifetime] = process.argv.slice(2);
const issuer = `https://localhost:${port}`;
const audience = 'api://wayleave';
const assertion = JSON.parse(fs.readFileSync(`${keys}.client`));

const provider = new Provider(issuer, {
  jwks: JSON.parse(fs.readFileSync(keys)),
  clients: [
    { client_id: 'by-secret', client_secret: 'provider secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    {
      client_id: 'by-key', token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [assertion] },
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    },
    {
      client_id: 'login', token_endpoint_auth_method: 'none', application_type: 'native',
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'], redirect_uris: [], response_types: [],
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'shop', audience, accessTokenFormat: 'jwt', accessTokenTTL: Number(lifetime),
        jwt: { sign: { alg: JSON.parse(fs.readFileSync(keys)).keys[0].alg } } }),
    },
  },
  issueRefreshToken: (context, client) => client.grantTypeAllowed('refresh_token'),
  extraTokenClaims: (context, token) => ({ realm_access: { roles: ['robots', `of ${token.clientId}`] } }),
});
provider.proxy = true;
https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('ready'));
