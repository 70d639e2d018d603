-- wrk: sends the requests of a file in turn, each thread from a place of its own, and writes what it measured as one line of JSON.
-- The file holds whole HTTP requests, separated by NUL. The program measures with the statistics of wrk alone: no reply is parsed here.

local thread_number = 0

function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  requests = {}
  for text in string.gmatch(file:read("*a"), "[^%z]+") do
    requests[#requests + 1] = text
  end
  file:close()
  place = number * 997
end

function request()
  place = place + 1
  return requests[place % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests": %d, "microseconds": %d, "p50": %d, "p95": %d, "p99": %d, ' ..
    '"refused": %d, "broken": %d}\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(95), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
