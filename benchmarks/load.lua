-- For GET user, wrk sends the tokens in turn. For refreshes, one wrk thread is one connection and
-- one session, and each request sends the refresh token of the previous response.
-- BENCH_FILE contains the call, the path, the header name, "close" or "keep", and then one token a line.

local threads = {}

function setup(thread)
  thread:set("number", #threads + 1)
  table.insert(threads, thread)
end

local function lines()
  local found = {}
  for line in io.lines(os.getenv("BENCH_FILE")) do table.insert(found, line) end
  return found
end

local call, path, header, connection

local function user_requests(tokens)
  local requests, at = {}, 0
  for _, token in ipairs(tokens) do
    local headers = {[header] = token, ["Connection"] = connection}
    table.insert(requests, wrk.format("GET", path, headers))
  end
  request = function()
    at = at % #requests + 1
    return requests[at]
  end
end

local function refresh_requests(tokens)
  local token = tokens[number]
  local headers = {["Content-Type"] = "application/json", ["Connection"] = connection}
  request = function()
    return wrk.format("POST", path, headers, '{"refresh":"' .. token .. '"}')
  end
  response = function(status, _, body)
    token = body:match('"refresh":%s*"([^"]+)"') or token
    if status ~= 200 and not refused then refused = status .. " " .. body:sub(1, 200) end
  end
end

function init()
  local tokens = lines()
  call, path = table.remove(tokens, 1), table.remove(tokens, 1)
  header = table.remove(tokens, 1)
  connection = table.remove(tokens, 1) == "close" and "close" or "keep-alive"
  if call == "refresh" then refresh_requests(tokens) else user_requests(tokens) end
end

function done(summary, latency)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status, broken))
  for _, thread in ipairs(threads) do
    if thread:get("refused") then print("REFUSED " .. thread:get("refused")) end
  end
end
