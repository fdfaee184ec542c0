/**
 * Codec fuzz: valid, damaged and arbitrary frames for the decoders of both ends. Each frame has its own generator,
 * made from the seed and its number, so a single frame can be repeated.
 *
 * For every frame: no exception is thrown; each part is a message, or a fault of the table; a message can be
 * written in both forms and read back unchanged; the specialised readers agree with the general one; the result is
 * no larger than the input; no prototype has changed.
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

/** How often each outcome occurred: `messages`, or the code of a fault. */
export type Outcomes = Record<string, number>;

export class FuzzFault extends Error {
  constructor(what: string, form: Form, seed: number, index: number, sample: Sample) {
    const example =
      typeof sample === 'string' ? JSON.stringify(sample) : Buffer.from(sample).toString('hex');
    super(`${what}\n  ${form}, seed ${seed}, frame ${index}: ${example.slice(0, 4_000)}`);
  }
}

const encoder = new FrameEncoder();
const members = (): string =>
  [Object, Array, String, Number, Function]
    .map((c) => Object.getOwnPropertyNames(c.prototype).join())
    .join();
const MEMBERS = members();

/** The generator of a number; a double has room for 20 bits of the seed beside it. */
export function generatorOf(seed: number, number: number): Prng {
  return new Prng((seed % 0x10_0000) * 0x1_0000_0000 + number);
}

/** The frame with a number. */
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

/** What is wrong with the result of decoding a frame; undefined when it is right. */
export function wrongWith(sample: Sample, out: readonly (Message | Fault)[]): string | undefined {
  for (const part of out) {
    const wrong = isFault(part) ? wrongFault(part) : wrongMessage(part);
    if (wrong !== undefined) return wrong;
  }
  const size = out.reduce<number>((sum, part) => sum + sizeOf(part), 0);
  // A message of a byte or two may have a dozen nil fields; a fault quotes at most 500 characters.
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

/** In JSON a definition changes how later messages are written, so it must be the known one. */
function isScaledAsKnown(message: Message): boolean {
  const parts = message.type === 'publish' ? message.events : [message];
  return parts.every((part) => {
    if (part.type !== 'instrument') return true;
    const { priceScale, quantityScale } = scalesOfSymbol(part.symbol);
    return part.priceScale === priceScale && part.quantityScale === quantityScale;
  });
}

const STRUCTURAL: ReadonlySet<string> = new Set(['too-deep', 'malformed-msgpack']);

/** Whether the specialised readers and the general path agree, where the frame is well-formed. */
function wrongPath(sample: Uint8Array, out: readonly (Message | Fault)[]): string | undefined {
  // A false length makes the library allocate what it announces; our reader checks first.
  if (out.some((part) => isFault(part) && STRUCTURAL.has(part.code))) return undefined;
  let values: unknown;
  try {
    values = decode(sample, { useBigInt64: true });
  } catch {
    return undefined; // what the library refuses need not be refused here with the same code
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

/** How many values it has, plus the length of its strings. */
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

/** Decodes a number of frames, beginning with a given one. @throws FuzzFault at the first that breaks a rule */
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
