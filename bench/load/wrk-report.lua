-- Arguments: file with the body; then paths, used in turn when there are more than one. Prints one line of JSON.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
  if #args < 3 then
    wrk.path = args[2]
    local only = wrk.format()
    wrk.request = function() return only end
    return
  end
  local requests, turn = {}, 0
  for i = 2, #args do requests[i - 1] = wrk.format(nil, args[i]) end
  function request()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"bytes":%d,"p50Micros":%d,"p99Micros":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
