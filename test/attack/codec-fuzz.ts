/**
 * Codec fuzz: frames that were valid, were damaged, or never meant anything, into the decoders of both
 * ends. Each frame has a generator of its own, made of the seed and its number, so one is repeated alone.
 *
 * What must hold of every frame: no exception; each part is a message, or a fault of the table; a message
 * can be written in both forms and reads as itself again; the specialised readers agree with the general
 * one; what came out is no larger than what went in; nobody's prototype has changed.
 */

import { decode } from '@msgpack/msgpack';

import {
  decodeFrame,
  decodeTextFrame,
  encodeTextFrame,
  FRAME_MESSAGES_MAX,
  FrameEncoder,
  isFault,
} from '../../protocol/codec';
import { ERRORS, type Fault } from '../../protocol/codes';
import { toJson } from '../../protocol/json';
import type { Message } from '../../protocol/messages';
import { Nanos } from '../../protocol/time';
import { fromTuple, toTuple } from '../../protocol/tuple';
import { Prng } from '../../src/base/prng';
import { scalesOfSymbol } from '../support/arbitraries';
import { Damage, packed } from './damage';
import { MessageMaker } from './message-maker';

export type Form = 'msgpack' | 'json';
export type Sample = Uint8Array<ArrayBuffer> | string;

/** How often each came out: `messages`, or the code of a fault. */
export type Outcomes = Record<string, number>;

export class FuzzFault extends Error {
  constructor(what: string, form: Form, seed: number, index: number, sample: Sample) {
    const shown =
      typeof sample === 'string' ? JSON.stringify(sample) : Buffer.from(sample).toString('hex');
    super(`${what}\n  ${form}, seed ${seed}, frame ${index}: ${shown.slice(0, 4_000)}`);
  }
}

const encoder = new FrameEncoder();
const members = (): string =>
  [Object, Array, String, Number, Function]
    .map((c) => Object.getOwnPropertyNames(c.prototype).join())
    .join();
const MEMBERS = members();

/** A generator of its own for each number; a double has room for 20 bits of the seed beside it. */
export function generatorOf(seed: number, number: number): Prng {
  return new Prng((seed % 0x10_0000) * 0x1_0000_0000 + number);
}

/** The frame of a number. */
export function sampleOf(form: Form, seed: number, index: number): Sample {
  const random = generatorOf(seed, index);
  const maker = new MessageMaker(random);
  const damage = new Damage(random);
  const kind = random.int(0, 9);
  if (form === 'msgpack') {
    if (kind === 0) return damage.randomBytes(120);
    const messages = maker.frame();
    if (kind === 1) return encoder.encode(messages);
    if (kind < 6) return damage.bytes(encoder.encode(messages));
    const value = damage.value(messages.map(toTuple), () => damage.wildPacked());
    return kind < 9 ? packed(value) : damage.bytes(packed(value));
  }
  if (kind === 0)
    return Buffer.from(damage.randomBytes(120)).toString(random.chance(0.5) ? 'latin1' : 'utf8');
  const messages = maker.frame();
  if (kind === 1) return encodeTextFrame(messages, scalesOfSymbol);
  if (kind < 6) return damage.text(encodeTextFrame(messages, scalesOfSymbol));
  const objects = messages.map((m) => toJson(m, scalesOfSymbol));
  const text = JSON.stringify(damage.value(objects, () => damage.wildJson())) ?? '';
  return kind < 9 ? text : damage.text(text);
}

export function decodeSample(sample: Sample): (Message | Fault)[] {
  return typeof sample === 'string'
    ? decodeTextFrame(sample, scalesOfSymbol, FRAME_MESSAGES_MAX)
    : decodeFrame(sample, FRAME_MESSAGES_MAX);
}

/** What is wrong with how a frame was decoded; undefined when nothing is. */
export function wrongWith(sample: Sample, out: readonly (Message | Fault)[]): string | undefined {
  for (const part of out) {
    const wrong = isFault(part) ? wrongFault(part) : wrongMessage(part);
    if (wrong !== undefined) return wrong;
  }
  const size = out.reduce<number>((sum, part) => sum + sizeOf(part), 0);
  // A message of a byte or two may have a dozen fields that are nil; a fault quotes at most 500 letters.
  const most = 8 * sample.length + 640 * out.length;
  if (size > most) return `${sample.length} bytes became ${size} values`;
  return typeof sample === 'string' ? undefined : wrongPath(sample, out);
}

function wrongFault(f: Fault): string | undefined {
  if (!Object.hasOwn(ERRORS, f.code)) return `the code ${f.code} is in no table`;
  if (f.message.length === 0 || f.message.length > 500)
    return `a fault of ${f.message.length} letters`;
  if (!f.message.isWellFormed()) return 'a fault that is not well formed';
  return f.field === undefined || f.field.length <= 120 ? undefined : 'a field that is too long';
}

function wrongMessage(message: Message): string | undefined {
  if (Object.getPrototypeOf(message) !== Object.prototype)
    return 'a message with another prototype';
  const again = decodeFrame(encoder.encode([message]));
  if (!Bun.deepEquals(again, [message], true))
    return `in MessagePack it reads as ${show(again)}, and is ${show(message)}`;
  const text = decodeTextFrame(encodeTextFrame([message], scalesOfSymbol), scalesOfSymbol);
  if (!isScaledAsKnown(message)) return undefined;
  return Bun.deepEquals(text, [message], true)
    ? undefined
    : `in JSON it reads as ${show(text)}, and is ${show(message)}`;
}

/** In JSON a definition changes how what follows it is written, so it must be the one that is known. */
function isScaledAsKnown(message: Message): boolean {
  const parts = message.type === 'publish' ? message.events : [message];
  return parts.every((part) => {
    if (part.type !== 'instrument') return true;
    const { priceScale, quantityScale } = scalesOfSymbol(part.symbol);
    return part.priceScale === priceScale && part.quantityScale === quantityScale;
  });
}

const STRUCTURAL: ReadonlySet<string> = new Set(['too-deep', 'malformed-msgpack']);

/** Whether the specialised readers and the general path say the same, where the frame is whole. */
function wrongPath(sample: Uint8Array, out: readonly (Message | Fault)[]): string | undefined {
  // A head that lies makes the library set room aside for what it promises; ours looks first.
  if (out.some((part) => isFault(part) && STRUCTURAL.has(part.code))) return undefined;
  let values: unknown;
  try {
    values = decode(sample, { useBigInt64: true });
  } catch {
    return undefined; // what the library refuses need not be refused here in the same way
  }
  if (!Array.isArray(values) || values.length !== out.length) return undefined;
  for (const [i, value] of values.entries()) {
    const part = out[i]!;
    const general = fromTuple(value);
    const isSame = isFault(part) ? isFault(general) : Bun.deepEquals(part, general, true);
    if (!isSame) return `the paths differ: ${show(part)} and ${show(general)}`;
  }
  return undefined;
}

/** Values in it, and letters. */
function sizeOf(value: unknown): number {
  if (typeof value === 'string') return 1 + value.length;
  if (typeof value !== 'object' || value === null || value instanceof Nanos) return 1;
  let size = 1;
  for (const member of Object.values(value)) size += sizeOf(member);
  return size;
}

function show(value: unknown): string {
  return Bun.inspect(value, { depth: 6, compact: true }).slice(0, 900);
}

/** Decodes so many frames from a number on. @throws FuzzFault at the first that breaks a rule */
export function fuzzCodec(form: Form, seed: number, from: number, frames: number): Outcomes {
  const outcomes: Outcomes = {};
  for (let index = from; index < from + frames; index++) {
    const sample = sampleOf(form, seed, index);
    let out: (Message | Fault)[];
    try {
      out = decodeSample(sample);
    } catch (e) {
      throw new FuzzFault(`it threw ${(e as Error).stack}`, form, seed, index, sample);
    }
    const wrong = wrongWith(sample, out);
    if (wrong !== undefined) throw new FuzzFault(wrong, form, seed, index, sample);
    if (index % 256 === 0 && members() !== MEMBERS) {
      throw new FuzzFault('a prototype has changed', form, seed, index, sample);
    }
    for (const part of out) {
      const name = isFault(part) ? part.code : 'messages';
      outcomes[name] = (outcomes[name] ?? 0) + 1;
    }
  }
  return outcomes;
}
