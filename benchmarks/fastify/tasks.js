// The schemas and statements of the Fastify servers, in the terms of fastapi_tasks.py.

const STATUSES = ['pending', 'in_progress', 'completed', 'cancelled']
const TRANSITIONS = {
  pending: STATUSES,
  in_progress: STATUSES,
  completed: ['pending', 'in_progress', 'completed'],
  cancelled: ['pending', 'cancelled'],
}
// The statuses from which each can be reached.
export const SOURCES = Object.fromEntries(
  STATUSES.map((target) => [target, STATUSES.filter((source) => TRANSITIONS[source].includes(target))]),
)

const CONTROL = '\\x00-\\x1f\\x7f-\\x9f'
const INVISIBLE = '\\x20\\xa0\\xad\\u1680\\u180e\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000\\ufeff'
const title = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  pattern: `^[^${CONTROL}]*[^${CONTROL}${INVISIBLE}][^${CONTROL}]*$`,
}
const description = {
  type: 'string',
  nullable: true,
  maxLength: 5000,
  pattern: '^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$',
}
const status = { type: 'string', enum: STATUSES }
const text = { type: 'string' }

function closed(properties, rest = {}) {
  return { type: 'object', additionalProperties: false, properties, ...rest }
}

export const bodies = {
  create: closed({ title, description, status }, { required: ['title'] }),
  update: closed({ title, description, status }, { minProperties: 1 }),
  complete: { ...closed({ completed: { type: 'boolean' } }, { required: ['completed'] }), nullable: true },
}

export const parameters = {
  type: 'object',
  properties: {
    task_id: { type: 'string', pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' },
  },
}

const SORTS = ['created_at', 'updated_at', 'title']
export const query = closed({
  status: text,
  completed: { type: 'boolean' },
  q: { type: 'string', minLength: 1, maxLength: 200 },
  sort: { type: 'string', enum: SORTS.flatMap((sort) => [sort, `-${sort}`]), default: '-created_at' },
  limit: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
  skip: { type: 'integer', minimum: 0, maximum: 100000, default: 0 },
  cursor: { type: 'string', maxLength: 2048 },
})

// By these schemas Fastify compiles the function that writes a reply. Times are texts by now.
const optional = { type: 'string', nullable: true }
const task = {
  type: 'object',
  properties: {
    id: text,
    user_id: text,
    title: text,
    description: optional,
    status: text,
    completed: { type: 'boolean' },
    completed_at: optional,
    created_at: text,
    updated_at: text,
    version: { type: 'integer' },
  },
}
const COLUMNS = `id, user_id, title, description, status, status = 'completed' AS completed,
  completed_at, created_at, updated_at, version`
export const reply = {
  COLUMNS,
  task,
  page: {
    type: 'object',
    properties: { items: { type: 'array', items: task }, total: { type: 'integer' }, next_cursor: optional },
  },
}

// One UPDATE ... RETURNING that checks the version and the transition itself; `set` has names of columns, or is 'toggle'.
export function change(set, hasSources, hasVersions) {
  const where = ['user_id = $1', 'id = $2']
  let number = 2
  if (hasSources) where.push(`status = ANY ($${(number += 1)})`)
  if (hasVersions) where.push(`version = ANY ($${(number += 1)}::bigint[])`)
  const now = 'clock_timestamp()'
  let assigned
  if (set === 'toggle') {
    assigned = [
      "status = CASE WHEN status = 'completed' THEN 'pending' ELSE 'completed' END",
      `completed_at = CASE WHEN status <> 'completed' THEN ${now} END`,
    ]
  } else {
    assigned = set.map((name) => `${name} = $${(number += 1)}`)
    if (set.includes('status')) {
      assigned.push(`completed_at = CASE WHEN $${number - set.length + 1 + set.indexOf('status')} = 'completed'
        THEN coalesce(completed_at, ${now}) END`)
    }
  }
  return `UPDATE tasks SET ${assigned.join(', ')}, version = version + 1, updated_at = ${now}
    WHERE ${where.join(' AND ')} RETURNING ${COLUMNS}`
}

// The page and its total in one statement: the count is a scalar subquery, so it costs no second round trip.
export function page(owner, wanted) {
  const values = [owner]
  const value = (given) => `$${values.push(given)}`
  const filters = ['user_id = $1']
  if (wanted.status !== undefined) filters.push(`status = ANY (${value(wanted.status.split(','))})`)
  if (wanted.completed !== undefined) filters.push(`(status = 'completed') = ${value(wanted.completed)}`)
  for (const word of (wanted.q ?? '').split(/\s+/).filter(Boolean)) {
    const pattern = value(`%${word.replace(/[\\%_]/g, '\\$&')}%`)
    filters.push(`(title || E'\\n' || coalesce(description, '')) ILIKE ${pattern}`)
  }
  const counted = filters.join(' AND ')
  const descending = wanted.sort.startsWith('-')
  const key = descending ? wanted.sort.slice(1) : wanted.sort
  if (wanted.cursor !== undefined) {
    const { at, id } = readCursor(wanted.cursor)
    filters.push(`(${key}, id) ${descending ? '<' : '>'} (${value(at)}, ${value(id)})`)
  }
  const order = descending ? ' DESC' : ''
  const statement = `SELECT ${COLUMNS}, (SELECT count(*) FROM tasks WHERE ${counted}) AS total FROM tasks
    WHERE ${filters.join(' AND ')} ORDER BY ${key}${order}, id${order}
    LIMIT ${value(wanted.limit + 1)} OFFSET ${value(wanted.skip)}`

  function answerOf(rows) {
    const more = rows.length > wanted.limit
    const items = more ? rows.slice(0, wanted.limit) : rows
    const last = items[items.length - 1]
    return { items, total: rows[0]?.total ?? 0, next_cursor: more ? writeCursor(last[key], last.id) : null }
  }
  return { text: statement, values, answerOf }
}

function writeCursor(at, id) {
  return Buffer.from(`${id}${at}`).toString('base64url')
}

function readCursor(cursor) {
  const content = Buffer.from(cursor, 'base64url').toString()
  return { id: content.slice(0, 36), at: content.slice(36) }
}
