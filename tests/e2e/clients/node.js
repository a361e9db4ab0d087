// SPDX-License-Identifier: Apache-2.0
// node-postgres: prints the rows of each statement as JSON, or the error's SQLSTATE and text.
const { Client } = require('pg');

async function main() {
  const [host, port, user, password, database, tls, ca, ...statements] = process.argv.slice(2);
  const ssl = tls === 'disable' ? false
    : { rejectUnauthorized: tls === 'verify-full', ca: ca ? require('fs').readFileSync(ca) : undefined,
        // Where the host is an address, node-postgres would have the name "localhost" verified.
        checkServerIdentity: (_, certificate) => require('tls').checkServerIdentity(host, certificate) };
  const client = new Client({ host, port, user, password: password || undefined, database, ssl });
  await client.connect();
  for (const statement of statements) {
    try {
      const result = await client.query({ text: statement, rowMode: 'array' });
      console.log(JSON.stringify(result.rows));
    } catch (error) {
      console.log(JSON.stringify({ code: error.code, message: error.message }));
    }
  }
  await client.end();
}

main().catch((error) => { console.error(error.message); process.exit(1); });
