// Does the same as load.lua, with autocannon instead of wrk. Latencies are whole milliseconds.
const { readFileSync } = require('fs')
const autocannon = require('./.venvs/autocannon/node_modules/autocannon')

const [url, connections, duration] = process.argv.slice(2)
const lines = readFileSync(process.env.BENCH_FILE, 'utf8').split('\n')
const [call, path, header, , ...tokens] = lines // autocannon cannot open a connection for each request
let clients = 0
let refused

function body (token) {
  return JSON.stringify({ refresh: token })
}

function setupClient (client) {
  const token = tokens[clients++ % tokens.length]
  if (call === 'user') return client.setHeaders({ [header]: token })
  client.setHeadersAndBody({ 'Content-Type': 'application/json' }, body(token))
  client.on('body', chunk => {
    const next = /"refresh":\s*"([^"]+)"/.exec(chunk.toString())
    if (next) client.setBody(body(next[1]))
    else refused = refused || chunk.toString().slice(0, 300)
  })
}

autocannon({
  url: url + path,
  method: call === 'user' ? 'GET' : 'POST',
  connections: Number(connections),
  duration: Number(duration),
  timeout: 60,
  setupClient
}).then(result => {
  const { p50, p99 } = result.latency
  const seconds = (result.finish - result.start) / 1000
  const numbers = [result.requests.total, Math.round(seconds * 1e6), p50 * 1000, p99 * 1000]
  console.log('RESULT', ...numbers, result.non2xx, result.errors)
  if (refused) console.log('REFUSED', refused.replace(/\s+/g, ' '))
})
