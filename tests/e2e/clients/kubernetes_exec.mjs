// SPDX-License-Identifier: Apache-2.0
// @kubernetes/client-node, whose exec is a WebSocket: NAMESPACE POD TTY INPUT COMMAND… prints what came of it as JSON.
import { PassThrough, Readable } from 'node:stream'
import { Exec, KubeConfig } from '@kubernetes/client-node'

const [namespace, pod, tty, input, ...command] = process.argv.slice(2)
const config = new KubeConfig()
config.loadFromDefault()

function collect () {
  const stream = new PassThrough()
  stream.text = ''
  stream.on('data', data => { stream.text += data })
  return stream
}

const out = collect()
const errors = collect()
try {
  const stdin = input ? Readable.from([input]) : null
  const socket = await new Exec(config).exec(namespace, pod, 'app', command, out, errors, stdin, tty === 'tty', status => {
    console.log(JSON.stringify({ out: out.text, errors: errors.text, status }))
  })
  socket.on('close', () => process.exit(0))
} catch (error) {
  console.log(JSON.stringify({ refused: error.message }))
}
