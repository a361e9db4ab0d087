// SPDX-License-Identifier: Apache-2.0
// Node's ws as a client: URL WORD… says each word once the answer to the one before is here, and prints, a line of JSON each, the
// messages, and how it ended.
'use strict'
const WebSocket = require('ws')

const [url, ...words] = process.argv.slice(2)
const socket = new WebSocket(url)

function print (what) {
  console.log(JSON.stringify(what))
}

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
socket.on('unexpected-response', (request, response) => {
  let body = ''
  response.on('data', part => { body += part })
  response.on('end', () => {
    print({ status: response.statusCode, body })
    process.exit(0)
  })
})
socket.on('error', error => print({ error: error.message }))
