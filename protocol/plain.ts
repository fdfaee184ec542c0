/**
 * Plain messages: those of channels without code of their own (channels.ts). A source sends the newest state of
 * something, and the server numbers it and passes it on.
 *
 * The journal and checkpoints hold what such a message has besides the fields that all numbered messages have, as
 * text: an object in the JSON form of README.md, in which prices and quantities are scaled integers (decimals with
 * a scale of 0). So a row is read without the definition of its instrument.
 */

import { PLAIN_CHANNELS, type PlainChannel } from './channels';
import type { MessageDef } from './define';
import type { Field, Fields, FieldSpec } from './fields';
import { readFields } from './json';
import { fieldsText } from './json-text';
import { MESSAGES, sequenced, type MarketEvent, type PlainMessage } from './messages';
import type { RecordedPlain } from './records';
import type { Nanos } from './time';
import { FieldError } from './tuple';
import type { Scales } from './units';

/** Fields that are not part of the text: those of all numbered messages, and the count, which is 1. */
const COMMON: ReadonlySet<string> = new Set([...Object.keys(sequenced), 'count']);
const SCALED: Scales = { priceScale: 0, quantityScale: 0 };

/** What the text does not have. */
export interface PlainOpening {
  readonly symbol: string;
  readonly seq: number;
  readonly prevSeq: number;
  readonly eventTime: Nanos;
  readonly receiveTime: Nanos;
}

const FIELDS: ReadonlyMap<string, Fields> = new Map(
  PLAIN_CHANNELS.map((channel) => [channel, ownFields(channel)]),
);

/** The fields that only messages of this channel have. */
export function plainFields(channel: PlainChannel): Fields {
  return FIELDS.get(channel)!;
}

/** Its own fields as text. */
export function plainText(message: PlainMessage): string {
  return fieldsText(plainFields(message.type), message, SCALED);
}

/** The message with these fields; undefined if the text was not made by `plainText`. */
export function plainMessage(
  type: PlainChannel,
  opening: PlainOpening,
  text: string,
): RecordedPlain | undefined {
  try {
    const own = readFields(plainFields(type), JSON.parse(text), SCALED, type);
    return { type, ...opening, ...own, count: 1 };
  } catch (e) {
    if (e instanceof FieldError || e instanceof SyntaxError) return undefined;
    throw e;
  }
}

/** A plain message as what its definition made it: the message of its channel. */
export function asEvent(message: RecordedPlain): MarketEvent {
  return message as unknown as MarketEvent;
}

/** The kind of a field, whether it is nullable or not. */
export function kindOf({ spec }: Field<unknown>): FieldSpec['type'] {
  return spec.type === 'nullable' ? kindOf(spec.inner) : spec.type;
}

function ownFields(channel: PlainChannel): Fields {
  const definitions: Readonly<Record<string, MessageDef>> = MESSAGES;
  const all = Object.entries(definitions[channel]!.fields);
  return Object.fromEntries(all.filter(([name]) => !COMMON.has(name)));
}
