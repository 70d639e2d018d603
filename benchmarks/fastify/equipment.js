// What the service always has, of Fastify's own plugins and the usual client of Prometheus.

import etag from '@fastify/etag'
import helmet from '@fastify/helmet'
import limits from '@fastify/rate-limit'
import metrics from 'prom-client'

export async function equip(app) {
  const duration = new metrics.Histogram({
    name: 'http_request_duration_seconds',
    help: 'Seconds from the request to the end of the reply.',
    labelNames: ['method', 'route', 'status'],
  })
  await app.register(helmet)
  await app.register(etag)
  // Each request is counted for its user, and the limit is never reached.
  await app.register(limits, {
    hook: 'preHandler',
    keyGenerator: (request) => request.owner,
    max: 9999999,
    timeWindow: '1 minute',
  })
  app.addHook('onSend', async (request, answer) => {
    answer.header('X-Request-ID', request.id)
  })
  app.addHook('onResponse', async (request, answer) => {
    const { method, routeOptions } = request
    const seconds = answer.elapsedTime / 1000
    duration.observe({ method, route: routeOptions.url, status: answer.statusCode }, seconds)
    request.log.info(
      { user: request.owner, method, path: request.url, route: routeOptions.url, status: answer.statusCode, seconds },
      'request',
    )
  })
}
