// SPDX-License-Identifier: Apache-2.0
// Vendors' libraries of models' APIs: LIBRARY URL TIMEOUT WORD…, each WORD a message, one after the other; with "stream:" before it the answer is asked for as events. A line of JSON
// for each request that the library sends, for each piece of a streamed answer, and for its end.
import OpenAI from 'openai'
import Anthropic from '@anthropic-ai/sdk'

const [library, url, timeout, ...words] = process.argv.slice(2)
const say = what => console.log(JSON.stringify(what))
let tries = 0
const common = { apiKey: 'none', timeout: Number(timeout), fetch: (...all) => { say({ try: ++tries }); return fetch(...all) } }

function openai () {
  const client = new OpenAI({ baseURL: `${url}/v1`, ...common })
  return {
    ask: (content, stream) => client.chat.completions.create({ model: 'm', stream, messages: [{ role: 'user', content }] }),
    whole: ({ choices: [{ message }] }) => message.tool_calls ? JSON.parse(message.tool_calls[0].function.arguments) : message.content,
    piece: ({ choices: [{ delta }] }) => ({ text: delta.content, json: delta.tool_calls?.[0].function.arguments })
  }
}

function responses () {
  const client = new OpenAI({ baseURL: `${url}/v1`, ...common })
  return {
    ask: (input, stream) => client.responses.create({ model: 'm', stream, input }),
    whole: answer => answer.output_text || JSON.parse(answer.output[0].arguments),
    piece: event => {
      if (event.type === 'response.completed') say({ completed: event.response.output[0].content?.[0].text ?? event.response.output[0].arguments })
      return { text: event.type === 'response.output_text.delta' && event.delta, json: event.type === 'response.function_call_arguments.delta' && event.delta }
    }
  }
}

function anthropic () {
  const client = new Anthropic({ baseURL: url, ...common })
  return {
    ask: (content, stream) => client.messages.create({ model: 'm', max_tokens: 9, stream, messages: [{ role: 'user', content }] }),
    whole: ({ content: [block] }) => block.input ?? block.text,
    piece: ({ delta }) => ({ text: delta?.text, json: delta?.partial_json })
  }
}

const api = { openai, responses, anthropic }[library]()

async function read (answer) {
  let text = ''
  let json = ''
  for await (const event of answer) {
    const piece = api.piece(event)
    if (piece.text) say({ piece: piece.text })
    text += piece.text || ''
    json += piece.json || ''
  }
  return json ? JSON.parse(json) : text
}

for (const word of words) {
  const stream = word.startsWith('stream:')
  try {
    const answer = await api.ask(word.replace('stream:', ''), stream)
    say({ answer: stream ? await read(answer) : api.whole(answer) })
  } catch (error) {
    say({ error: error.constructor.name, status: error.status, message: error.message, type: error.type })
  }
}
