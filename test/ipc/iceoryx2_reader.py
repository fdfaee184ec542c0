"""Subscribes to the iceoryx2 services of a Tapedeck server and prints a line of JSON for each sample.

    python3 iceoryx2_reader.py SERVICE

Prints "ready" when it is subscribed. Ends at the end of its standard input.
"""

import ctypes
import json
import struct
import sys
import threading
import time

import iceoryx2

HEAD = struct.Struct("<IBBBBIIddqq")


def payload(name, doubles):
    class Payload(ctypes.Structure):
        _fields_ = [
            ("words", ctypes.c_uint64 * doubles),
            ("symbol", ctypes.c_char * 16),
            ("price_scale", ctypes.c_uint32),
            ("quantity_scale", ctypes.c_uint32),
        ]

        @staticmethod
        def type_name():
            return name

    return Payload


KINDS = {
    "tick": payload("tapedeck.Tick.2", 16),
    "trade": payload("tapedeck.Trade.2", 16),
    "bbo": payload("tapedeck.Bbo.2", 16),
    "status": payload("tapedeck.Status.2", 16),
    "book": payload("tapedeck.Book.2", 47),
}


def line(kind, sample):
    words = bytes(sample.words)
    head = HEAD.unpack_from(words)
    out = {"type": kind, "symbol": sample.symbol.decode(), "priceScale": sample.price_scale}
    out |= {"seq": int(head[7]), "prevSeq": int(head[8]), "eventTime": str(head[9]), "receiveTime": str(head[10])}
    if kind == "tick":
        last, _, _, quantity, low, high = struct.unpack_from("<6d", words, 48)
        out |= {"last": int(last), "quantity": int(quantity), "volume": int(low) + int(high) * 2**53}
    elif kind == "trade":
        price, quantity, trade_id = struct.unpack_from("<3d", words, 48)
        out |= {"price": int(price), "quantity": int(quantity), "tradeId": int(trade_id)}
    elif kind == "book":
        bids, asks = struct.unpack_from("<II", words, 48)
        out["bids"] = [int(x) for x in struct.unpack_from(f"<{bids * 2}d", words, 56)]
        out["asks"] = [int(x) for x in struct.unpack_from(f"<{asks * 2}d", words, 216)]
    return out


def main():
    iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
    node = (
        iceoryx2.NodeBuilder.new()
        .signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
        .create(iceoryx2.ServiceType.Ipc)
    )
    subscribers = {}
    for kind, type_of in KINDS.items():
        name = iceoryx2.ServiceName.new(f"{sys.argv[1]}/{kind}")
        service = node.service_builder(name).publish_subscribe(type_of).open()
        subscribers[kind] = service.subscriber_builder().create()
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while True:
        last_round = ended.is_set()
        for kind, subscriber in subscribers.items():
            while (sample := subscriber.receive()) is not None:
                print(json.dumps(line(kind, sample.payload().contents)))
        if last_round:
            return
        time.sleep(0.001)


main()
