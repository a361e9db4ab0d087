// SPDX-License-Identifier: Apache-2.0
// Calls of gRPC by @grpc/grpc-js: as grpc_calls.py.
'use strict'
const fs = require('fs')
const grpc = require('@grpc/grpc-js')

const [place, ca, ...calls] = process.argv.slice(2)
const client = new grpc.Client(place, ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure(), {
  'grpc.max_receive_message_length': 8 << 20, 'grpc.keepalive_time_ms': 200, 'grpc.keepalive_timeout_ms': 2000
})
const LARGE = Buffer.alloc(5 << 20, 'x')
const same = bytes => bytes

// What came of a call by now, and what will have when it is over.
function follow (call) {
  const outcome = { answers: [] }
  call.on('metadata', first => { outcome.first = first })
  call.on('data', data => outcome.answers.push(data))
  call.on('error', () => {})
  outcome.call = call
  outcome.over = new Promise(resolve => call.on('status', status => { outcome.status = status; setImmediate(resolve) }))
  return outcome
}

function path (name) {
  return '/shop.Orders/' + name
}

function waits (seconds) {
  return seconds ? { deadline: Date.now() + 1000 * seconds } : {}
}

async function unary (name, message, seconds = 60) {
  let answer
  const outcome = follow(client.makeUnaryRequest(path(name), same, same, message, new grpc.Metadata(), waits(seconds),
    (error, data) => { answer = error ? undefined : data }))
  await outcome.over
  return { ...outcome, answer }
}

function openDown (name, message, seconds) {
  return follow(client.makeServerStreamRequest(path(name), same, same, message, new grpc.Metadata(), waits(seconds)))
}

function both (name, seconds) {
  return follow(client.makeBidiStreamRequest(path(name), same, same, new grpc.Metadata(), waits(seconds)))
}

function said (outcome, ...more) {
  return [outcome.status.code, outcome.status.details, ...more]
}

function last (outcome, name) {
  return outcome.status.metadata.get(name)[0]
}

async function one (name, message = 'hello') {
  const outcome = await unary(name, Buffer.from(message))
  if (!outcome.answer) return said(outcome)
  return said(outcome, outcome.answer.toString(), outcome.first.get('x-first')[0], last(outcome, 'x-last'),
    last(outcome, 'x-last-bin').toString('hex'))
}

async function large (name) {
  const outcome = await unary(name, LARGE)
  return outcome.answer ? said(outcome, outcome.answer.toString() === LARGE.toString().toUpperCase()) : said(outcome)
}

async function up (name, messages) {
  let answer
  const outcome = follow(client.makeClientStreamRequest(path(name), same, same, new grpc.Metadata(), waits(60),
    (error, data) => { answer = error ? undefined : data }))
  for (const message of messages) outcome.call.write(message)
  outcome.call.end()
  await outcome.over
  return answer ? said(outcome, answer.length) : said(outcome)
}

async function down (name, message) {
  const outcome = openDown(name, Buffer.from(message), 60)
  await outcome.over
  return said(outcome, outcome.answers.map(String))
}

// A call that is over before its client has ended it.
async function staysOpen (name, seconds) {
  const outcome = both(name, seconds)
  outcome.call.write(Buffer.from('x'))
  await outcome.over
  return said(outcome)
}

const WAYS = {
  Down: () => down('Down', 'a b c'),
  Break: () => down('Break', 'first'),
  async Both () {
    const outcome = both('Both', 60)
    for (const word of ['one', 'two', 'three']) {
      const answered = new Promise(resolve => outcome.call.once('data', resolve))
      outcome.call.write(Buffer.from(word))
      await answered
    }
    const answers = outcome.answers.splice(0).map(String)
    outcome.call.end()
    await outcome.over
    return said(outcome, answers, outcome.answers.length)
  },
  async Fail () {
    const outcome = await unary('Fail', Buffer.alloc(0))
    return said(outcome, last(outcome, 'grpc-status-details-bin').toString('hex'))
  },
  async Watch () {
    const outcome = openDown('Watch', Buffer.from('first'))
    await new Promise(resolve => outcome.call.once('data', resolve))
    outcome.call.cancel()
    await outcome.over
    return [outcome.status.code, String(outcome.answers[0])]
  },
  DeleteBoth: () => staysOpen('DeleteBoth', 60),
  AskedBoth: async () => (await staysOpen('AskedBoth', 0.5)).slice(0, 1),
  async Slow () {
    return [(await unary('Slow', Buffer.alloc(0), 0.5)).status.code]
  },
  async Soon () {
    return [(await unary('Asked', Buffer.from('again'), 0.5)).status.code]
  },
  Large: () => large('One'),
  AskedLarge: () => large('Asked'),
  Up: () => up('Up', [Buffer.from('x'), Buffer.alloc(200000, 'y'), Buffer.from('z')]),
  DeleteUp: () => up('DeleteUp', Array(40).fill(Buffer.alloc(100000, 'y'))),
  Again: () => one('Asked', 'again')
}

async function main () {
  for (const name of calls) console.log(JSON.stringify(await (WAYS[name] || (() => one(name)))()))
  client.close()
}

main()
