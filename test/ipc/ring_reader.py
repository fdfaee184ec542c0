"""Reads a Tapedeck ring with only Python's standard library, as protocol/ring.md specifies.

    python3 ring_reader.py PATH [--state]

Prints a line of JSON for each record, from the oldest in the ring, and for each time that it is
lapped, until the writer has ended or died. With --state, prints the latest values of each instrument
once instead.
"""

import json
import math
import mmap
import os
import struct
import sys
import time

LAYOUT = 2
HEAD = struct.Struct("<IBBBBIIddqq")  # check, kind, detail, levels, flags, instrument, aux, seq, …
KINDS = {48: "instrument", 49: "tick", 50: "trade", 51: "bbo", 52: "book", 55: "status"}
FORMS = ("snapshot", "delta", "incomplete")
SIDES = ("buy", "sell", "none")
TIMINGS = {0: None, 8: "late", 16: "ahead", 24: "late-and-ahead"}
MARKS = {0: None, 32: "stale", 64: "recovered"}
STATES = ("live", "incomplete", "stale", "recovered", "pre-open", "halted", "closed")


class Ring:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        # A cast memoryview reads 4 or 8 bytes with one load; struct would read byte by byte.
        self.doubles = memoryview(self.memory).cast("d")
        self.ints = memoryview(self.memory).cast("I")
        if self.memory[:8] != b"TPDKRING":
            raise SystemExit("not a Tapedeck ring")
        if self.ints[2] != LAYOUT:
            raise SystemExit(f"the ring has layout {self.ints[2]}; this program expects {LAYOUT}")
        self.slot_bytes, self.slots, self.entry_bytes = self.ints[4], self.ints[5], self.ints[6]
        self.entries_at, self.slots_at = int(self.doubles[4]), int(self.doubles[5])
        if int(self.doubles[6]) != len(self.memory):
            raise SystemExit("the ring is truncated")
        self.position = max(0, int(self.doubles[32]) - self.slots)

    def writer_is_gone(self):
        if self.ints[32] == 2:
            return True
        try:
            with open(f"/proc/{self.ints[16]}/stat") as file:
                started = int(file.read().rsplit(")", 1)[1].split()[19])
        except OSError:
            return True
        return started != int(self.doubles[9])

    def poll(self):
        """The next record as a dict, a lap as {"missed": n}, or None when there is nothing yet."""
        published = int(self.doubles[48])
        if self.position == published:
            return None
        at = self.slots_at + (self.position % self.slots) * self.slot_bytes
        copy = self.memory[at : at + self.slot_bytes]
        if self.doubles[32] > self.position + self.slots:  # claimed again: the copy may be torn
            newest = int(self.doubles[48])
            missed = newest - self.position
            self.position = newest
            return {"missed": missed}
        self.position += 1
        record = decode(copy)
        assert record.pop("check") == self.position % 2**32
        return record

    def symbol(self, instrument):
        at = self.entries_at + instrument * self.entry_bytes + 16
        return self.memory[at : at + 16].rstrip(b"\0").decode()

    def state(self, instrument):
        """A consistent copy of the latest values, read under the seqlock."""
        at = self.entries_at + instrument * self.entry_bytes
        while True:
            version = self.ints[at // 4]
            copy = self.memory[at : at + self.entry_bytes]
            if version % 2 == 0 and self.ints[at // 4] == version:
                return decode_entry(copy)


def decode(copy):
    check, kind, detail, levels, flags, instrument, aux, seq, prev, event, receive = HEAD.unpack_from(copy)
    out = {"check": check, "type": KINDS[kind], "instrument": instrument, "seq": int(seq), "prevSeq": int(prev)}
    out |= {"eventTime": str(event), "receiveTime": str(receive), "endsBatch": bool(flags & 1)}
    body = struct.unpack_from("<10d", copy, 48)
    if kind == 49:
        out |= named(("last", "bid", "ask", "quantity"), body) | {"count": aux}
        out["volume"] = int(body[4]) + int(body[5]) * 2**53
    elif kind == 50:
        out |= named(("price", "quantity", "tradeId"), body) | {"aggressor": SIDES[detail]}
        out["timing"] = TIMINGS[flags & 24]
    elif kind == 51:
        out |= named(("bid", "bidQuantity", "ask", "askQuantity"), body) | {"count": aux}
        out["mark"] = MARKS[flags & 96]
    elif kind == 52:
        bids, asks = levels & 15, levels >> 4
        fields = [whole(x) for x in body]
        out |= {"form": FORMS[detail], "continues": bool(flags & 4), "crc": aux if flags & 2 else None}
        out["mark"] = MARKS[flags & 96]
        out |= {"bids": fields[: bids * 2], "asks": fields[bids * 2 : (bids + asks) * 2]}
    elif kind == 55:
        reason = copy[56:96].rstrip(b"\0").decode()
        out |= {"state": STATES[detail], "missed": whole(body[0]), "reason": reason}
        out["events"] = whole(body[6])
    return out


def decode_entry(copy):
    has = struct.unpack_from("<I", copy, 4)[0]
    out = {"symbol": copy[16:32].rstrip(b"\0").decode()}
    out["priceScale"], out["quantityScale"] = struct.unpack_from("<II", copy, 32)
    if has & 1:
        out["tick"] = decode(copy[128:256])
    if has & 2:
        out["bbo"] = decode(copy[256:384])
    if has & 4:
        out["status"] = decode(copy[384:512])
    if has & 8:
        head = HEAD.unpack_from(copy, 512)
        book = {"seq": int(head[7]), "mark": MARKS[head[4] & 96]}
        bids, asks = struct.unpack_from("<II", copy, 560)
        book["bids"] = [whole(x) for x in struct.unpack_from(f"<{bids * 2}d", copy, 568)]
        book["asks"] = [whole(x) for x in struct.unpack_from(f"<{asks * 2}d", copy, 728)]
        out["book"] = book
    return out


def whole(value):
    return None if math.isnan(value) else int(value)


def named(names, values):
    return {name: whole(value) for name, value in zip(names, values)}


def main():
    ring = Ring(sys.argv[1])
    if "--state" in sys.argv:
        for instrument in range(ring.ints[33]):
            print(json.dumps(ring.state(instrument)))
        return
    print(json.dumps({"epoch": int(ring.doubles[7]), "pid": ring.ints[16]}), flush=True)
    while True:
        found = ring.poll()
        if found is not None:
            if "instrument" in found:
                found["symbol"] = ring.symbol(found.pop("instrument"))
            print(json.dumps(found))
        elif ring.writer_is_gone():
            if ring.poll() is None and int(ring.doubles[48]) == ring.position:
                break
        else:
            sys.stdout.flush()
            time.sleep(0.001)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)
