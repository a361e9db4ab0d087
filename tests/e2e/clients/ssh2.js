// SPDX-License-Identifier: Apache-2.0
// ssh2 of npm against a host: a command, one that is refused, files, a terminal. Prints what it saw as JSON.
//   ssh2.js PORT FINGERPRINTS FOLDER     fingerprints of keys that the host may have, with commas between them
//   ssh2.js PORT FINGERPRINTS - COMMAND [SIGNAL]     that command alone, for which the agent's keys are asked for; when it is
//                                                    "ready" it is sent the signal
const crypto = require("crypto");
const { Client } = require("ssh2");

const [port, fingerprints, folder, alone, signal] = process.argv.slice(2);
const client = new Client();

function command(words, options = {}) {
  return new Promise((done, fail) => client.exec(words, options, (error, stream) => {
    if (error) return fail(error);
    let out = "", err = "";
    stream.on("data", (part) => {
      out += part;
      if (signal && out.endsWith("ready\n")) stream.signal(signal);
    });
    stream.stderr.on("data", (part) => { err += part; });
    stream.on("close", (status, signal, dumped, message) => done({ out, err, status, signal, dumped, message }));
    if (!options.open) stream.end(options.input);
  }));
}

const sftp = () => new Promise((done, fail) => client.sftp((error, s) => (error ? fail(error) : done(s))));
const call = (s, name, ...words) => new Promise((done) => s[name](...words, (error, value) => done(error ? { code: error.code, message: error.message } : value)));

async function main() {
  if (alone) {
    console.log(JSON.stringify(await command(alone, { agentForward: true, open: true })));
    client.end();
    return;
  }
  const seen = { exec: await command("cat; ls /there/is/none; exit 3", { input: "through" }), denied: await command("reboot now"),
    killed: await command("sh -c 'kill -TERM $$'"), terminal: await command("tty && stty size", { pty: { rows: 33, cols: 99 } }) };
  const files = await sftp();
  await call(files, "fastPut", `${folder}/there`, `${folder}/to`);
  await call(files, "fastGet", `${folder}/to`, `${folder}/back`);
  seen.list = (await call(files, "readdir", folder)).map((f) => f.filename).sort();
  seen.removed = await call(files, "unlink", `${folder}/there`);
  console.log(JSON.stringify(seen));
  client.end();
}

client.on("ready", () => main().catch((error) => { console.error(error); process.exit(1); }));
client.on("error", (error) => { console.error(error); process.exit(1); });
client.connect({ host: "127.0.0.1", port: Number(port), username: "root", password: "any", agent: "/none",
  hostVerifier: (key) => fingerprints.split(",").includes(crypto.createHash("sha256").update(key).digest("base64").replace(/=+$/, "")) });
