// SPDX-License-Identifier: Apache-2.0
// A WebSocket server by node's ws: PORT, and TLS-PORT with CERTIFICATE and KEY, where HTTP/2 is spoken too. Says what it was asked
// for.
'use strict'
const fs = require('fs')
const http = require('http')
const http2 = require('http2')
const { WebSocketServer } = require('ws')
const streams = require('./websocket_streams')

const [port, tlsPort, cert, key] = process.argv.slice(2)

function inFragments (socket, parts) {
  parts.forEach((part, i) => socket.send(part, { fin: i === parts.length - 1 }))
}

const words = {
  mail: socket => socket.send('write to ann@example.com'),
  fragments: socket => inFragments(socket, ['write to ann@ex', '', 'ample.', 'com']),
  json: socket => socket.send(JSON.stringify({ mail: 'ann@example.com', n: 1 })),
  buffer: socket => socket.send(Buffer.from('write to ann@example.com')),
  long: socket => socket.send('x'.repeat(200000) + ' ann@example.com ' + 'y'.repeat(200000)),
  ping: socket => socket.ping('are you there'),
  broken: socket => socket._socket.write(Buffer.from([0xf1, 1, 65])),
  bye: socket => socket.close(4001, 'as you wish')
}

function talk (socket) {
  socket.on('error', () => {})
  socket.on('pong', data => socket.send('pong ' + data))
  socket.on('message', (data, binary) => {
    const word = binary ? null : words[data.toString()]
    if (word) word(socket)
    else if (data.toString() === 'extensions') socket.send('extensions: ' + socket.extensions)
    else socket.send(data, { binary })
  })
}

function serve (server) {
  new WebSocketServer({ server, perMessageDeflate: true }).on('connection', talk)
  server.on('stream', (stream, headers) => {
    const socket = streams.accept(stream, headers)
    if (socket) talk(socket)
  })
}

const plain = http.createServer()
const secure = http2.createSecureServer({ cert: fs.readFileSync(cert),
  key: fs.readFileSync(key),
  allowHTTP1: true,
  settings: { enableConnectProtocol: true } })
serve(plain)
serve(secure)
plain.listen(port, '127.0.0.1', () => secure.listen(tlsPort, '127.0.0.1', () => console.log('ready')))
