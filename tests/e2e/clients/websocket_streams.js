// SPDX-License-Identifier: Apache-2.0
// Node's ws over streams of Node's http2 (RFC 8441), for both sides.
'use strict'
const http2 = require('http2')
const WebSocket = require('ws')

// What ws asks of a socket and a stream has not.
function asSocket (stream) {
  stream.setNoDelay = stream.setKeepAlive = () => {}
  return stream
}

// A server's socket for a stream that asks for one; NULL: it asks for something else.
function accept (stream, headers) {
  if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') return null
  const socket = new WebSocket(null, undefined, { autoPong: true })
  stream.respond({ ':status': 200 })
  socket.setSocket(asSocket(stream), Buffer.alloc(0), { maxPayload: 0, skipUTF8Validation: false })
  return socket
}

// Calls `done` with the connection once its first SETTINGS offer WebSockets, or with NULL.
function connect (url, done) {
  const connection = http2.connect(url)
  connection.once('remoteSettings', settings => done(settings.enableConnectProtocol ? connection : null))
}

// A client's socket on a stream of its own; `refused` is called with the status and body of what is no agreement.
function open (connection, path, opened, refused) {
  const stream = connection.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13' },
    { endStream: false })
  stream.on('response', headers => {
    let body = ''
    if (headers[':status'] !== 200) {
      stream.on('data', part => { body += part })
      stream.on('end', () => refused(headers[':status'], body))
      stream.end()
      return
    }
    const socket = new WebSocket(null, undefined, { autoPong: true })
    socket._isServer = false
    opened(socket)
    socket.setSocket(asSocket(stream), Buffer.alloc(0), { maxPayload: 0, skipUTF8Validation: false })
  })
}

module.exports = { accept, connect, open }
