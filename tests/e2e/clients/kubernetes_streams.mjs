// SPDX-License-Identifier: Apache-2.0
// @kubernetes/client-node besides its exec: `attach` or `forward`, NAMESPACE POD, for the latter PORT, INPUT. Prints what came
// of it as JSON.
import { PassThrough, Readable } from 'node:stream'
import { Attach, KubeConfig, PortForward } from '@kubernetes/client-node'

const [what, namespace, pod, ...rest] = process.argv.slice(2)
const input = rest.pop()
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
const stdin = Readable.from([input])
try {
  let socket
  if (what === 'attach') {
    socket = await new Attach(config).attach(namespace, pod, 'app', out, errors, stdin, false)
  } else {
    // Its end would end the connection before the answer is there.
    const open = new PassThrough()
    open.write(input)
    socket = await new PortForward(config).portForward(namespace, pod, [Number(rest[0])], out, errors, open)
    out.on('data', () => { if (out.text.length >= input.length) open.end() })
  }
  socket.on('close', () => {
    console.log(JSON.stringify({ out: out.text, errors: errors.text }))
    process.exit(0)
  })
} catch (error) {
  console.log(JSON.stringify({ refused: error.message }))
}
