-- For wrk: sends the requests that a file holds, separated by zero bytes. Each thread walks a slice of its own.
--
--     wrk ... -s walk.lua URL -- FILE THREADS [once]
--
-- With `once` a thread stops at the end of its slice instead of starting over, and says so: wrk itself waits until its time is
-- over, or until it is interrupted. What is under way then is not waited for.

local threads_made, said = 0, false

function setup(thread)
    thread:set("id", threads_made)
    threads_made = threads_made + 1
end

function init(args)
    local file = assert(io.open(args[1], "rb"))
    local text = file:read("*a")
    file:close()
    local threads, number = tonumber(args[2]), 0
    own, position, once = {}, 0, args[3] == "once"
    for request in text:gmatch("[^%z]+") do
        if number % threads == id then
            own[#own + 1] = request
        end
        number = number + 1
    end
end

function request()
    position = position + 1
    if position > #own then
        if once and not said then
            wrk.thread:stop()
            io.write("WALKED\n")
            io.flush()
            said = true
        end
        position = 1
    end
    return own[position]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        'RESULT {"seconds": %f, "requests": %d, "p50_ms": %f, "p99_ms": %f, "refused": %d, "broken": %d}\n',
        summary.duration / 1e6, summary.requests, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
