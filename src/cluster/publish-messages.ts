/**
 * Publish messages: how a member passes the events of its sources to the leader, and what the leader answers, as bytes.
 *
 * Each source of a member has a stream of entries (publishes, yields, its release). Messages with rising numbers carry
 * the bytes of the stream, cut anywhere but in the head of an entry. The answer to a message has one outcome for each
 * entry that ends in it.
 *
 * A message is one MessagePack array: version, kind, the fields of the kind. An entry is a length (uint32), a kind
 * (uint8), and for a publish a binary frame of `publish` messages, whose events belong together.
 * Every value is checked: others may write to the same subjects.
 */

import { decode, Encoder } from '@msgpack/msgpack';

import { decodeFrameInParts, FrameEncoder, isFault } from '../../protocol/codec';
import {
  ERRORS,
  fault,
  fieldFault,
  within,
  type ErrorCode,
  type Fault,
} from '../../protocol/codes';
import { field, type Fields, type Memory } from '../../protocol/fields';
import type { MessageOf, SourceEvent } from '../../protocol/messages';
import { FieldError, structOf, structValues } from '../../protocol/tuple';
import type { SubmitResult } from '../base/contracts/submission';
import { WRITE_BYTES_MAX } from './write-messages';

export const PUBLISH_VERSION = 1;
/** The most bytes of a stream in one message. */
export const STREAM_BYTES_MAX = 48 * 1024;
/** The most entries that end in one message. */
export const MESSAGE_ENTRIES_MAX = 100;
/** The most bytes of an entry, without its head. */
export const ENTRY_BYTES_MAX = 8 * 1024 * 1024;
export const ENTRY_HEAD_BYTES = 5;

const OWNER_LENGTH_MAX = 4_096;
const MEMBER_LENGTH_MAX = 40;
const MESSAGE_LENGTH_MAX = 4_096;
/** The most sources that one answer asks for. */
export const WANTED_MAX = 1_000;
/** Of faults, where an answer would be too large. */
const SHORT_LENGTH = 80;
const FAULTS_MAX = 1;
/** Of a publish, so that a long one can be read in short parts. */
const EVENTS_A_MESSAGE = 16;

const member = field.text(MEMBER_LENGTH_MAX, 'The member that asks');

const REQUESTS = {
  publish: {
    member,
    source: field.seq('Its number of the source'),
    stream: field.seq('Rises with each stream of the member'),
    number: field.seq('Of the message in its stream, from 1'),
    owner: field.text(OWNER_LENGTH_MAX, 'The client of the source'),
  },
  alive: { member },
  /** The member ends, and all its sources with it. */
  leave: { member },
} as const;

const epoch = field.seq('Epoch of the leader that answers');
const refusal = {
  code: field.text(64, 'Error code'),
  message: field.text(MESSAGE_LENGTH_MAX, 'What is wrong'),
  field: field.nullable(field.text(MESSAGE_LENGTH_MAX, 'The field at fault')),
};

const OUTCOME = {
  seq: field.nullable(field.seq('Taken: the last number that it produced, or the newest one')),
  repeated: field.int(0, 0xffff_ffff, 'Events dropped as repetitions'),
  waiting: field.int(0, 0xffff_ffff, 'Book events without effect until a snapshot comes'),
  index: field.nullable(field.int(0, 0xffff_ffff, 'Refused: the event at fault')),
  refusal: field.nullable(field.struct(refusal, 'Refused: why')),
};

const ANSWERS = {
  /** One for each entry that ended in the message. */
  outcomes: {
    epoch,
    outcomes: field.list(field.struct(OUTCOME, 'Of an entry'), MESSAGE_ENTRIES_MAX, 'In order'),
  },
  /** `base`: the events up to this one are those that the leader found. */
  /** To `alive` and `leave`. */
  alive: {
    epoch,
    base: field.seq('Where the leader began'),
    wanted: field.list(
      field.seq('A source of the member'),
      WANTED_MAX,
      'Sources whose symbols others of their clients want: are they alive?',
    ),
  },
  /** This leader does not have the stream, and never will: what it took of it has numbers up to `seq`. */
  gone: { epoch, seq: field.seq('Newest sequence number') },
  /** A message before this one has not come. */
  early: { epoch },
  /** Nothing was done with the message; it may be sent again. */
  refused: refusal,
} as const;

type OneOf<T extends Record<string, Fields>> = {
  [K in keyof T]: { readonly kind: K; readonly is: Readonly<Memory<T[K]>> };
}[keyof T];

type Outcome = Memory<typeof OUTCOME>;
export type PublishHead = Readonly<Memory<(typeof REQUESTS)['publish']>>;
export type PublishRequest =
  | { readonly kind: 'publish'; readonly is: PublishHead; readonly bytes: Uint8Array }
  | { readonly kind: 'alive' | 'leave'; readonly is: { readonly member: string } };
export type PublishAnswer = OneOf<typeof ANSWERS>;

const encoder = new Encoder({ useBigInt64: true });

/** @param bytes of the stream, at most `STREAM_BYTES_MAX` */
export function encodePublish(head: PublishHead, bytes: Uint8Array): Uint8Array {
  return encoder.encode([PUBLISH_VERSION, 0, ...structValues(REQUESTS.publish, head), bytes]);
}

export function encodeAlive(name: string): Uint8Array {
  return encoder.encode([PUBLISH_VERSION, 1, name]);
}

export function encodeLeave(name: string): Uint8Array {
  return encoder.encode([PUBLISH_VERSION, 2, name]);
}

/** The request that bytes are, its head checked; or why they are none. Never throws. */
export function decodePublishRequest(bytes: Uint8Array): PublishRequest | Fault {
  const read = decoded(REQUESTS, bytes);
  if ('code' in read) return read;
  const { kind, is, rest } = read;
  if (kind === 'alive' || kind === 'leave') return { kind, is: is as { member: string } };
  const stream = rest[0];
  if (!(stream instanceof Uint8Array) || stream.length > STREAM_BYTES_MAX) {
    return fieldFault('publish.bytes', stream, `at most ${STREAM_BYTES_MAX} bytes`);
  }
  return { kind: 'publish', is: is as PublishHead, bytes: stream };
}

export function encodePublishAnswer(answer: PublishAnswer): Uint8Array {
  const bytes = encodedAnswer(answer);
  if (bytes.length <= WRITE_BYTES_MAX || answer.kind !== 'outcomes') return bytes;
  const outcomes = answer.is.outcomes.map((one) => ({
    ...one,
    refusal: one.refusal && cutTo(one.refusal, SHORT_LENGTH),
  }));
  return encodedAnswer({ kind: 'outcomes', is: { ...answer.is, outcomes } });
}

/** The answer that bytes are, all of it checked; or why they are none. Never throws. */
export function decodePublishAnswer(bytes: Uint8Array): PublishAnswer | Fault {
  const read = decoded(ANSWERS, bytes);
  if ('code' in read) return read;
  const answer = { kind: read.kind, is: read.is } as PublishAnswer;
  const codes: string[] = [];
  if (answer.kind === 'refused') codes.push(answer.is.code);
  if (answer.kind === 'outcomes') {
    for (const { seq, refusal: why } of answer.is.outcomes) {
      if ((seq === null) === (why === null)) return fieldFault('answer.outcome', seq, 'one');
      if (why !== null) codes.push(why.code);
    }
  }
  const unknown = codes.find((code) => !Object.hasOwn(ERRORS, code));
  return unknown === undefined ? answer : fieldFault('answer.code', unknown, 'an error code');
}

/** The answer that says why nothing was done with a message. */
export function refusedMessage(why: Fault): PublishAnswer {
  return { kind: 'refused', is: refusalFields(why) };
}

export function outcomeOf(result: SubmitResult): Outcome {
  if ('fault' in result) {
    const index = result.index < 0 ? null : result.index;
    return { seq: null, repeated: 0, waiting: 0, index, refusal: refusalFields(result.fault) };
  }
  return { seq: result.seq, ...result.intake, index: null, refusal: null };
}

export function resultOf({ seq, repeated, waiting, index, refusal: why }: Outcome): SubmitResult {
  if (why === null) return { seq: seq!, intake: { repeated, waiting } };
  const { code, message, field: at } = why;
  return { index: index ?? -1, fault: fault(code as ErrorCode, message, at ?? undefined) };
}

function refusalFields({ code, message, field: name }: Fault): Memory<typeof refusal> {
  return cutTo({ code, message, field: name ?? null }, MESSAGE_LENGTH_MAX);
}

function cutTo(
  { code, message, field: name }: Memory<typeof refusal>,
  most: number,
): Memory<typeof refusal> {
  const cut = (text: string): string => text.slice(0, most).toWellFormed();
  return { code, message: cut(message), field: name === null ? null : cut(name) };
}

// ── entries ─────────────────────────────────────────────────────────────────────────────────────

const ENTRY_KINDS = ['publish', 'decimals', 'yield', 'release'] as const;

/** `decimals`: a publish whose prices and quantities came as decimals. */
export type EntryKind = (typeof ENTRY_KINDS)[number];
export type Published = Pick<MessageOf<'publish'>, 'events' | 'continues'>;

const frames = new FrameEncoder();

/** The bytes of an entry with its head; or why it cannot be sent. */
export function encodeEntry(
  kind: EntryKind,
  events: readonly SourceEvent[],
  continues: boolean,
): Uint8Array | Fault {
  const messages: MessageOf<'publish'>[] = [];
  for (let from = 0; from < events.length; from += EVENTS_A_MESSAGE) {
    const some = events.slice(from, from + EVENTS_A_MESSAGE);
    messages.push({ type: 'publish', id: 0, events: some, continues });
  }
  const isPublish = kind === 'publish' || kind === 'decimals';
  const body = isPublish ? frames.encode(messages) : new Uint8Array(0);
  if (body.length > ENTRY_BYTES_MAX) {
    const message = `${body.length} bytes of events; at most ${ENTRY_BYTES_MAX} pass to the leader at once`;
    return fault('frame-too-large', message);
  }
  const bytes = new Uint8Array(ENTRY_HEAD_BYTES + body.length);
  new DataView(bytes.buffer).setUint32(0, body.length);
  bytes[4] = ENTRY_KINDS.indexOf(kind);
  bytes.set(body, ENTRY_HEAD_BYTES);
  return bytes;
}

/** The kind and the length of the body of an entry that begins here; or why it is none. */
export function entryHead(
  bytes: Uint8Array,
  at: number,
): { readonly kind: EntryKind; readonly length: number } | Fault {
  if (bytes.length - at < ENTRY_HEAD_BYTES) {
    return fault('malformed-msgpack', `the head of an entry has ${bytes.length - at} bytes`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
  const kind = ENTRY_KINDS[bytes[at + 4]!];
  if (kind === undefined) return fieldFault('entry.kind', bytes[at + 4], 'a kind of this version');
  if (length <= ENTRY_BYTES_MAX) return { kind, length };
  return fault('frame-too-large', `an entry of ${length} bytes; at most ${ENTRY_BYTES_MAX}`);
}

/** The events of the body of a publish, all checked; or what is wrong with them. Never throws. */
export function decodeEvents(body: Uint8Array): Published | Fault {
  const parts = decodeEventsInParts(body);
  for (;;) {
    const { done, value } = parts.next();
    if (done === true) return value;
  }
}

/** The same in parts of some hundred events. */
export function* decodeEventsInParts(body: Uint8Array): Generator<undefined, Published | Fault> {
  const events: SourceEvent[] = [];
  let continues = false;
  for (const messages of decodeFrameInParts(body, Infinity, FAULTS_MAX)) {
    for (const message of messages) {
      if (isFault(message)) return within('publish', message);
      if (message.type !== 'publish') return fieldFault('publish.type', message.type, 'publish');
      continues ||= message.continues === true;
      for (const event of message.events) events.push(event);
    }
    yield;
  }
  return { events, continues };
}

// ── forms ───────────────────────────────────────────────────────────────────────────────────────

function encodedAnswer({ kind, is }: PublishAnswer): Uint8Array {
  const index = Object.keys(ANSWERS).indexOf(kind);
  return encoder.encode([PUBLISH_VERSION, index, ...structValues(ANSWERS[kind], is)]);
}

function decoded<T extends Readonly<Record<string, Fields>>>(
  forms: T,
  bytes: Uint8Array,
): { kind: string; is: object; rest: unknown[] } | Fault {
  if (bytes.length > WRITE_BYTES_MAX) {
    return fault('frame-too-large', `${bytes.length} bytes; at most ${WRITE_BYTES_MAX}`);
  }
  let values: unknown;
  try {
    values = decode(bytes, { useBigInt64: true });
  } catch (e) {
    return fault('malformed-msgpack', `no message: ${String(e).slice(0, 120).toWellFormed()}`);
  }
  if (!Array.isArray(values)) return fieldFault('message', values, 'an array');
  const [version, index, ...rest] = values as unknown[];
  if (version !== PUBLISH_VERSION) {
    return fieldFault('message.version', version, `${PUBLISH_VERSION}`, 'not-supported');
  }
  const kind = typeof index === 'number' ? Object.keys(forms)[index] : undefined;
  if (kind === undefined) return fieldFault('message.kind', index, 'a kind of this version');
  const form = forms[kind]!;
  try {
    const is = structOf(form, rest, kind);
    return { kind, is, rest: rest.slice(Object.keys(form).length) };
  } catch (e) {
    if (e instanceof FieldError) return e.fault;
    throw e;
  }
}
