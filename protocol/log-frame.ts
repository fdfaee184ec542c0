/**
 * Log frame: the message of the batch log, in which one leader's batches cross to the other members of a cluster.
 * README.md, section "Frames of the batch log", is normative.
 *
 *     0       4         5      6       8       10       11     12       16      24          32
 *     ┌───────┬─────────┬──────┬───────┬───────┬────────┬──────┬────────┬───────┬───────────┬──────────
 *     │ magic │ version │ kind │ part  │ parts │ s      │ 0    │ count  │ epoch │ prevEpoch │ firstSeq …
 *     │ TDLF  │ uint8   │ uint8│ uint16│ uint16│ uint8  │ uint8│ uint32 │ uint64│ uint64    │ uint64
 *     └───────┴─────────┴──────┴───────┴───────┴────────┴──────┴────────┴───────┴───────────┴──────────
 *       40        48            56        56 + s    56 + s + b
 *     ┬─────────┬─────────────┬─────────┬─────────┬──────────┐
 *     │ lastSeq │ prevLastSeq │ shard   │ body    │ CRC-32   │   integers big-endian; the CRC is of all before it
 *     │ uint64  │ uint64      │ s bytes │ b bytes │ uint32   │
 *     ┴─────────┴─────────────┴─────────┴─────────┴──────────┘
 */

import { decodeBatch, type WireBatch } from './batch';
import { crc32 } from './checksum';
import { fieldFault, within, type Fault } from './codes';
import { SHARD_NAME_MAX } from './messages';

export const LOG_FRAME_VERSION = 1;
/** The most parts of one batch. */
export const FRAME_PARTS_MAX = 0xffff;

const MAGIC = 0x5444_4c46;
const HEADER_BYTES = 56;
const CRC_BYTES = 4;
const LENGTH_BYTES = 4;
const WORD = 4_294_967_296;
const SHARD = /^[A-Za-z0-9_-]{1,32}$/;
const KINDS = ['batches', 'epoch', 'heartbeat'] as const;

export type LogFrameKind = (typeof KINDS)[number];

export interface LogFrame {
  readonly kind: LogFrameKind;
  readonly shard: string;
  /** The epoch of what it carries. */
  readonly epoch: number;
  /** The epoch of the frame before it; lower than `epoch` only where the kind is `epoch`. */
  readonly prevEpoch: number;
  /** The first and the last sequence number that it carries; lastSeq = firstSeq − 1 where it carries none. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The last sequence number before it. firstSeq − 1, or lower: then nobody has what lies between. */
  readonly prevLastSeq: number;
  /** Of a batch that fills several frames: which part this is, from 0, and how many there are; else 0 and 1. */
  readonly part: number;
  readonly parts: number;
  /** The bytes of each batch; where there are several parts, one item: the bytes of this part. */
  readonly batches: readonly Uint8Array[];
}

/** Whether a name can be that of a shard: 1 to 32 letters, digits, dashes and underscores. */
export function isShardName(name: string): boolean {
  return SHARD.test(name);
}

/** The bytes of a frame with batches of so many bytes each, for whoever has to stay below a limit. */
export function logFrameBytes(shard: string, batches: number, batchBytes: number): number {
  return HEADER_BYTES + shard.length + batches * LENGTH_BYTES + batchBytes + CRC_BYTES;
}

/** Whether a reader has all of its batches once it has this frame. */
export function isLastPart(frame: LogFrame): boolean {
  return frame.part === frame.parts - 1;
}

/** The last sequence number that a reader has once it has this frame. */
export function endOf(frame: LogFrame): number {
  return isLastPart(frame) ? frame.lastSeq : frame.prevLastSeq;
}

/** The bytes of a frame, of their own. The caller holds to rules [L2] to [L5]. */
export function encodeLogFrame(frame: LogFrame): Uint8Array<ArrayBuffer> {
  const { shard, batches, parts } = frame;
  const isWhole = parts === 1;
  let bodyBytes = 0;
  for (const batch of batches) bodyBytes += batch.length + (isWhole ? LENGTH_BYTES : 0);
  const bytes = new Uint8Array(HEADER_BYTES + shard.length + bodyBytes + CRC_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, LOG_FRAME_VERSION);
  view.setUint8(5, KINDS.indexOf(frame.kind) + 1);
  view.setUint16(6, frame.part);
  view.setUint16(8, parts);
  view.setUint8(10, shard.length);
  view.setUint32(12, batches.length);
  putInteger(view, 16, frame.epoch);
  putInteger(view, 24, frame.prevEpoch);
  putInteger(view, 32, frame.firstSeq);
  putInteger(view, 40, frame.lastSeq);
  putInteger(view, 48, frame.prevLastSeq);
  for (let i = 0; i < shard.length; i++) bytes[HEADER_BYTES + i] = shard.charCodeAt(i);
  let at = HEADER_BYTES + shard.length;
  for (const batch of batches) {
    if (isWhole) {
      view.setUint32(at, batch.length);
      at += LENGTH_BYTES;
    }
    bytes.set(batch, at);
    at += batch.length;
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)));
  return bytes;
}

/**
 * The frame that bytes are, all of it checked but the batches, which stay bytes; or why they are none. Never throws.
 * The batches of the frame are views of the bytes.
 */
export function decodeLogFrame(bytes: Uint8Array): LogFrame | Fault {
  const least = HEADER_BYTES + 1 + CRC_BYTES;
  if (bytes.length < least) return wrong('length', bytes.length, `at least ${least} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== MAGIC) return wrong('magic', view.getUint32(0), `${MAGIC} (TDLF)`);
  const version = view.getUint8(4);
  if (version !== LOG_FRAME_VERSION) return wrong('version', version, `${LOG_FRAME_VERSION}`);
  const crcAt = bytes.length - CRC_BYTES;
  const crc = crc32(bytes.subarray(0, crcAt));
  if (view.getUint32(crcAt) !== crc) return wrong('crc', view.getUint32(crcAt), `${crc}`);
  const kind = KINDS[view.getUint8(5) - 1];
  if (kind === undefined) return wrong('kind', view.getUint8(5), `1 to ${KINDS.length}`);
  if (view.getUint8(11) !== 0) return wrong('reserved', view.getUint8(11), '0');
  const bodyAt = HEADER_BYTES + view.getUint8(10);
  if (bodyAt > crcAt) return wrong('shard.length', view.getUint8(10), 'no more than the frame has');
  const shard = String.fromCharCode(...bytes.subarray(HEADER_BYTES, bodyAt));
  if (!isShardName(shard)) {
    return wrong('shard', shard, `1 to ${SHARD_NAME_MAX} letters, digits, dashes or underscores`);
  }
  const part = view.getUint16(6);
  const parts = view.getUint16(8);
  if (parts === 0 || part >= parts) return wrong('part', part, `below parts, which is ${parts}`);
  const head = readNumbers(view);
  if ('code' in head) return head;
  const count = view.getUint32(12);
  const unfit = kindFault(kind, head, parts, count);
  if (unfit !== undefined) return unfit;
  const body = bytes.subarray(bodyAt, crcAt);
  const batches = parts === 1 ? splitBody(body, count) : wholePart(body);
  if ('code' in batches) return batches;
  return { kind, shard, ...head, part, parts, batches };
}

/**
 * The batches of a frame, or of all parts of one, each checked, and that they are exactly those that the frame names.
 * @param frame the last part
 * @param bytes of each batch
 */
export function decodeLogBatches(
  frame: LogFrame,
  bytes: readonly Uint8Array[] = frame.batches,
): WireBatch[] | Fault {
  const batches: WireBatch[] = [];
  let nextSeq = frame.firstSeq;
  for (const [i, encoded] of bytes.entries()) {
    const path = `frame.batches[${i}]`;
    const batch = decodeBatch(encoded);
    if ('code' in batch) return within(path, batch);
    const { epoch, firstSeq, lastSeq } = batch;
    if (epoch !== frame.epoch) return fieldFault(`${path}.epoch`, epoch, `${frame.epoch}`);
    if (firstSeq !== nextSeq) return fieldFault(`${path}.firstSeq`, firstSeq, `${nextSeq}`);
    if (lastSeq < firstSeq) return fieldFault(`${path}.lastSeq`, lastSeq, 'a batch with events');
    nextSeq = lastSeq + 1;
    batches.push(batch);
  }
  if (nextSeq - 1 !== frame.lastSeq) return wrong('lastSeq', frame.lastSeq, `${nextSeq - 1}`);
  return batches;
}

type Numbers = Pick<LogFrame, 'epoch' | 'prevEpoch' | 'firstSeq' | 'lastSeq' | 'prevLastSeq'>;

const NUMBERS: readonly (keyof Numbers)[] = [
  'epoch',
  'prevEpoch',
  'firstSeq',
  'lastSeq',
  'prevLastSeq',
];

function readNumbers(view: DataView): Numbers | Fault {
  const numbers = { epoch: 0, prevEpoch: 0, firstSeq: 0, lastSeq: 0, prevLastSeq: 0 };
  let at = 16;
  for (const name of NUMBERS) {
    const value = view.getUint32(at) * WORD + view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) return wrong(name, value, 'below 2^53');
    numbers[name] = value;
    at += 8;
  }
  return numbers;
}

/** What does not fit together: [L3] to [L5]. */
function kindFault(
  kind: LogFrameKind,
  head: Numbers,
  parts: number,
  count: number,
): Fault | undefined {
  const { epoch, prevEpoch, firstSeq, lastSeq, prevLastSeq } = head;
  if (firstSeq <= prevLastSeq) return wrong('firstSeq', firstSeq, `above ${prevLastSeq}`);
  if (kind === 'epoch') {
    if (epoch <= prevEpoch) return wrong('epoch', epoch, `above prevEpoch, which is ${prevEpoch}`);
  } else if (epoch !== prevEpoch) return wrong('prevEpoch', prevEpoch, `${epoch}`);
  if (kind === 'batches') {
    if (lastSeq < firstSeq) return wrong('lastSeq', lastSeq, `at least ${firstSeq}`);
    if (count === 0 || (parts > 1 && count !== 1))
      return wrong('count', count, 'one or more, 1 in parts');
    return undefined;
  }
  if (firstSeq !== prevLastSeq + 1) return wrong('firstSeq', firstSeq, `${prevLastSeq + 1}`);
  if (lastSeq !== prevLastSeq) return wrong('lastSeq', lastSeq, `${prevLastSeq}`);
  if (parts !== 1) return wrong('parts', parts, '1');
  return count === 0 ? undefined : wrong('count', count, '0');
}

function wholePart(body: Uint8Array): Uint8Array[] | Fault {
  return body.length > 0 ? [body] : wrong('body.length', 0, 'at least one byte');
}

function splitBody(body: Uint8Array, count: number): Uint8Array[] | Fault {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const batches: Uint8Array[] = [];
  let at = 0;
  while (at < body.length) {
    if (batches.length === count) return wrong('body.length', body.length, `${at}`);
    const start = at + LENGTH_BYTES;
    const end = start > body.length ? Infinity : start + view.getUint32(at);
    if (end > body.length) {
      return wrong(
        `batches[${batches.length}]`,
        end - start,
        `at most ${body.length - start} bytes`,
      );
    }
    batches.push(body.subarray(start, end));
    at = end;
  }
  return batches.length === count ? batches : wrong('count', count, `${batches.length}`);
}

function putInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / WORD));
  view.setUint32(at + 4, value >>> 0);
}

function wrong(field: string, value: unknown, expected: string): Fault {
  return fieldFault(`frame.${field}`, value, expected);
}
