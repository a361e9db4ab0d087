// SPDX-License-Identifier: Apache-2.0
// node-postgres with cursors, copy streams and pools: what it can do, one line of outcome each.
const fs = require('fs');
const net = require('net');
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
const tls = require('tls');
const { Client, Pool } = require('pg');
const Cursor = require('pg-cursor');
const { from: copyFrom, to: copyTo } = require('pg-copy-streams');

const [host, port, database, mode, ca] = process.argv.slice(2);
const settings = {
  host, port, database, user: 'app',
  ssl: mode === 'disable' ? false : { ca: fs.readFileSync(ca), checkServerIdentity: (_, c) => tls.checkServerIdentity(host, c) },
};
const ready = (events, name) => new Promise((done) => events.once(name, done));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function attempt(work) {
  try {
    return await work;
  } catch (error) {
    return `error ${error.code} ${error.message}`;
  }
}

async function rows(client, text, values) {
  const result = await client.query({ text, values, rowMode: 'array' });
  return Array.isArray(result) ? result.map((r) => [r.command, r.rows]) : result.rows;
}

const read = (cursor, count) => new Promise((done, fail) => cursor.read(count, (error, got) => (error ? fail(error) : done(got))));

async function collect(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString('latin1').slice(0, 300);
}

const scenarios = {
  async *prepared(c) {
    for (let i = 1; i < 6; i++) {
      yield (await c.query({ name: 'by id', text: 'select id, name, ssn, born::text from people where id = $1', values: [i], rowMode: 'array' })).rows;
    }
    yield attempt(c.query({ name: 'refused', text: 'select value from hidden.secrets where id = $1', values: [1] }));
    yield attempt(c.query({ name: 'refused', text: 'select value from hidden.secrets where id = $1', values: [1] }));
    yield attempt(c.query({ name: 'bad', text: 'select $1::int', values: ['x'] }));
    yield rows(c, 'select ssn from people where id = any($1::int[])', [[1, 2]]);
    yield (await c.query({ text: 'select id, 7::int, ssn from people where id = $1', values: [3], binary: true })).rows;
    yield (await c.query('select id, ssn as other from people limit 1')).fields.map((f) => [f.name, f.dataTypeID, f.format]);
  },

  async *queued(c) {
    const texts = ['select 1', 'insert into work (id) values (1)', 'select value from hidden.secrets', 'selec', 'select ssn from people where id = 1'];
    yield Promise.all(texts.map((text) => attempt(rows(c, text))));
    yield Promise.all(texts.map((text) => attempt(rows(c, text, text.startsWith('insert') ? undefined : []))));
    yield rows(c, 'select 1; select ssn from people where id = 1; update work set name = null');
    yield attempt(rows(c, 'insert into work (id) values (8); select value from hidden.secrets; insert into work (id) values (9)'));
    yield rows(c, 'select id from work order by id');
  },

  async *transactions(c) {
    await c.query('begin');
    await c.query('insert into work (id) values (1)');
    await c.query('savepoint a');
    yield attempt(rows(c, 'select value from hidden.secrets'));
    yield attempt(rows(c, 'select 1'));
    await c.query('rollback to a');
    yield rows(c, 'select ssn from people where id = 1');
    yield attempt(rows(c, 'select value from hidden.secrets where id = $1', [1]));
    yield (await c.query('commit')).command;
    yield rows(c, 'select count(*) from work');
  },

  async *cursors(c) {
    const cursor = c.query(new Cursor('select id, ssn from people where id > $1 order by id', [2]));
    yield read(cursor, 3);
    yield read(cursor, 2);
    yield (await read(cursor, 100)).length;
    yield read(cursor, 5);
    await cursor.close();
    const left = c.query(new Cursor('select i from generate_series(1, 10000) i'));
    yield read(left, 1);
    await left.close();
    const refused = c.query(new Cursor('select value from hidden.secrets'));
    yield attempt(read(refused, 1));
    await refused.close();
    yield rows(c, 'select ssn from people where id = 1');
  },

  async *copies(c) {
    const lines = function* lines() { for (let i = 0; i < 5000; i++) yield `${i}\tname ${i}\n`; };
    const into = c.query(copyFrom('copy work (id, name) from stdin'));
    await pipeline(Readable.from(lines()), into);
    yield into.rowCount;
    for (const text of ['copy people (id, ssn) to stdout', 'copy people (id, ssn) to stdout csv header', 'copy people (ssn) to stdout binary',
      'copy (select * from people where id < 3) to stdout', 'copy hidden.secrets to stdout']) {
      yield attempt(collect(c.query(copyTo(text))));
    }
    yield attempt(pipeline(Readable.from(['1\tx\n']), c.query(copyFrom('copy hidden.secrets from stdin'))));
    yield attempt(pipeline(Readable.from(['x\ty\n']), c.query(copyFrom('copy work (id, name) from stdin'))));
    yield rows(c, 'select count(*) from work');
  },

  async *messages(c) {
    const told = ready(c, 'notification');
    await c.query('listen here');
    const other = new Client(settings);
    await other.connect();
    await other.query("notify here, 'x'");
    await other.end();
    yield (await told).payload;
    const noticed = ready(c, 'notice');
    await c.query('drop table if exists scratch_none');
    yield (await noticed).message;
  },

  async *cancelled(c) {
    const outcome = attempt(c.query('select pg_sleep(20)'));
    await pause(500);
    const socket = net.connect(port, host);
    const message = Buffer.alloc(16);
    [16, 80877102, c.processID, c.secretKey].forEach((n, i) => message.writeInt32BE(n, 4 * i));
    socket.write(message);
    await ready(socket.resume(), 'close');
    yield outcome;
    await c.query('set statement_timeout = 200');
    yield attempt(rows(c, 'select pg_sleep(20)'));
    yield rows(c, 'select 1');
  },

  async *pooled() {
    const pool = new Pool({ ...settings, max: 3, idleTimeoutMillis: 100 });
    const sums = await Promise.all([...Array(60).keys()].map(async (i) => {
      if (i % 7 === 0) await attempt(pool.query('select value from hidden.secrets'));
      return (await pool.query('select $1::int + 1 as n', [i])).rows[0].n;
    }));
    yield sums.reduce((a, b) => a + b);
    await pause(300);
    yield (await pool.query('select ssn from people where id = 1')).rows;
    await pool.end();
  },
};

async function main() {
  for (const [name, scenario] of Object.entries(scenarios)) {
    const client = new Client(settings);
    await client.connect();
    await client.query('delete from work');
    for await (const part of scenario(client)) console.log(`${name}: ${JSON.stringify(part)}`);
    await client.end();
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
