#!/usr/bin/env python3
"""A sample reader of Tapedeck's protocol: several topics, over reconnects, restarts and losses.

It follows the pseudocode of protocol/README.md (section 4) and names its rules. What it concludes it
writes to standard output, a line of JSON each: connected, disconnected, subscribed, state, message, gap,
reset. A line "finish SEQ" on standard input ends it, when it has everything up to SEQ.

    python3 sample-reader.py --url ws://127.0.0.1:7070/v1/stream --topics 'trade:*,book:BTCUSDT'

Needs the packages websockets and msgpack. Bounded by what it holds: the ten levels of each book, the
newest message of each topic, and the bars that it was sent in the last hour of its life.
"""

import argparse
import asyncio
import json
import random
import struct
import sys
import zlib

import msgpack
import websockets

# ── messages: section 10 ─────────────────────────────────────────────────────────────────────────

COMMON = "symbol seq prevSeq eventTime:n receiveTime:n"
BARS = "1s 1m 5m 1h 1d".split()
FIELDS = {  # code: type and fields. Behind a colon: p price, q quantity, s sum, n nanos, l levels, or words
    32: ("welcome", "version server session epoch seq time:n limits"),
    33: ("ack", "id seq repeated waiting"),
    34: ("error", "id code message field hint"),
    36: ("gap", "topic from to count reason:slow-reader,not-journaled,damaged,retention"),
    37: ("reset", "topics epoch seq reason:other-epoch,too-old,from-the-future,not-kept,too-slow"),
    38: ("heartbeat", "time:n seq heads"),
    39: ("closing", "code reason reconnect retryMs"),
    48: ("instrument", "symbol seq market:feed,venue priceScale quantityScale priceIncrement:p quantityIncrement:q previousClose:p"),
    49: ("tick", COMMON + " last:p bid:p ask:p quantity:q volume:s count"),
    50: ("trade", COMMON + " price:p quantity:q aggressor:buy,sell,none tradeId timing:late,ahead,late-and-ahead"),
    51: ("bbo", COMMON + " bid:p bidQuantity:q ask:p askQuantity:q count mark:stale,recovered"),
    52: ("book", COMMON + " form:snapshot,delta,incomplete bids:l asks:l crc count mark:stale,recovered"),
    53: ("bar", COMMON + " interval:" + ",".join(BARS) + " openTime:n open:p high:p low:p close:p volume:s trades final count"),
    54: ("stats", COMMON + " open:p high:p low:p last:p previousClose:p volume:s turnover vwap trades count change:p"),
    55: ("status", COMMON + " state:live,incomplete,stale,recovered,pre-open,halted,closed reason missed events"),
}  # fmt: skip
FIELDS = {code: (kind, [f.partition(":")[::2] for f in fields.split()]) for code, (kind, fields) in FIELDS.items()}
CODES = {"hello": 1, "subscribe": 2, "resume": 4}


def decode(frame):
    """The messages of a binary frame that this reader knows, enums as words [W4] [W7] [W8]."""
    for code, *values in msgpack.unpackb(frame):
        if code not in FIELDS:
            continue
        kind, fields = FIELDS[code]
        m = {"type": kind}
        for i, (name, form) in enumerate(fields):
            value = values[i] if i < len(values) else None
            if "," in form and value is not None:
                words = form.split(",")
                value = words[value] if value < len(words) else None
            m[name] = int(value) if form == "s" else value  # digits beyond 2^53 - 1 [N7]
        yield m


def decimal(value, scale):
    """A scaled integer as a decimal with all of its decimals [N1]."""
    if value is None:
        return None
    digits = str(abs(value)).rjust(scale + 1, "0")
    whole, part = digits[: len(digits) - scale], digits[len(digits) - scale :]
    return ("-" if value < 0 else "") + whole + ("." + part if scale else "")


def pairs(levels, price_scale, quantity_scale):
    return [[decimal(p, price_scale), decimal(q, quantity_scale)] for p, q in levels]


def as_json(m, scales):
    """The JSON form of a message of a topic."""
    price, quantity = scales
    out = {"type": m["type"]}
    for name, form in next(fields for kind, fields in FIELDS.values() if kind == m["type"]):
        value = m[name]
        if form == "n":
            value = str(value)
        elif form == "p":
            value = decimal(value, price)
        elif form in ("q", "s"):
            value = decimal(value, quantity)
        elif form == "l":
            value = pairs(zip(value[::2], value[1::2]), price, quantity)
        out[name] = value
    return out


# ── books: section 5 ─────────────────────────────────────────────────────────────────────────────


class Book:
    """The ten best levels of one symbol: {price: quantity} a side, in scaled integers."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.bids, self.asks, self.good = {}, {}, False

    def apply(self, m):
        """Takes a message [B2]; False when the copy proves to be wrong [B7]."""
        if m["form"] != "delta":
            self.bids, self.asks, self.good = {}, {}, m["form"] == "snapshot"
        for side, flat in ((self.bids, m["bids"]), (self.asks, m["asks"])):
            for price, quantity in zip(flat[::2], flat[1::2]):
                if quantity == 0:
                    side.pop(price, None)
                else:
                    side[price] = quantity
        if self.good and m["crc"] is not None and m["crc"] != self.crc():
            self.clear()
            return False
        return True

    def levels(self):
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())

    def crc(self):
        bids, asks = self.levels()
        data = struct.pack("<HH", len(bids), len(asks))
        for price, quantity in bids + asks:
            data += struct.pack("<qq", price, quantity)
        return zlib.crc32(data)


# ── the reader: section 4 ────────────────────────────────────────────────────────────────────────


def topic_of(m):
    if m["type"] == "status":
        return "status"
    return f"{m['type']}:{m['symbol']}" + (f":{m['interval']}" if m["type"] == "bar" else "")


def covers(name, topic):
    channel, _, rest = name.partition(":")
    if not rest.startswith("*"):
        return name == topic
    # Of bars the interval has to be the same; a symbol has no colon.
    return topic.startswith(channel + ":") and topic.partition(":")[2].partition(":")[2] == rest[2:]


def is_under(topic, names):
    return any(covers(n, topic) for n in names)


def is_derived(name):
    return name.startswith(("bar:", "stats:"))


class Reader:
    """What a reader keeps across connections. Its lines go to `write`; `send` is of the connection."""

    def __init__(self, names, write):
        self.names = names
        self.write = write
        self.send = None
        self.epoch, self.newest = None, 0
        self.safe, self.last, self.broken = {}, {}, set()
        self.scales, self.books, self.held = {}, {}, {}
        self.collecting, self.resuming, self.state_to, self.void = {}, {}, {}, {}
        self.ids = 0

    # requests

    def welcome(self, m):
        self.here = m["epoch"]
        self.collecting, self.resuming = {}, {}
        self.state_to, self.void, self.tried = {}, {}, {}
        self.crossing = None
        held = list(self.safe)
        if not held:
            self.epoch, self.newest, self.last, self.broken = m["epoch"], 0, {}, set()
        else:
            if self.epoch != m["epoch"]:
                self.crossing = (m["epoch"], self.newest)
            self.resume(held, min(self.safe_of(n) for n in held))
        self.subscribe([n for n in self.names if n not in held])

    def resume(self, topics, seq):
        self.ids += 1
        self.resuming[self.ids] = topics
        self.send("resume", self.ids, self.epoch, seq, topics, self.newest)

    def subscribe(self, some):
        if not some:
            return
        for n in some:
            self.safe.pop(n, None)
        for t in [t for t in self.last if is_under(t, some)]:
            self.forget(t)
        self.ids += 1
        self.collecting[self.ids] = some
        self.send("subscribe", self.ids, some, None)

    # what is known

    def covering(self, t):
        return [n for n in self.safe if covers(n, t)]

    def known(self, t):
        return self.last[t] if t in self.last else max((self.safe[n] for n in self.covering(t)), default=0)

    def safe_of(self, n):
        p = self.safe[n]
        if "*" not in n:
            p = max(p, self.known(n))
        return min([p] + [self.last[t] for t in self.broken if covers(n, t)])

    def is_open(self, t):
        """Whether a request that names the topic is not answered."""
        return any(is_under(t, names) for names in self.requests())

    def requests(self):
        return [*self.collecting.values(), *self.resuming.values()]

    def forget(self, t):
        self.last.pop(t, None)
        self.broken.discard(t)
        self.state_to.pop(t, None)
        self.void.pop(t, None)
        self.held.pop(t, None)
        if t in self.books:
            self.books[t].clear()

    def meet(self, seq):
        if self.crossing is not None and seq > self.crossing[1]:
            self.cross()
        if self.crossing is None:
            self.newest = max(self.newest, seq)

    def cross(self):
        if self.crossing is not None:
            self.epoch, self.newest, self.crossing = self.crossing[0], 0, None

    # messages

    def take(self, m):
        kind = m["type"]
        if kind == "instrument":
            self.scales[m["symbol"]] = (m["priceScale"], m["quantityScale"])
        elif kind in ("tick", "trade", "bbo", "book", "bar", "stats", "status"):
            self.market(topic_of(m), m)
        elif kind in ("ack", "error", "gap", "reset", "heartbeat"):
            getattr(self, kind)(m)

    def market(self, t, m):
        if any(is_under(t, some) for some in self.collecting.values()):
            return self.state(t, m)
        if not self.covering(t):
            return
        if m["seq"] <= self.state_to.get(t, -1):
            return self.state(t, m)
        self.state_to.pop(t, None)
        self.meet(m["seq"])
        if is_derived(t):
            return self.derived(t, m)
        if len(self.resuming) == 1 and not self.collecting:  # the answer ascends [R7]
            for n in next(iter(self.resuming.values())):
                if n in self.safe and not is_derived(n):
                    self.safe[n] = max(self.safe[n], m["seq"] - 1)
        known = self.known(t)
        if m["prevSeq"] > known:
            self.missing(t)
        elif m["seq"] > known:
            self.last[t] = m["seq"]
            self.broken.discard(t)
            self.void.pop(t, None)
            self.keep("message", t, m)
        elif m["seq"] == known and m["type"] == "book" and m["form"] != "delta":
            self.keep("state", t, m)
        elif m["seq"] < self.void.get(t, 0):
            self.keep("state", t, m)

    def derived(self, t, m):  # [D9]
        if m["prevSeq"] > self.known(t):
            return self.missing(t)
        self.last[t] = max(self.known(t), m["seq"])
        self.keep("message", t, m)

    def state(self, t, m):
        self.meet(m["seq"])
        self.last[t] = max(self.last.get(t, 0), m["seq"])
        self.keep("state", t, m)

    def keep(self, kind, t, m):
        held = self.held.setdefault(t, {})
        key = m.get("openTime") or m["symbol"]
        if is_derived(t):
            if key in held and held[key]["seq"] > m["seq"]:
                return
        elif m["type"] == "trade":
            held.clear()
        held[key] = m
        while len(held) > 3600 and t != "status":
            held.pop(min(held))
        line = {"message": as_json(m, self.scales.get(m["symbol"], (0, 0)))}
        good = True
        if m["type"] == "book":
            book = self.books.setdefault(t, Book())
            good = book.apply(m)
            line["book"] = None
            if book.good:
                bids, asks = book.levels()
                scales = self.scales[m["symbol"]]
                line["book"] = {"bids": pairs(bids, *scales), "asks": pairs(asks, *scales)}
        self.write(kind, epoch=self.here, **line)
        if not good:
            self.anew(t, "book-mismatch")  # [B7]

    def missing(self, t):
        self.last[t] = self.known(t)
        self.broken.add(t)
        if any(is_under(t, names) for names in self.resuming.values()):
            return
        if self.tried.get(t) == self.last[t]:  # [R9]
            self.anew(t, "broken")
        else:
            self.tried[t] = self.last[t]
            self.resume([t], self.last[t])

    def ack(self, m):
        self.meet(m["seq"])
        for n in self.collecting.get(m["id"], []):
            self.safe[n] = m["seq"]
            if "*" not in n:
                self.last.setdefault(n, m["seq"])
        if m["id"] in self.collecting:
            self.write("subscribed", epoch=self.here, topics=self.collecting[m["id"]], seq=m["seq"])
        for n in self.resuming.get(m["id"], []):
            if n in self.safe:
                self.safe[n] = max(self.safe[n], m["seq"])
            for t in [t for t in self.last if covers(n, t)]:
                self.broken.discard(t)
                self.state_to.pop(t, None)
                self.void.pop(t, None)
        self.collecting.pop(m["id"], None)
        if self.resuming.pop(m["id"], None) is not None and not self.resuming:
            self.cross()
            self.meet(m["seq"])

    def error(self, m):
        """Refused: asked for again by a later connection, its copies void [R9]."""
        if m["code"] in ("overloaded", "journal-failing", "history-failed", "shutting-down", "internal"):
            raise ConnectionError(m["code"])
        for n in self.resuming.get(m["id"], []):
            self.safe.pop(n, None)
        raise ConnectionError(f"refused: {m['code']}: {m['message']}")

    def gap(self, m):
        t, void_from = m["topic"], None
        if m["reason"] == "not-journaled":  # [R5]
            void_from = m["from"]
            held = self.held.get(t, {})
            for key in [k for k, held_m in held.items() if m["from"] <= held_m["seq"] <= m["to"]]:
                del held[key]
                self.void[t] = m["from"]
            self.last[t] = m["to"]
        else:
            self.last[t] = max(self.known(t), m["to"])
        if t in self.books:
            self.books[t].clear()
        rest = {name: m[name] for name in ("topic", "from", "to", "count", "reason")}
        self.write("gap", epoch=self.here, void_from=void_from, **rest)

    def reset(self, m):
        again = []
        if m["reason"] in ("other-epoch", "from-the-future"):
            for t in list(self.last):
                self.forget(t)
            again = [n for n in self.safe if n not in m["topics"]]
            self.epoch, self.newest, self.crossing = m["epoch"], 0, None
        for t in [t for t in self.last if is_under(t, m["topics"])] + [n for n in m["topics"] if "*" not in n]:
            self.forget(t)
            self.last[t] = self.state_to[t] = m["seq"]
        for n in m["topics"]:
            if n in self.safe:
                self.safe[n] = m["seq"]
        self.meet(m["seq"])
        self.write("reset", **{name: m[name] for name in ("epoch", "topics", "seq", "reason")})
        if again:
            self.write("reset", epoch=self.here, topics=again, seq=None, reason="other-epoch")
            self.subscribe(again)

    def anew(self, t, why):
        self.write("reset", epoch=self.here, topics=[t], seq=None, reason=why)
        self.subscribe([t])

    def heartbeat(self, m):
        for t, head in m["heads"]:
            if not self.is_open(t) and self.covering(t) and t not in self.broken and head > self.known(t):
                self.missing(t)
        for n in self.safe:
            if any(n in names for names in self.requests()):
                continue
            for t in [t for t, seq in self.state_to.items() if covers(n, t) and m["seq"] >= seq]:
                del self.state_to[t]
            if not any(covers(n, t) for t in self.state_to):
                self.safe[n] = max(self.safe[n], m["seq"])
        if self.crossing is None:
            self.meet(m["seq"])

    def lost(self):
        """The connection has ended; half a state is none."""
        for t in list(self.state_to):
            for n in self.covering(t):
                del self.safe[n]
            self.forget(t)

    def has_all(self, seq):
        is_quiet = not self.collecting and not self.resuming and not self.broken
        return is_quiet and len(self.safe) >= len(self.names) and all(self.safe_of(n) >= seq for n in self.safe)


# ── connections: section 1 ───────────────────────────────────────────────────────────────────────


class Client:
    def __init__(self, url, names):
        self.url = url
        self.finish = None
        self.out = []
        self.reader = Reader(names, self.write)

    def write(self, kind, **members):
        self.out.append(json.dumps({"kind": kind, **members}))

    def flush(self):
        if self.out:
            sys.stdout.write("\n".join(self.out) + "\n")
            sys.stdout.flush()
            self.out.clear()

    async def run(self):
        asyncio.get_running_loop().create_task(self.input())
        wait = 0.1
        while True:
            try:
                async with websockets.connect(self.url, subprotocols=["tapedeck.v1.msgpack"], max_size=None, ping_interval=None) as socket:
                    await self.serve(socket)
                    wait = 0.1
            except (OSError, ConnectionError, asyncio.TimeoutError, websockets.WebSocketException) as e:
                self.write("disconnected", why=repr(e))
                self.reader.lost()
                self.flush()
            await asyncio.sleep(wait * (0.5 + random.random()))
            wait = min(wait * 2, 2)

    async def serve(self, socket):
        requests = []
        self.reader.send = lambda kind, *fields: requests.append([CODES[kind], *fields])
        silence = 10.0
        while True:
            frame = await asyncio.wait_for(socket.recv(), silence)  # [W19]
            for m in decode(frame):
                if m["type"] == "welcome":
                    silence = 3 * m["limits"][2] / 1000
                    self.write("connected", epoch=m["epoch"], seq=m["seq"])
                    self.reader.welcome(m)
                elif m["type"] == "closing":
                    await asyncio.sleep(m["retryMs"] / 1000 if m["reason"] != "going-away" else 0)
                else:
                    self.reader.take(m)
            self.flush()
            if requests:
                await socket.send(msgpack.packb(requests))
                requests.clear()
            if self.finish is not None and self.reader.has_all(self.finish):
                self.write("finished", seq=self.finish)
                self.flush()
                sys.exit(0)

    async def input(self):
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            word, _, seq = line.decode().strip().partition(" ")
            if word == "finish":
                self.finish = int(seq)


def main():
    parser = argparse.ArgumentParser(description="Reads topics of a Tapedeck server.")
    parser.add_argument("--url", default="ws://127.0.0.1:7070/v1/stream")
    parser.add_argument("--topics", default="trade:*,status")
    parser.add_argument("--form", choices=["msgpack"], default="msgpack")
    options = parser.parse_args()
    asyncio.run(Client(options.url, options.topics.split(",")).run())


if __name__ == "__main__":
    main()
