/** Long frames: read in parts and in order, while the socket is paused. */

import { describe, expect, test } from 'bun:test';

import { FrameEncoder, isFault, SUBPROTOCOL_MSGPACK } from '../../protocol/codec';
import type { Fault } from '../../protocol/codes';
import type { Message } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { SliceQueue } from '../../src/base/slice-queue';
import { LongFrames } from '../../src/gateway/ws/long-frames';
import { SocketGate } from '../../src/gateway/ws/socket-gate';
import { asMessage } from '../support/stream-client';

const encoder = new FrameEncoder();

function frame(from: number, count: number): Uint8Array {
  const ids = Array.from({ length: count }, (_, i) => from + i);
  return encoder.encode(ids.map((id) => asMessage({ type: 'ping', id, time: '1' })));
}

function world() {
  const clock = new ManualClock();
  const turns: (() => void)[] = [];
  // The clock stands still, so a step advances it by hand to end its slice.
  let ms = 0;
  clock.monotonicMs = () => (ms += 3);
  const slices = new SliceQueue(clock, (slice) => void turns.push(slice));
  const seen: number[] = [];
  const parts: number[] = [];
  const state = { isServed: true, isPaused: false };
  const reader = {
    scalesOf: () => undefined,
    taken: (items: readonly (Message | Fault)[]) => {
      parts.push(items.length);
      for (const item of items) if (!isFault(item) && 'id' in item) seen.push(item.id ?? -1);
    },
    isServed: () => state.isServed,
  };
  const socket = {
    pause: () => void (state.isPaused = true),
    resume: () => void (state.isPaused = false),
  };
  const frames = new LongFrames(slices, SUBPROTOCOL_MSGPACK, reader);
  frames.open(socket);
  const read = (data: Uint8Array): void => frames.read(data, data.length);
  const turn = async (): Promise<boolean> => {
    const acts = turns.splice(0);
    for (const act of acts) act();
    for (let i = 0; i < 5; i++) await Promise.resolve();
    return acts.length > 0;
  };
  return { seen, parts, state, read, turn };
}

describe('a long frame', () => {
  test('is read in turns with a bounded number of messages, and later frames wait behind it', async () => {
    const { seen, parts, state, read, turn } = world();
    read(frame(0, 5_000));
    read(frame(5_000, 3));
    read(frame(5_003, 2_000));
    expect([seen, state.isPaused]).toEqual([[], true]);
    for (let before = 0; await turn(); before = seen.length) {
      expect(seen.length - before).toBeLessThanOrEqual(32);
    }
    expect(seen).toEqual(Array.from({ length: 7_003 }, (_, i) => i));
    expect([Math.max(...parts), state.isPaused]).toEqual([32, false]);
  });

  test('is not read further when its connection has ended', async () => {
    const { seen, state, read, turn } = world();
    read(frame(0, 5_000));
    await turn();
    const before = seen.length;
    state.isServed = false;
    while (await turn());
    expect([seen.length, before < 5_000]).toEqual([before, true]);
  });

  test('without messages counts once', async () => {
    const { parts, read, turn } = world();
    read(Uint8Array.of(0xdd, 0, 0, 0, 0));
    expect(parts).toEqual([0]);
    while (await turn());
    expect(parts).toEqual([0]);
  });

  test('a short one is read at once', () => {
    const { seen, state, read } = world();
    read(frame(0, 10));
    expect([seen.length, state.isPaused]).toEqual([10, false]);
  });
});

test('the socket is resumed when no frame needs the pause any more', () => {
  const seen: string[] = [];
  const gate = new SocketGate({ pause: () => seen.push('rest'), resume: () => seen.push('read') });
  gate.pause();
  gate.pause();
  gate.resume();
  expect(seen).toEqual(['rest']);
  gate.resume();
  gate.pause();
  expect(seen).toEqual(['rest', 'read', 'rest']);
});
