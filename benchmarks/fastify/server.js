// Fastify with pg and fast-jwt: the operations of the FastAPI servers, on the same table, with the same checks.
// EQUIPPED=1 adds what the service always has: a log line a request, metrics, rate limits, ETag and 304, security headers.
// Written as the documentation of Fastify and its plugins teaches it, with what makes it fast: docs/benchmarks.md lists it.

import cluster from 'node:cluster'
import Ajv from 'ajv'
import { createVerifier } from 'fast-jwt'
import Fastify from 'fastify'
import pg from 'pg'
import { v7 as uuid7 } from 'uuid'
import { equip } from './equipment.js'
import { bodies, change, page, parameters, query, reply, SOURCES } from './tasks.js'

const { BENCH_POOL_SIZE, DATABASE_URL, EQUIPPED, JWT_SECRET, PORT, WEB_CONCURRENCY } = process.env
const HOME = '/api/v1/:user_id/tasks'

// Times as JSON has them, in UTC with microseconds, which a Date would cut; and numbers that fit are numbers.
pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => `${text.slice(0, 10)}T${text.slice(11, -3)}Z`)
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

function refusal(statusCode, message, headers = {}) {
  return Object.assign(new Error(message), { statusCode, headers })
}

function versions(ifMatch) {
  return [...ifMatch.matchAll(/"([0-9]{1,18})"/g)].map((found) => Number(found[1]))
}

async function serve() {
  const pool = new pg.Pool({
    connectionString: DATABASE_URL,
    max: Number(BENCH_POOL_SIZE ?? 8),
    min: Number(BENCH_POOL_SIZE ?? 8),
    options: '-c TimeZone=UTC',
  })
  const names = new Map() // of statements: one that has a name is prepared once a connection

  async function rows(text, values) {
    let name = names.get(text)
    if (name === undefined) names.set(text, (name = `s${names.size}`))
    return (await pool.query({ name, text, values })).rows
  }

  const verify = createVerifier({
    key: JWT_SECRET,
    algorithms: ['HS256'],
    allowedAud: 'task-api',
    allowedIss: 'task-api',
    requiredClaims: ['iss', 'aud', 'sub', 'iat', 'exp'],
    clockTolerance: 60000,
    cache: true, // the library's own: a token that was verified is remembered until it expires
  })

  // Nothing is made to fit in bodies, and an unknown member is refused; numbers in addresses are read.
  const strict = new Ajv({ coerceTypes: false, removeAdditional: false, allErrors: false })
  const reading = new Ajv({ coerceTypes: true, useDefaults: true, removeAdditional: false, allErrors: false })
  const app = Fastify({ logger: EQUIPPED === '1', disableRequestLogging: true })
  app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? strict : reading).compile(schema))
  app.setErrorHandler((error, request, answer) => {
    const status = error.statusCode ?? 500
    if (status >= 500) request.log.error(error)
    return answer.code(status).headers(error.headers ?? {}).send({ status, detail: error.message })
  })
  app.decorateRequest('owner', '')
  app.addHook('onRequest', async (request) => {
    const sent = request.headers.authorization
    if (!sent?.startsWith('Bearer ')) throw refusal(401, 'No token.', { 'WWW-Authenticate': 'Bearer' })
    try {
      request.owner = verify(sent.slice(7)).sub
    } catch {
      throw refusal(401, 'The token is invalid.', { 'WWW-Authenticate': 'Bearer' })
    }
    const { user_id: named } = request.params
    if (named !== 'me' && named !== request.owner) throw refusal(403, "Another user's address.")
  })
  if (EQUIPPED === '1') await equip(app)

  const GET = `SELECT ${reply.COLUMNS} FROM tasks WHERE user_id = $1 AND id = $2`
  const CREATE = `INSERT INTO tasks (user_id, id, title, description, status, completed_at, created_at, updated_at, version)
    SELECT $1, $2, $3, $4, $5, CASE WHEN $5 = 'completed' THEN now END, now, now, 1 FROM clock_timestamp() AS now
    RETURNING ${reply.COLUMNS}`

  function told(answer, task) {
    answer.header('ETag', `"${task.version}"`)
    return task
  }

  async function written(request, answer, sources, set, values) {
    const { owner } = request
    const { task_id: id } = request.params
    const ifMatch = request.headers['if-match']
    const known = ifMatch === undefined || ifMatch === '*' ? null : versions(ifMatch)
    const [task] = await rows(change(set, sources !== null, known !== null), [
      owner,
      id,
      ...(sources === null ? [] : [sources]),
      ...(known === null ? [] : [known]),
      ...values,
    ])
    if (task !== undefined) return told(answer, task)
    const [now] = await rows(GET, [owner, id])
    if (now === undefined) throw refusal(404, 'There is no such task.')
    if (known !== null && !known.includes(now.version)) throw refusal(412, 'The task has changed.')
    throw refusal(409, 'The status cannot change so.')
  }

  app.get(HOME, { schema: { querystring: query, response: { 200: reply.page } } }, async (request) => {
    const { text, values, answerOf } = page(request.owner, request.query)
    return answerOf(await rows(text, values))
  })

  app.post(HOME, { schema: { body: bodies.create, response: { 201: reply.task } } }, async (request, answer) => {
    const { title, description = null, status = 'pending' } = request.body
    const [task] = await rows(CREATE, [request.owner, uuid7(), title, description, status])
    answer.code(201).header('Location', `/api/v1/me/tasks/${task.id}`)
    return told(answer, task)
  })

  const one = { params: parameters, response: { 200: reply.task } }
  app.get(`${HOME}/:task_id`, { schema: one }, async (request, answer) => {
    const [task] = await rows(GET, [request.owner, request.params.task_id])
    if (task === undefined) throw refusal(404, 'There is no such task.')
    if (request.headers['if-none-match'] === `"${task.version}"`) {
      return answer.code(304).header('ETag', `"${task.version}"`).send()
    }
    return told(answer, task)
  })

  app.patch(`${HOME}/:task_id`, { schema: { ...one, body: bodies.update } }, async (request, answer) => {
    const { status } = request.body
    const set = Object.keys(request.body).sort()
    const values = set.map((name) => request.body[name])
    return written(request, answer, status === undefined ? null : SOURCES[status], set, values)
  })

  app.patch(`${HOME}/:task_id/complete`, { schema: { ...one, body: bodies.complete } }, async (request, answer) => {
    const { completed } = request.body ?? {}
    if (completed === undefined) return written(request, answer, SOURCES.completed, 'toggle', [])
    const status = completed ? 'completed' : 'pending'
    return written(request, answer, SOURCES[status], ['status'], [status])
  })

  await app.listen({ host: '127.0.0.1', port: Number(PORT) })
}

if (cluster.isPrimary) {
  for (let worker = 0; worker < Number(WEB_CONCURRENCY); worker += 1) cluster.fork()
  cluster.on('exit', () => process.exit(1))
  process.on('SIGTERM', () => process.exit(0)) // the workers end when their channel closes
} else {
  await serve()
}
