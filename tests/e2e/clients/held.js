// SPDX-License-Identifier: Apache-2.0
//
// held.js PORT ITEM: statements that people decide, by node-postgres with its time limits. Prints a line for each outcome.
const { Client } = require('pg');

const [port, item] = process.argv.slice(2);
const place = { host: '127.0.0.1', port: Number(port), user: 'app', database: 'shop' };

async function run(name, limits) {
  const client = new Client({ ...place, ...limits });
  client.on('error', () => {});
  await client.connect();
  try {
    const result = await client.query('delete from orders where item = $1', [`${item} ${name}`]);
    console.log(`${name} ${result.rowCount}`);
    await client.end();
  } catch (error) {
    console.log(`${name} ${error.message}`);
    client.connection.stream.destroy();
  }
}

Promise.all([run('statement_timeout', { statement_timeout: 1500 }), run('query_timeout', { query_timeout: 1500 })]);
