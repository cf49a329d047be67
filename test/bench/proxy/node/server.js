// What an application would do itself: it keeps its answers in Redis, for each user and URL,
// and asks for them anew when they aren't there. "node server.js PORT ORIGIN REDIS" are three
// ports of this machine: its own, the origin's and that of Redis.
'use strict'
const http = require('node:http')
const { Redis } = require('ioredis')

const [port, origin, redisPort] = process.argv.slice(2).map(Number)
const redis = new Redis({ host: '127.0.0.1', port: redisPort })
const agent = new http.Agent({ keepAlive: true })
const ttl = 3600 // seconds

// fetch gives the origin's answer as it is stored: a line with status and fields, then the body.
const fetch = (path, authorization) => new Promise((resolve, reject) => {
  const request = http.get({ host: '127.0.0.1', port: origin, agent, path, headers: { authorization } }, (response) => {
    const chunks = []
    response.on('data', (chunk) => chunks.push(chunk))
    response.on('error', reject)
    response.on('end', () => {
      const { connection, date, ...fields } = response.headers
      resolve(JSON.stringify({ status: response.statusCode, fields }) + '\n' + Buffer.concat(chunks))
    })
  })
  request.on('error', reject)
})

async function serve(request, response) {
  const authorization = request.headers.authorization ?? ''
  const key = `node:${authorization}:${request.url}`
  let stored = await redis.get(key)
  const cache = stored === null ? 'miss' : 'hit'
  if (stored === null) {
    stored = await fetch(request.url, authorization)
    await redis.set(key, stored, 'EX', ttl)
  }
  const end = stored.indexOf('\n')
  const { status, fields } = JSON.parse(stored.slice(0, end))
  response.writeHead(status, { ...fields, 'x-cache': cache })
  response.end(stored.slice(end + 1))
}

http.createServer((request, response) => {
  serve(request, response).catch((error) => {
    response.writeHead(502)
    response.end(String(error))
  })
}).listen(port, '127.0.0.1')
