/**
 * JSON text: writes a message as the text of its JSON object, without creating the object. Each type of message has
 * a writer, which is built from those of its fields when it is first used.
 */

import type { Fields, FieldSpec } from './fields';
import { messageByType, type Message } from './messages';
import { formatSum, type Sum } from './sums';
import { TextWriter } from './text-writer';
import type { Nanos } from './time';
import { scalesKnown, type Scales, type ScalesOf } from './units';

type Write = (
  w: TextWriter,
  value: unknown,
  scales: Scales | undefined,
  scalesOf: ScalesOf,
) => void;

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const CLOSE_OBJECT = 0x7d;
const NULL = ascii('null');
const TRUE = ascii('true');
const FALSE = ascii('false');

const writers = new Map<string, Write>();
const fieldWriters = new WeakMap<Fields, Write>();
const writer = new TextWriter();

/** The text of a message's JSON object. @throws Error if it names an instrument without known scales */
export function toJsonText(message: Message, scalesOf: ScalesOf): string {
  writer.reset(); // a message that failed may have been written in part
  writeMessage(writer, message, scalesOf);
  return writer.take();
}

/** The text of an array of messages. */
export function toJsonTexts(messages: readonly Message[], scalesOf: ScalesOf): string {
  writer.reset();
  writeMessages(writer, messages, scalesOf);
  return writer.take();
}

/** Texts of arrays of messages, each of at most `bytesMax` bytes unless it has a single message. */
export function toJsonFrames(
  messages: readonly Message[],
  scalesOf: ScalesOf,
  bytesMax: number,
): string[] {
  const texts: string[] = [];
  writer.reset();
  let isFirst = true;
  for (const message of messages) {
    const before = writer.size;
    writer.byte(isFirst ? OPEN_LIST : COMMA);
    writeMessage(writer, message, scalesOf);
    if (!isFirst && writer.size + 1 > bytesMax) {
      texts.push(`${writer.cut(before)}]`);
      writer.put(0, OPEN_LIST);
    }
    isFirst = false;
  }
  if (isFirst) writer.byte(OPEN_LIST);
  writer.byte(CLOSE_LIST);
  texts.push(writer.take());
  return texts;
}

/** The text of a JSON object with these fields alone. */
export function fieldsText(fields: Fields, object: unknown, scales: Scales): string {
  let write = fieldWriters.get(fields);
  if (write === undefined) fieldWriters.set(fields, (write = writerOfFields(fields, '{')));
  writer.reset();
  write(writer, object, scales, () => scales);
  return writer.take();
}

function writeMessage(w: TextWriter, message: Message, scalesOf: ScalesOf): void {
  let write = writers.get(message.type);
  if (write === undefined) {
    const { fields } = messageByType(message.type)!;
    write = writerOfFields(fields, `{"type":"${message.type}"`);
    writers.set(message.type, write);
  }
  write(w, message, scalesFor(message, scalesOf), scalesOf);
}

function writeMessages(w: TextWriter, messages: readonly Message[], scalesOf: ScalesOf): void {
  writeList(w, messages, (message) => writeMessage(w, message, scalesOf));
}

function writeList<T>(w: TextWriter, items: readonly T[], write: (item: T) => void): void {
  w.byte(OPEN_LIST);
  for (let i = 0; i < items.length; i++) {
    if (i > 0) w.byte(COMMA);
    write(items[i]!);
  }
  w.byte(CLOSE_LIST);
}

function scalesFor(message: Message, scalesOf: ScalesOf): Scales | undefined {
  if (message.type === 'instrument') return message;
  return 'symbol' in message ? scalesOf(message.symbol) : undefined;
}

/** @param head the beginning of the object, with its first member if it has one */
function writerOfFields(fields: Fields, head: string): Write {
  const hasMember = head.length > 1;
  const members = Object.entries(fields).map(([name, { spec }], i) => ({
    name,
    before: ascii(`${i > 0 || hasMember ? ',' : ''}${JSON.stringify(name)}:`),
    write: writerOf(spec),
  }));
  const begin = ascii(head);
  return (w, value, scales, scalesOf) => {
    const object = value as Record<string, unknown>;
    w.raw(begin);
    for (let i = 0; i < members.length; i++) {
      const { name, before, write } = members[i]!;
      w.raw(before);
      w.field = name;
      write(w, object[name], scales, scalesOf);
    }
    w.byte(CLOSE_OBJECT);
  };
}

function writerOf(spec: FieldSpec): Write {
  switch (spec.type) {
    case 'int':
      return (w, value) => w.int(value as number);
    case 'boolean':
      return (w, value) => w.raw(value === true ? TRUE : FALSE);
    case 'text':
      return (w, value) => w.text(value as string);
    // These need no escaping: symbols are checked on entry.
    case 'symbol':
    case 'enum':
    case 'decimal':
      return (w, value) => w.word(value as string);
    case 'nanos':
      return (w, value) => w.time(value as Nanos);
    case 'price':
      return (w, value, scales) => w.decimal(value as number, scalesKnown(scales).priceScale);
    case 'quantity':
      return (w, value, scales) => w.decimal(value as number, scalesKnown(scales).quantityScale);
    case 'sum':
      return (w, value, scales) => writeSum(w, value as Sum, scalesKnown(scales).quantityScale);
    case 'levels':
      return (w, value, scales) => writeLevels(w, value as number[], scalesKnown(scales));
    case 'nullable': {
      const write = writerOf(spec.inner.spec);
      return (w, value, scales, scalesOf) => {
        if (value === null || value === undefined) w.raw(NULL);
        else write(w, value, scales, scalesOf);
      };
    }
    case 'list': {
      const write = writerOf(spec.item.spec);
      return (w, value, scales, scalesOf) =>
        writeList(w, value as unknown[], (item) => write(w, item, scales, scalesOf));
    }
    case 'struct':
      return writerOfFields(spec.fields, '{');
    case 'messages':
      return (w, value, _, scalesOf) => writeMessages(w, value as Message[], scalesOf);
  }
}

function writeSum(w: TextWriter, sum: Sum, scale: number): void {
  if (typeof sum === 'number') w.decimal(sum, scale);
  else w.word(formatSum(sum, scale));
}

/** Flat scaled levels as pairs of decimal strings. */
function writeLevels(w: TextWriter, levels: readonly number[], scales: Scales): void {
  const { priceScale, quantityScale } = scales;
  w.byte(OPEN_LIST);
  for (let i = 0; i + 1 < levels.length; i += 2) {
    if (i > 0) w.byte(COMMA);
    w.byte(OPEN_LIST);
    w.decimal(levels[i]!, priceScale);
    w.byte(COMMA);
    w.decimal(levels[i + 1]!, quantityScale);
    w.byte(CLOSE_LIST);
  }
  w.byte(CLOSE_LIST);
}
