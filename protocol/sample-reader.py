#!/usr/bin/env python3
"""A sample reader of Tapedeck's protocol: several topics, over reconnects, restarts and losses.

It follows the pseudocode of protocol/README.md (section 4) and names its rules. What it concludes it
writes to standard output, a line of JSON each: connected, disconnected, subscribed, state, message, gap,
reset. A line "finish SEQ" on standard input ends it, when it has everything up to SEQ.

    python3 sample-reader.py --url ws://127.0.0.1:7070/v1/stream --topics 'trade:*,book:BTCUSDT'

Needs the packages websockets and msgpack. Bounded by what it holds: the ten levels of each book, the
newest message of each topic, and so many bars of each.
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
BARS_HELD = 3600  # of a topic
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
    """What a reader keeps over connections. Its lines go to `write`; `send` is of the connection."""

    def __init__(self, names, write):
        self.names = names
        self.write = write
        self.send = None
        self.ids = 0
        self.epoch, self.newest, self.here = None, 0, None
        self.safe, self.last, self.broken, self.again = {}, {}, {}, set()
        self.scales, self.books, self.held, self.undefined = {}, {}, {}, set()
        self.begin()

    def begin(self):
        self.collecting, self.resuming = {}, {}  # id -> topics of a request that is not answered
        self.at_welcome, self.only, self.crossing = set(), None, None
        self.state_to, self.lost_from, self.tried, self.beyond = {}, {}, {}, set()

    # requests

    def welcome(self, m):
        self.begin()
        self.here = m["epoch"]
        held = list(self.safe)
        if not held:
            self.epoch, self.newest = m["epoch"], 0
            self.last, self.broken, self.again = {}, {}, set()
        else:
            if self.epoch != m["epoch"]:
                self.crossing = [m["epoch"], self.newest]
            seq = min(self.safe_of(n) for n in held)
            self.at_welcome = {self.resume(held[i : i + 1000], seq) for i in range(0, len(held), 1000)}
            if len(self.at_welcome) == 1:
                (self.only,) = self.at_welcome
        self.subscribe([n for n in self.names if n not in held] + list(self.again))

    def resume(self, topics, seq):
        self.ids += 1
        self.resuming[self.ids] = topics
        self.send("resume", self.ids, self.epoch, min(seq, self.newest), topics, self.newest)
        return self.ids

    def subscribe(self, topics):
        if not topics:
            return
        for n in topics:
            self.safe.pop(n, None)
        for t in list(self.last):
            if is_under(t, topics) and (t in self.again or not self.covering(t)):
                self.forget(t)
        self.ids += 1
        self.collecting[self.ids] = topics
        self.send("subscribe", self.ids, topics, None)

    def resubscribe(self, t, why):
        """What was missed of a topic stays missing."""
        self.write("reset", epoch=self.here, topics=[t], seq=None, reason=why)
        self.again.add(t)
        self.subscribe([t])

    # what is known

    def covering(self, t):
        return [n for n in self.safe if covers(n, t)]

    def known(self, t):
        return self.last[t] if t in self.last else max((self.safe[n] for n in self.covering(t)), default=0)

    def safe_of(self, n):
        p = self.safe[n] if "*" in n else max(self.safe[n], self.known(n))
        return min([p] + [self.last[t] for t in self.broken if covers(n, t)])

    def requests(self):
        return [*self.collecting.values(), *self.resuming.values()]

    def state_end(self, t):
        return max((seq for x, seq in self.state_to.items() if covers(x, t)), default=-1)

    def forget(self, t):
        for kept in (self.last, self.broken, self.lost_from, self.held):
            kept.pop(t, None)
        if t in self.books:
            self.books[t].clear()

    def meet(self, seq):
        if self.crossing and self.only in self.resuming and seq > self.crossing[1]:
            self.cross()
        if not self.crossing:
            self.newest = max(self.newest, seq)

    def cross(self):
        if self.crossing:
            self.epoch, self.newest, self.crossing = self.crossing[0], 0, None

    # messages

    def take(self, m):
        kind = m["type"]
        if kind == "instrument":
            self.scales[m["symbol"]] = (m["priceScale"], m["quantityScale"])
            for n in [n for n in self.undefined if n.split(":")[1] == m["symbol"]]:
                self.undefined.discard(n)
                self.subscribe([n])
        elif kind in ("tick", "trade", "bbo", "book", "bar", "stats", "status"):
            self.market(topic_of(m), m)
        elif kind in ("ack", "error", "gap", "reset", "heartbeat"):
            getattr(self, kind)(m)

    def market(self, t, m):
        covering = self.covering(t)
        if any(is_under(t, topics) for topics in self.collecting.values()) and (t in self.again or not covering):
            is_delta = m["type"] == "book" and m["form"] == "delta" and not self.books.get(t, Book()).good
            if not (t in self.again and (m["type"] == "trade" or is_delta)):
                self.state(t, m)
            return
        if not covering:
            return
        if m["seq"] <= self.state_end(t):
            return self.state(t, m)
        if m["prevSeq"] > self.known(t):
            return self.missing(t, m["seq"])
        if is_derived(t):
            return self.derived(t, m)
        if self.only in self.resuming and is_under(t, self.resuming[self.only]):  # its answer ascends [R7]
            self.meet(m["seq"])
            for n in self.resuming[self.only]:
                if n in self.safe and not is_derived(n):
                    self.safe[n] = max(self.safe[n], m["seq"] - 1)
        elif not self.crossing:
            self.meet(m["seq"])
        known = self.known(t)
        if m["seq"] > known:
            self.last[t] = m["seq"]
            self.keep("message", t, m)
        elif m["seq"] == known and m["type"] == "book" and m["form"] != "delta":
            self.keep("state", t, m)
        elif m["seq"] < self.lost_from.get(t, 0) and m["symbol"] not in self.held.get(t, {}):
            self.keep("state", t, m)

    def derived(self, t, m):  # [D9]
        if not self.crossing:
            self.meet(m["seq"])
        self.last[t] = max(self.known(t), m["seq"])
        held = self.held.get(t, {}).get(m.get("openTime", m["symbol"]))
        if held is None or held["seq"] <= m["seq"]:
            self.keep("message", t, m)

    def state(self, t, m):
        if not self.crossing:
            self.meet(m["seq"])
        self.last[t] = max(self.last.get(t, 0), m["seq"])
        self.keep("state", t, m)

    def keep(self, kind, t, m):
        """Changes the copy, and gives the message to the application."""
        if m["type"] == "book" and m["form"] == "delta" and not self.books.setdefault(t, Book()).good:
            if not any(is_under(t, topics) for topics in self.requests()):
                self.resubscribe(t, "no-copy")
            return
        held = self.held.setdefault(t, {})
        held[m.get("openTime", m["symbol"])] = m
        if self.crossing and m["seq"] > self.crossing[1]:
            self.beyond.add(t)  # of the new epoch, which may be gone when this reader comes back [R8]
        if m["type"] == "bar" and len(held) > BARS_HELD:
            del held[min(held)]
        scales = self.scales.get(m["symbol"], (0, 0))
        line = {"message": as_json(m, scales)}
        is_right = True
        if m["type"] == "book":
            book = self.books.setdefault(t, Book())
            is_right = book.apply(m)
            line["book"] = None
            if book.good:
                bids, asks = book.levels()
                line["book"] = {"bids": pairs(bids, *scales), "asks": pairs(asks, *scales)}
        self.write(kind, epoch=self.here, **line)
        if not is_right:
            self.resubscribe(t, "book-mismatch")  # [B7]

    def missing(self, t, seq):
        self.last[t] = self.known(t)
        self.broken[t] = max(self.broken.get(t, 0), seq)
        is_tried = self.tried.get(t) == self.last[t]
        self.tried[t] = self.last[t]
        if any(is_under(t, topics) for topics in self.requests()):
            return  # its answer decides
        if is_tried:
            self.resubscribe(t, "broken")  # [R9]
        else:
            self.resume([t], self.last[t])

    def ack(self, m):
        if m["id"] in self.collecting:
            topics = self.collecting.pop(m["id"])
            for n in topics:
                self.again.discard(n)
                if n in self.names:
                    self.safe[n] = m["seq"]
                if "*" not in n:
                    self.last.setdefault(n, m["seq"])
            for t in [t for t in self.broken if is_under(t, topics)]:
                self.resubscribe(t, "broken")  # its state did not fit
            self.write("subscribed", epoch=self.here, topics=topics, seq=m["seq"])
        elif m["id"] in self.resuming:
            self.resumed(self.resuming[m["id"]], m["seq"])
            del self.resuming[m["id"]]
            if not self.at_welcome & self.resuming.keys():
                self.cross()
        else:
            return
        if not self.crossing:
            self.meet(m["seq"])

    def resumed(self, topics, seq):
        for n in topics:
            if n in self.safe:
                self.safe[n] = max(self.safe[n], seq)
        for x in [x for x in self.state_to if is_under(x, topics)]:
            del self.state_to[x]
        for t in [t for t in self.lost_from if is_under(t, topics)]:
            if t in self.books and not self.held.get(t):
                self.resubscribe(t, "no-copy")
            self.lost_from.pop(t, None)
        for t in [t for t in self.broken if is_under(t, topics)]:
            if self.broken.pop(t) > self.known(t):
                self.resubscribe(t, "broken")  # the hole is in the answer itself

    def error(self, m):
        if m["code"] in ("overloaded", "limit-reached", "journal-failing", "history-failed", "shutting-down", "internal"):
            raise ConnectionError(m["code"])
        topics = self.collecting.pop(m["id"], None)
        if m["id"] in self.resuming:
            topics = self.resuming.pop(m["id"])
            self.write("reset", epoch=self.here, topics=topics, seq=None, reason=m["code"])
            for n in topics:
                self.safe.pop(n, None)
            if not self.at_welcome & self.resuming.keys():
                self.cross()
        elif topics is None:
            raise ConnectionError(f"{m['code']}: {m['message']}")
        elif len(topics) == 1:
            self.undefined.update(topics)
            print(f"{topics[0]}: {m['message']}", file=sys.stderr)
            return
        for n in topics:
            if n in self.names:
                self.subscribe([n])
            else:
                self.resubscribe(n, m["code"])

    def gap(self, m):
        t, void_from = m["topic"], None
        if not self.covering(t) or m["to"] < self.known(t):
            return
        if m["reason"] == "not-journaled":  # [R5]
            self.lost_from[t] = void_from = m["from"]
            held = self.held.get(t, {})
            for key in [key for key, one in held.items() if m["from"] <= one["seq"] <= m["to"]]:
                del held[key]
            if self.crossing:
                self.crossing[1] = max(self.crossing[1], m["to"])
        else:
            self.meet(m["to"])
        self.last[t] = m["to"]
        if t in self.books:
            self.books[t].clear()
            self.held.pop(t, None)
        rest = {name: m[name] for name in ("topic", "from", "to", "count", "reason")}
        self.write("gap", epoch=self.here, void_from=void_from, **rest)

    def reset(self, m):
        others = []
        if m["reason"] in ("other-epoch", "from-the-future") and self.epoch != m["epoch"]:
            for t in list(self.last):
                self.forget(t)
            asked = [n for topics in self.resuming.values() for n in topics]
            others = [n for n in self.safe if n not in m["topics"] and n not in asked]
            self.epoch, self.newest, self.crossing = m["epoch"], 0, None
        for t in [t for t in self.last if is_under(t, m["topics"])]:
            self.forget(t)
        for x in m["topics"]:
            self.state_to[x] = m["seq"]
            if x in self.safe:
                self.safe[x] = m["seq"]
            if "*" not in x:
                self.last[x] = m["seq"]
        if not self.crossing:
            self.meet(m["seq"])
        self.write("reset", **{name: m[name] for name in ("epoch", "topics", "seq", "reason")})
        if others:
            self.write("reset", epoch=self.here, topics=others, seq=None, reason=m["reason"])
            self.subscribe(others)

    def heartbeat(self, m):
        for t, head in m["heads"]:
            is_open = any(is_under(t, topics) for topics in self.requests())
            if self.covering(t) and not is_open and head > self.known(t):
                self.missing(t, head)
        asked = [n for topics in self.requests() for n in topics]
        for x in [x for x, seq in self.state_to.items() if m["seq"] >= seq and not is_under(x, asked)]:
            del self.state_to[x]
        for n in self.safe:
            if not is_under(n, asked) and not any(covers(n, x) for x in asked) and not any(x == n or covers(n, x) for x in self.state_to):
                self.safe[n] = max(self.safe[n], m["seq"])
        if not self.crossing:
            self.meet(m["seq"])

    def lost(self):
        """The connection has ended; half a state is none."""
        for x in [*self.state_to, *(self.beyond if self.crossing else ())]:
            self.safe.pop(x, None)
            if "*" not in x and self.covering(x):
                self.again.add(x)
            for t in [t for t in self.last if covers(x, t)]:
                self.forget(t)
        if self.crossing:
            for t, seq in self.lost_from.items():
                self.last[t] = min(self.last[t], seq - 1)  # the gap comes again, or what it declared
        self.begin()

    def has_all(self, seq):
        is_quiet = not self.requests() and not self.broken and not self.again
        wanted = [n for n in self.names if n not in self.undefined]
        return is_quiet and all(n in self.safe and self.safe_of(n) >= seq for n in wanted)


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
        reading = asyncio.get_running_loop().create_task(self.input())  # else nobody would hold it
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
