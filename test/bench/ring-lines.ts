/** Lines of bench `ring`: the transports by which a tick gets from one process to another. */

import { ptr } from 'bun:ffi';

import type { Instrument, Tick } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { StartFault } from '../../src/base/start-fault';
import { ManualClock } from '../../src/base/clock';
import { errorText, Iceoryx2Publisher, loadIceoryx2 } from '../../src/ipc/iceoryx2';
import { RingPublisher } from '../../src/ipc/ring-publisher';

const TIME = Nanos.fromSeconds(1_723_161_253, 937_085_768);
export const DEFINITION: Instrument = {
  type: 'instrument',
  symbol: 'BTCUSDT',
  seq: 1,
  market: 'feed',
  priceScale: 8,
  quantityScale: 8,
  priceIncrement: 1,
  quantityIncrement: 1,
  previousClose: null,
  rules: null,
  shard: null,
};

/** The price that ends a round. */
export const LAST = 1e9;

/** Two addresses in a file, far from each other: the least that two processors need to signal each other. */
export const WORD = { to: 0, back: 1_024 } as const;
export const WORDS_BYTES = 8_192;

export function wordsOfFile(path: string): Int32Array {
  return new Int32Array(Bun.mmap(path, { shared: true }).buffer);
}

/** A tick whose price carries the number to send. */
export function tickOfBench(last: number, seq = 2): Tick {
  return {
    type: 'tick',
    symbol: 'BTCUSDT',
    seq,
    prevSeq: seq - 1,
    eventTime: TIME,
    receiveTime: TIME,
    last,
    bid: 6_183_763_000_000,
    ask: 6_183_764_000_000,
    quantity: 378_826_000,
    volume: 9_378_826_000,
    count: 1,
  };
}

/** A ring on which one tick is sent at a time, as a server does under little load. */
export class RingLine {
  private readonly publisher: RingPublisher;
  // Making a tick is not part of the measurement.
  private readonly tick = tickOfBench(0);
  private readonly batch = { lastSeq: 2, events: [this.tick] };

  constructor(path: string) {
    const opened = RingPublisher.open({ path, slots: 65_536, entries: 16 }, 1, new ManualClock());
    if (opened instanceof StartFault) throw new Error(opened.message);
    this.publisher = opened;
    this.publisher.accept({ lastSeq: 1, events: [DEFINITION] });
  }

  send(last: number): void {
    this.tick.last = last;
    this.publisher.accept(this.batch);
  }

  close(): void {
    this.publisher.close();
  }
}

/** Whether the iceoryx2 library is available. */
export function hasIceoryx2(): boolean {
  const library = loadIceoryx2('');
  if ('reason' in library) return false;
  library.close();
  return true;
}

/** Sends ticks to an iceoryx2 service. */
export function publishTicks(service: string): { send(last: number): void; close(): void } {
  const sizes = { subscribersMax: 2, bufferRecords: 64, entries: 16 };
  const opened = Iceoryx2Publisher.open({ library: '', service, ...sizes });
  if ('reason' in opened) throw new Error(opened.reason);
  opened.accept({ lastSeq: 1, events: [DEFINITION] });
  const tick = tickOfBench(0);
  const batch = { lastSeq: 2, events: [tick] };
  const send = (last: number): void => {
    tick.last = last;
    opened.accept(batch);
  };
  return { send, close: () => opened.close() };
}

/** Ticks of an iceoryx2 service, received through bun:ffi as well. */
export interface Ticks {
  receive(): boolean;
  readonly last: number;
  close(): void;
}

export function openTicks(service: string): Ticks {
  const library = loadIceoryx2('');
  if ('reason' in library) throw new Error(library.reason);
  const { symbols } = library;
  const error = new Uint8Array(512);
  const name = new TextEncoder().encode(service);
  const from = symbols.tapedeck_iceoryx2_subscribe(ptr(name), name.length, ptr(error), 512);
  if (from === null) throw new Error(errorText(error));
  const words = new Float64Array(new ArrayBuffer(128)); // a small array may be moved by the collector
  const into = ptr(words);
  return {
    receive: () => symbols.tapedeck_iceoryx2_receive(from, into) === 1,
    get last() {
      return words[6]!;
    },
    close: () => symbols.tapedeck_iceoryx2_unsubscribe(from),
  };
}
