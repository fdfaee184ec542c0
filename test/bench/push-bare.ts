/**
 * The bare server of the bench `push`: receives the frames of the source as the real one does, and for each
 * publishes what a real one makes of it: the same frames on the same topics, made beforehand, into which only the
 * time of arrival is written. So it shares the sockets, the wake-ups, the bytes and the native publishes with a
 * real server, but does not decode, sequence, apply, journal or encode.
 */

import type { ServerWebSocket } from 'bun';

import { decodeFrame, FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { SourceEvent } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { SystemClock } from '../../src/base/clock';
import { Broadcaster } from '../../src/broadcast/broadcaster';
import { Session } from '../../src/broadcast/sessions/session';
import { LIMITS, socketWith } from '../support/sockets';
import { openMarket, settings } from './generated-market';
import { burstsOf, symbolsOf, type BurstShape } from './push-bursts';

export interface BareShape extends BurstShape {
  /** All topics that have a reader. */
  readonly topics: readonly string[];
}

interface Publish {
  readonly topic: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  /** Offsets at which the time of arrival is written, one for each message. */
  readonly offsets: readonly number[];
}

interface Client {
  /** For a source: its next burst. For a reader it stays 0. */
  burst: number;
}

/** A time that no event has: it marks the offsets. */
const MARK = Nanos.fromBigInt(0x1234_5678_9abc_def1n);

const shape = JSON.parse(process.argv[2]!) as BareShape;
const clock = new SystemClock();
const bursts = publishesOf(shape);

/** What a broadcaster publishes for each burst, if each is a turn. */
function publishesOf({ topics, ...rest }: BareShape): Publish[][] {
  let made: Publish[] = [];
  const native = {
    publish: (topic: string, data: string | Uint8Array<ArrayBuffer>): void => {
      if (typeof data !== 'string') made.push(publishOf(topic, data));
    },
  };
  const broadcaster = new Broadcaster(
    { ...settings().limits, ...settings().market },
    native,
    clock,
  );
  const { sequencer } = openMarket(clock, (batch) => broadcaster.accept(batch));
  const definitions = symbolsOf(rest).length;
  return burstsOf(rest).map((events: SourceEvent[], i) => {
    if (i === definitions) subscribe(broadcaster, topics);
    made = [];
    sequencer.submit(1, events, () => {}, { receiveTime: MARK });
    sequencer.drain();
    return made;
  });
}

function subscribe(broadcaster: Broadcaster, topics: readonly string[]): void {
  const { encoders, subscriptions } = broadcaster;
  const session = new Session('all', SUBPROTOCOL_MSGPACK, socketWith({}), encoders, LIMITS);
  broadcaster.enter(session);
  const refused = subscriptions.subscribe(session, 1, topics, 0);
  if (refused !== undefined) throw new Error(refused.message);
}

function publishOf(topic: string, bytes: Uint8Array<ArrayBuffer>): Publish {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const offsets: number[] = [];
  for (let at = 0; at + 8 <= bytes.length; at++) {
    if (view.getUint32(at) === MARK.hi && view.getUint32(at + 4) === MARK.lo) offsets.push(at);
  }
  return { topic, bytes, view, offsets };
}

function publish(made: readonly Publish[]): void {
  const { hi, lo } = clock.now();
  for (const { topic, bytes, view, offsets } of made) {
    for (const at of offsets) {
      view.setUint32(at, hi);
      view.setUint32(at + 4, lo);
    }
    server.publish(topic, bytes);
  }
}

function acknowledge(ws: ServerWebSocket<Client>, id: number): void {
  ws.send(
    new FrameEncoder().encode([
      { type: 'ack', id, seq: 0, repeated: null, waiting: null, shards: null },
    ]),
  );
}

function take(ws: ServerWebSocket<Client>, data: Uint8Array): void {
  if (ws.data.burst === 0) {
    const [first] = decodeFrame(data);
    if (first === undefined || isFault(first)) throw new Error('a client said something odd');
    if (first.type === 'subscribe') {
      for (const topic of first.topics) ws.subscribe(`b:${topic}`);
      acknowledge(ws, first.id);
      return;
    }
  }
  const burst = ws.data.burst++;
  publish(bursts[burst]!);
  if (burst < symbolsOf(shape).length) acknowledge(ws, burst);
}

const server = Bun.serve<Client>({
  port: 0,
  fetch: (request, server) => {
    const headers = { 'sec-websocket-protocol': SUBPROTOCOL_MSGPACK };
    const isUpgraded = server.upgrade(request, { data: { burst: 0 }, headers });
    return isUpgraded ? undefined : new Response(null, { status: 400 });
  },
  websocket: {
    open: (ws) => acknowledge(ws, 0),
    message: (ws, data) => take(ws, data as Uint8Array),
  },
});
console.log(server.url.origin);
