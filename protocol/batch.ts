/**
 * Batch: the wire form of a batch, the unit in which a server's numbering crosses to another process or
 * machine. README.md, section "Batches", is normative.
 *
 *     0         1          5            5 + n      9 + n
 *     ┌─────────┬──────────┬────────────┬──────────┐
 *     │ version │ n        │ body       │ CRC-32   │   integers big-endian; the CRC is of all before it
 *     │ uint8   │ uint32   │ n bytes    │ uint32   │
 *     └─────────┴──────────┴────────────┴──────────┘
 *
 * The body is one MessagePack array: epoch, firstSeq, lastSeq, time, events, extras, executions, and receipts if there
 * are any.
 */

import { decode, Encoder } from '@msgpack/msgpack';

import { channelDef, CHANNELS } from './channels';
import { crc32 } from './checksum';
import { fault, fieldFault, within, type Fault } from './codes';
import { isFault, readMessage, writeMessage } from './codec';
import { define } from './define';
import { field } from './fields';
import { SIDES, SOURCE_LEVELS_MAX, type Execution, type Message } from './messages';
import { DecodeError, MsgReader } from './reader';
import type { BatchEvent, Command, Snapshot } from './records';
import type { Nanos } from './time';
import { FieldError, structOf, structValues } from './tuple';
import { MsgWriter } from './writer';

export const BATCH_VERSION = 1;
/** The most bytes of an encoded batch. */
export const BATCH_BYTES_MAX = 64 * 1024 * 1024;
const HEADER_BYTES = 5;
const CRC_BYTES = 4;
const BODY_ITEMS = 7;
const OWNER_LENGTH_MAX = 4_096;

/** A batch as it crosses to another machine. The batches of the sequencer have all of it but the time. */
export interface WireBatch {
  readonly epoch: number;
  /** `events` are those of the sequence numbers firstSeq … lastSeq, one each, in order. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** When it was made, by the clock of the server that numbered it. */
  readonly time: Nanos;
  readonly events: readonly BatchEvent[];
  readonly executions: readonly { readonly owner: string; readonly message: Execution }[];
  /** What its events come from, where other members sent it; null: not known; undefined: nothing. */
  readonly receipts?: readonly StreamReceipts[] | null | undefined;
}

/** The receipts of one stream: what one source of a member publishes (src/cluster/README.md). */
export interface StreamReceipts {
  /** The writer name of the member. */
  readonly member: string;
  readonly stream: number;
  readonly receipts: readonly Receipt[];
}

/** States that a publish, or its beginning, was given numbers. `firstSeq` is in the batch, or was next behind it. */
export interface Receipt {
  /** Its number in the stream. */
  readonly publish: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Whether it ends there. If not, a later receipt of the same publish has its end. */
  readonly isWhole: boolean;
  /** Counts of the whole publish, as in `ack`; 0 if it does not end there. */
  readonly repeated: number;
  readonly waiting: number;
}

const opening = {
  symbol: field.symbol(),
  seq: field.seq(),
  eventTime: field.nanos('When it happened'),
  receiveTime: field.nanos('When the server received it'),
};
const command = define(96, 'command', 'A command to a venue, as it was carried out', {
  ...opening,
  action: field.oneOf(['submit', 'cancel', 'amend', 'state'], 'What was to be done'),
  owner: field.text(OWNER_LENGTH_MAX, 'Whose command it is; empty: of the server'),
  clientOrderId: field.text(36, "The client's own name of the order"),
  orderId: field.seq('The order; of a refused submit 0'),
  side: field.oneOf(SIDES, 'Side'),
  kind: field.oneOf(['limit', 'market'], 'Order type'),
  timeInForce: field.oneOf(['gtc', 'ioc', 'fok'], 'How long it stands'),
  postOnly: field.boolean('Refused if it would trade at once'),
  price: field.price('Limit; 0: none'),
  quantity: field.quantity(),
  state: field.nullable(
    field.oneOf(['pre-open', 'open', 'halted', 'closed'], 'Of `state`: the state to go to'),
  ),
  fillsMax: field.nullable(field.seq('How many resting orders it may meet; nil: all')),
});
const snapshot = define(97, 'snapshot', 'The ten best levels of a book, whole', {
  ...opening,
  bids: field.levels(SOURCE_LEVELS_MAX, 'Price and quantity, best first'),
  asks: field.levels(SOURCE_LEVELS_MAX, 'Price and quantity, best first'),
  crc: field.int(0, 0xffff_ffff, 'CRC-32 of the levels'),
});
/** Records that are no messages of a connection. */
const OWN_FORMS = [command, snapshot] as const;

/** What few events have and readers do not get, and the index of the event. */
const EXTRA = {
  index: field.int(0, 0xffff_ffff, 'Index among the events'),
  asOf: field.nullable(field.nanos('The time by which it is ordered')),
  sourceSeq: field.nullable(field.seq('Of a trade: its number by the source')),
  definedBy: field.nullable(field.text(OWNER_LENGTH_MAX, 'Of a definition: who defined it first')),
};

const MEMBER_LENGTH_MAX = 40;
const RECEIPTS_MAX = 0xffff;
const RECEIPTS = {
  member: field.text(MEMBER_LENGTH_MAX, 'The member that sent it'),
  stream: field.seq('Stream of the member'),
  receipts: field.list(
    field.struct(
      {
        publish: field.seq('Number of the publish in its stream'),
        firstSeq: field.seq('First sequence number'),
        lastSeq: field.seq('Last sequence number; one less than the first if there are none'),
        isWhole: field.boolean('Whether the publish ends there'),
        repeated: field.int(0, 0xffff_ffff, 'Events dropped as repetitions'),
        waiting: field.int(0, 0xffff_ffff, 'Book events without effect until a snapshot comes'),
      },
      'A receipt',
    ),
    RECEIPTS_MAX,
    'By rising number',
  ),
};

/** The messages that are numbered, by type. */
const NUMBERED: ReadonlySet<string> = new Set([
  'instrument',
  ...CHANNELS.filter((channel) => channelDef(channel).isNumbered),
]);
const OF_OWN_FORM: ReadonlySet<string> = new Set(OWN_FORMS.map(({ type }) => type));

/** Encodes batches with buffers of its own; one encoder serves one thread. */
export class BatchEncoder {
  private readonly writer = new MsgWriter(64 * 1024);
  private readonly general = new Encoder({ useBigInt64: true, ignoreUndefined: true });

  /** The bytes of a batch, of its own. @throws RangeError beyond `BATCH_BYTES_MAX` */
  encode(batch: WireBatch): Uint8Array<ArrayBuffer> {
    const { writer: w, general } = this;
    w.reset();
    w.ensure(64);
    w.position = HEADER_BYTES;
    const { epoch, firstSeq, lastSeq, time, events, executions, receipts } = batch;
    w.arrayHeader(receipts === undefined ? BODY_ITEMS : BODY_ITEMS + 1);
    for (const value of structValues(HEAD, { epoch, firstSeq, lastSeq, time })) {
      w.raw(general.encodeSharedRef(value));
    }
    w.ensure(8);
    w.arrayHeader(events.length);
    for (const event of events) this.event(event);
    w.raw(general.encodeSharedRef(extrasOf(events)));
    w.ensure(8);
    w.arrayHeader(executions.length);
    for (const { owner, message } of executions) {
      w.ensure(8);
      w.arrayHeader(2);
      w.raw(general.encodeSharedRef(owner));
      writeMessage(w, general, message);
    }
    if (receipts !== undefined) {
      const values = receipts && receipts.map((of) => structValues(RECEIPTS, of));
      w.raw(general.encodeSharedRef(values));
    }
    return this.close();
  }

  private event(event: BatchEvent): void {
    if (event.type === 'command' || event.type === 'snapshot') {
      const def = event.type === 'command' ? command : snapshot;
      this.writer.raw(this.general.encodeSharedRef([def.code, ...structValues(def.fields, event)]));
    } else writeMessage(this.writer, this.general, event);
  }

  private close(): Uint8Array<ArrayBuffer> {
    const w = this.writer;
    const bodyBytes = w.position - HEADER_BYTES;
    if (bodyBytes + HEADER_BYTES + CRC_BYTES > BATCH_BYTES_MAX) {
      throw new RangeError(`a batch of ${bodyBytes} bytes; at most ${BATCH_BYTES_MAX}`);
    }
    w.ensure(CRC_BYTES);
    w.position += CRC_BYTES;
    const bytes = w.copy() as Uint8Array<ArrayBuffer>;
    const view = new DataView(bytes.buffer);
    view.setUint8(0, BATCH_VERSION);
    view.setUint32(1, bodyBytes);
    const crcAt = bytes.length - CRC_BYTES;
    view.setUint32(crcAt, crc32(bytes.subarray(0, crcAt)));
    return bytes;
  }
}

const HEAD = {
  epoch: field.seq('One run of the numbering'),
  firstSeq: field.seq('First sequence number'),
  lastSeq: field.seq('Last sequence number'),
  time: field.nanos('When it was made'),
};

/** The batch that bytes are, all of it checked; or why they are none. Never throws. */
export function decodeBatch(bytes: Uint8Array): WireBatch | Fault {
  const wrong = frameFault(bytes);
  if (wrong !== undefined) return wrong;
  try {
    return readBody(new MsgReader(bytes.subarray(HEADER_BYTES, bytes.length - CRC_BYTES)));
  } catch (e) {
    if (e instanceof DecodeError) return fault(e.code, `not a batch: ${e.message}`);
    if (e instanceof FieldError) return e.fault;
    throw e;
  }
}

/** What is wrong with version, length or checksum. */
function frameFault(bytes: Uint8Array): Fault | undefined {
  if (bytes.length === 0) return fault('malformed-msgpack', 'not a batch: there are no bytes');
  if (bytes[0] !== BATCH_VERSION) {
    return fieldFault('batch.version', bytes[0], `${BATCH_VERSION}`);
  }
  if (bytes.length > BATCH_BYTES_MAX) {
    return fault('frame-too-large', `a batch of ${bytes.length} bytes; at most ${BATCH_BYTES_MAX}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const least = HEADER_BYTES + CRC_BYTES;
  const length = bytes.length < least ? least : view.getUint32(1) + least;
  if (bytes.length !== length) {
    return fault('malformed-msgpack', `a batch of ${bytes.length} bytes; expected ${length}`);
  }
  const crcAt = length - CRC_BYTES;
  if (view.getUint32(crcAt) === crc32(bytes.subarray(0, crcAt))) return undefined;
  return fault('malformed-msgpack', 'not a batch: its CRC-32 does not match its bytes');
}

function readBody(r: MsgReader): WireBatch {
  const items = r.arrayHeader();
  if (items < BODY_ITEMS) throw new DecodeError(`${items} items; expected ${BODY_ITEMS}`);
  const head = structOf(HEAD, [value(r), value(r), value(r), value(r)], 'batch');
  const { epoch, firstSeq, lastSeq, time } = head as Record<'epoch', number> & WireBatch;
  const events = readEvents(r, firstSeq, lastSeq);
  readExtras(r, events);
  const executions = readExecutions(r);
  const receipts = items > BODY_ITEMS ? { receipts: readReceipts(r) } : {};
  for (let item = BODY_ITEMS + 1; item < items; item++) r.skip(); // of a later version
  if (!r.atEnd) {
    throw new DecodeError(`${r.bytes.length - r.position} bytes follow its end`);
  }
  return { epoch, firstSeq, lastSeq, time, events, executions, ...receipts };
}

function readReceipts(r: MsgReader): StreamReceipts[] | null {
  const all = value(r);
  if (all === null) return null;
  if (!Array.isArray(all)) throw new FieldError(fieldFault('batch.receipts', all, 'an array'));
  return all.map(
    (of, i) => structOf(RECEIPTS, of, `batch.receipts[${i}]`) as unknown as StreamReceipts,
  );
}

function readEvents(r: MsgReader, firstSeq: number, lastSeq: number): BatchEvent[] {
  const count = r.arrayHeader();
  if (count !== lastSeq - firstSeq + 1) {
    const expected = `one for each sequence number from ${firstSeq} to ${lastSeq}`;
    throw new FieldError(fieldFault('batch.events.length', count, expected));
  }
  const events: BatchEvent[] = [];
  for (let i = 0; i < count; i++) {
    const path = `batch.events[${i}]`;
    const event = readEvent(r, path);
    const seq = firstSeq + i;
    if (event.seq !== seq) throw new FieldError(fieldFault(`${path}.seq`, event.seq, `${seq}`));
    events.push(event);
  }
  return events;
}

function readEvent(r: MsgReader, path: string): BatchEvent {
  const start = r.position;
  const length = r.arrayHeader();
  const code = length === 0 ? 0 : r.int();
  r.position = start;
  const own = OWN_FORMS.find((def) => def.code === code);
  if (own !== undefined) {
    const [, ...values] = value(r) as unknown[];
    return ownEvent(own.type, structOf(own.fields, values, path));
  }
  return messageAt(r, path, NUMBERED) as BatchEvent;
}

function ownEvent(type: 'command' | 'snapshot', values: Record<string, unknown>): BatchEvent {
  if (type === 'snapshot') return { type, ...values } as unknown as Snapshot;
  const { fillsMax, ...rest } = values;
  return { type, ...rest, ...(fillsMax !== null && { fillsMax }) } as unknown as Command;
}

/** @throws FieldError when it is at fault, or of another type */
function messageAt(r: MsgReader, path: string, types: ReadonlySet<string>): Message {
  const message = readMessage(r);
  if (isFault(message)) throw new FieldError(within(path, message));
  if (types.has(message.type)) return message;
  throw new FieldError(
    fieldFault(`${path}.type`, message.type, `one of ${[...types, ...OF_OWN_FORM].join(', ')}`),
  );
}

/** A value of any kind, by the general decoder. */
function value(r: MsgReader): unknown {
  const start = r.position;
  r.hasBadText = false;
  r.skip();
  if (r.hasBadText) throw new DecodeError('a string is not UTF-8');
  try {
    return decode(r.bytes.subarray(start, r.position), { useBigInt64: true });
  } catch (e) {
    throw new DecodeError((e as Error).message.slice(0, 120).toWellFormed());
  }
}

function extrasOf(events: readonly BatchEvent[]): unknown[] {
  const extras: unknown[] = [];
  for (const [index, event] of events.entries()) {
    const asOf = 'asOf' in event ? event.asOf : undefined;
    const sourceSeq = 'sourceSeq' in event ? event.sourceSeq : undefined;
    const definedBy = 'definedBy' in event ? event.definedBy : undefined;
    if ((asOf ?? sourceSeq ?? definedBy) === undefined) continue;
    extras.push(structValues(EXTRA, { index, asOf, sourceSeq, definedBy }));
  }
  return extras;
}

/** Gives the events what they have besides their messages. */
function readExtras(r: MsgReader, events: BatchEvent[]): void {
  const count = r.arrayHeader();
  if (count > events.length) {
    throw new FieldError(fieldFault('batch.extras.length', count, `at most ${events.length}`));
  }
  let next = 0;
  for (let i = 0; i < count; i++) {
    const path = `batch.extras[${i}]`;
    const { index, asOf, sourceSeq, definedBy } = structOf(EXTRA, value(r), path);
    const event = events[index as number];
    if ((index as number) < next || event === undefined) {
      const expected = `an index from ${next} to ${events.length - 1}`;
      throw new FieldError(fieldFault(`${path}.index`, index, expected));
    }
    next = (index as number) + 1;
    if (asOf !== null) Object.assign(event, { asOf });
    if (sourceSeq !== null) Object.assign(event, { sourceSeq });
    if (definedBy !== null) Object.assign(event, { definedBy });
  }
}

const EXECUTION: ReadonlySet<string> = new Set(['execution']);
const OWNER = { owner: field.text(OWNER_LENGTH_MAX, 'Whose order it is') };

function readExecutions(r: MsgReader): { owner: string; message: Execution }[] {
  const count = r.arrayHeader();
  const executions: { owner: string; message: Execution }[] = [];
  for (let i = 0; i < count; i++) {
    const path = `batch.executions[${i}]`;
    if (r.arrayHeader() < 2) throw new FieldError(fieldFault(path, null, 'an owner and a message'));
    const { owner } = structOf(OWNER, [value(r)], path);
    const message = messageAt(r, `${path}.message`, EXECUTION) as Execution;
    executions.push({ owner: owner as string, message });
  }
  return executions;
}
