-- For wrk: what walk.lua does, at a moderate rate. Each connection rests after each answer, 16 ms on average, so that 32
-- of them ask about 2,000 times a second. Its latency is from sending to the answer; resting is not part of it.

dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "../walk.lua")

function delay()
    return math.random(0, 32)
end
