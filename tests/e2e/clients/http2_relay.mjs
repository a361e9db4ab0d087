// SPDX-License-Identifier: Apache-2.0
// What a program without a proxy of its own is given: a listener of the agent's, each of whose connections is a CONNECT on one
// connection of HTTP/2 with the proxy. The proxy's URL, the file of its CA, the place, and the command, in which PORT is the listener's.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import http2 from "node:http2";
import net from "node:net";

const [proxy, ca, place, ...command] = process.argv.slice(2);
const session = http2.connect(proxy, { ca: readFileSync(ca) });
session.on("error", error => console.error(`session: ${error.message}`));

function carry(socket) {
  const stream = session.request({ ":method": "CONNECT", ":authority": place });
  socket.on("error", () => stream.close(http2.constants.NGHTTP2_CONNECT_ERROR));
  stream.on("error", error => console.error(`stream: ${error.message}`));
  stream.on("close", () => { if (stream.rstCode) socket.resetAndDestroy(); });
  stream.on("response", headers => {
    if (headers[":status"] === 200) {
      socket.pipe(stream);
      stream.pipe(socket);
      return;
    }
    let body = "";
    stream.on("data", data => { body += data; });
    stream.on("end", () => { console.error(`${headers[":status"]} ${body}`); socket.destroy(); stream.end(); });
  });
}

const listener = net.createServer({ allowHalfOpen: true }, carry).listen(0, "127.0.0.1", () => {
  const words = command.map(word => word.replaceAll("PORT", listener.address().port));
  spawn(words[0], words.slice(1), { stdio: "inherit" }).on("exit", (code, signal) => process.exit(signal ? 1 : code));
});
