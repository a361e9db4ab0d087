// SPDX-License-Identifier: Apache-2.0
// Node's ws as a client: URL WORD…, over HTTP/2 where the URL begins with "h2+wss:". Says each word once the answer to the one before is here, and prints, a line of JSON each, the
// messages, and how it ended.
'use strict'
const WebSocket = require('ws')
const streams = require('./websocket_streams')

const [url, ...words] = process.argv.slice(2)

function print (what) {
  console.log(JSON.stringify(what))
}

function talk (socket) {
  function next () {
    if (words.length) socket.send(words.shift())
    else socket.close(1000)
  }
  socket.on('open', next)
  socket.on('message', (data, binary) => {
    print({ message: data.toString(), binary })
    next()
  })
  socket.on('close', (code, reason) => print({ code, reason: reason.toString() }))
  socket.on('error', error => print({ error: error.message }))
}

function refused (status, body) {
  print({ status, body })
  process.exit(0)
}

function overHttp1 () {
  const socket = new WebSocket(url)
  talk(socket)
  socket.on('unexpected-response', (request, response) => {
    let body = ''
    response.on('data', part => { body += part })
    response.on('end', () => refused(response.statusCode, body))
  })
}

function overHttp2 () {
  const { host, pathname, search } = new URL(url.replace('h2+wss:', 'https:'))
  streams.connect('https://' + host, connection => {
    if (!connection) return refused(0, 'no WebSockets are offered')
    streams.open(connection, pathname + search, socket => {
      talk(socket)
      socket.on('close', () => connection.close())
    }, refused)
  })
}

if (url.startsWith('h2+')) overHttp2()
else overHttp1()
