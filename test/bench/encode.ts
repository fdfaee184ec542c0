/**
 * Bench `encode`: nanoseconds to encode or decode one hot message, compared with a reused Encoder or Decoder of
 * @msgpack/msgpack on the same values in the same run.
 *
 * `encode X` writes into a reused buffer on both sides: our writer from the message, the library from tuples that
 * were made beforehand, so the step from message to tuple is not counted for the library. `frame` is what is
 * published: 64 messages in one array, in newly allocated bytes. `text` is the JSON form, compared with
 * `JSON.stringify` of objects whose strings were made beforehand. All kinds alternate, as in a server, so the
 * engine has seen them all; alone, a kind would be faster.
 */

import { Decoder, Encoder } from '@msgpack/msgpack';

import { decodeFrame, FrameEncoder } from '../../protocol/codec';
import { writeHot, type HotMessage } from '../../protocol/hot';
import { toJson } from '../../protocol/json';
import { toJsonText } from '../../protocol/json-text';
import { Nanos } from '../../protocol/time';
import { toTuple } from '../../protocol/tuple';
import { MsgWriter } from '../../protocol/writer';
import { assert } from '../../src/base/assert';
import { ManualClock } from '../../src/base/clock';
import { generateMarket, runMarket } from './generated-market';
import {
  compared,
  roundsOf,
  timeInTurn,
  type BenchOptions,
  type BenchResult,
  type Contender,
} from './harness';

const FRAME = 64;
const SAMPLES = 1024;
const BASELINE = '@msgpack/msgpack 3.1.3, reused';
const TEXT_BASELINE = 'JSON.stringify of the ready object';
const LIBRARY = { useBigInt64: true, ignoreUndefined: true } as const;
const KINDS = ['tick', 'trade', 'bbo', 'book delta'] as const;
type Kind = (typeof KINDS)[number];

export function encodeBench(options: BenchOptions): Promise<BenchResult[]> {
  const samples = makeSamples();
  const contenders: Contender[] = [];
  for (const kind of KINDS) {
    contenders.push(...encoding(kind, samples[kind]), ...decoding(kind, samples[kind]));
    contenders.push(...texting(kind, samples[kind]));
  }
  contenders.push(...framing('tick', samples.tick));
  const nanos = timeInTurn(contenders, roundsOf(options));
  const results = contenders.flatMap(({ name }) => {
    const baseline = [BASELINE, TEXT_BASELINE].find((other) => nanos.has(`${name} ${other}`));
    if (baseline === undefined) return [];
    const result = { bench: 'encode', case: name, value: nanos.get(name)!, unit: 'ns/message' };
    return compared(result, baseline, nanos.get(`${name} ${baseline}`)!);
  });
  return Promise.resolve(results);
}

/** Messages as a market makes them, all of them different. */
function makeSamples(): Record<Kind, HotMessage[]> {
  const start = Nanos.fromSeconds(1_723_161_253, 937_085_768);
  const events = generateMarket({ symbols: ['BTCUSDT'], events: 12_000, seed: 1, start });
  const { made } = runMarket(events, new ManualClock(start));
  const take = (wanted: (e: HotMessage) => boolean): HotMessage[] => {
    const found = (made as HotMessage[]).filter(wanted).slice(-SAMPLES);
    assert(found.length === SAMPLES, 'the market makes enough of each kind');
    return found;
  };
  return {
    'tick': take((e) => e.type === 'tick'),
    'trade': take((e) => e.type === 'trade'),
    'bbo': take((e) => e.type === 'bbo'),
    'book delta': take((e) => e.type === 'book' && e.form === 'delta'),
  };
}

function encoding(kind: Kind, messages: readonly HotMessage[]): Contender[] {
  const writer = new MsgWriter();
  const encoder = new Encoder(LIBRARY);
  const tuples = messages.map(toTuple);
  const name = `encode ${kind}`;
  return [
    {
      name,
      run: () => {
        for (let i = 0; i < messages.length; i++) {
          writer.reset();
          writeHot(writer, messages[i]!);
        }
        return messages.length;
      },
    },
    {
      name: `${name} ${BASELINE}`,
      run: () => {
        for (let i = 0; i < tuples.length; i++) encoder.encodeSharedRef(tuples[i]);
        return tuples.length;
      },
    },
  ];
}

function decoding(kind: Kind, messages: readonly HotMessage[]): Contender[] {
  const encoder = new FrameEncoder();
  const frames = chunks(messages).map((chunk) => encoder.encode(chunk));
  const decoder = new Decoder(LIBRARY);
  const name = `decode ${kind}`;
  const all = (decode: (frame: Uint8Array) => unknown) => () => {
    for (const frame of frames) decode(frame);
    return messages.length;
  };
  return [
    { name, run: all((frame) => decodeFrame(frame)) },
    { name: `${name} ${BASELINE}`, run: all((frame) => decoder.decode(frame)) },
  ];
}

function texting(kind: Kind, messages: readonly HotMessage[]): Contender[] {
  const scalesOf = () => ({ priceScale: 2, quantityScale: 5 });
  const objects = messages.map((message) => toJson(message, scalesOf));
  const name = `text ${kind}`;
  return [
    {
      name,
      run: () => {
        for (let i = 0; i < messages.length; i++) toJsonText(messages[i]!, scalesOf);
        return messages.length;
      },
    },
    {
      name: `${name} ${TEXT_BASELINE}`,
      run: () => {
        for (let i = 0; i < objects.length; i++) JSON.stringify(objects[i]);
        return objects.length;
      },
    },
  ];
}

function framing(kind: Kind, messages: readonly HotMessage[]): Contender[] {
  const frames = chunks(messages);
  const tuples = frames.map((frame) => frame.map(toTuple));
  const encoder = new FrameEncoder();
  const library = new Encoder(LIBRARY);
  const name = `encode ${kind} in frames of ${FRAME}`;
  return [
    {
      name,
      run: () => {
        for (const frame of frames) encoder.encode(frame);
        return messages.length;
      },
    },
    {
      name: `${name} ${BASELINE}`,
      run: () => {
        for (const frame of tuples) library.encode(frame);
        return messages.length;
      },
    },
  ];
}

function chunks(messages: readonly HotMessage[]): HotMessage[][] {
  const frames: HotMessage[][] = [];
  for (let i = 0; i < messages.length; i += FRAME) frames.push(messages.slice(i, i + FRAME));
  return frames;
}
