/** Bombs: frames of at most one mebibyte that try to become much larger, or to take long. */

import type { Form } from './codec-fuzz';

type Bytes = Uint8Array<ArrayBuffer>;

export interface Bomb {
  readonly name: string;
  readonly form: Form;
  readonly frame: Bytes | string;
}

const ROOM = 1_048_000;

/** A head, followed by as many copies of the unit as fit. */
function filled(head: string, unit: string, room = ROOM): Bytes {
  const first = Buffer.from(head.replaceAll(' ', ''), 'hex');
  const repeated = Buffer.from(unit.replaceAll(' ', ''), 'hex');
  const count = Math.floor((room - first.length) / repeated.length);
  const bytes = new Uint8Array(first.length + count * repeated.length);
  bytes.set(first);
  for (let i = 0; i < count; i++) bytes.set(repeated, first.length + i * repeated.length);
  return bytes;
}

function length(count: number): string {
  return count.toString(16).padStart(8, '0');
}

/** A subscribe whose topics are these values. */
function topics(unit: string): Bytes {
  const size = unit.replaceAll(' ', '').length / 2;
  return filled(`91 94 02 01 dd ${length(Math.floor((ROOM - 9) / size))}`, unit, ROOM);
}

/** A publish of one book with as many levels as fit. */
function levels(): Bytes {
  const opening = '91 93 07 01 91 9b 34 a4 41434d45 00 00 00 00 00';
  return filled(`${opening} dd ${length(40_000)}`, '01', 40_000 + 40);
}

export const BOMBS: readonly Bomb[] = [
  { name: '2^32 − 1 messages', form: 'msgpack', frame: filled('dd ffffffff', 'c0', 64) },
  {
    name: 'a message of 2^32 − 1 elements',
    form: 'msgpack',
    frame: filled('91 dd ffffffff', 'c0'),
  },
  { name: 'a map of 2^32 − 1 pairs', form: 'msgpack', frame: filled('91 92 06 df ffffffff', 'c0') },
  { name: 'a string of 4 GiB', form: 'msgpack', frame: filled('91 92 01 db ffffffff', '61') },
  { name: 'bytes of 4 GiB', form: 'msgpack', frame: filled('91 92 01 c6 ffffffff', '61') },
  {
    name: 'an extension of 4 GiB',
    form: 'msgpack',
    frame: filled('91 92 01 c9 ffffffff 05', '61'),
  },
  { name: 'arrays a million deep', form: 'msgpack', frame: filled('91', '91') },
  { name: 'maps half a million deep', form: 'msgpack', frame: filled('91', '81 01') },
  {
    name: 'a million nils for messages',
    form: 'msgpack',
    frame: filled(`dd ${length(ROOM - 5)}`, 'c0'),
  },
  { name: '10,000 empty messages', form: 'msgpack', frame: filled('dc 2710', '90', 10_003) },
  { name: 'a million nils for topics', form: 'msgpack', frame: topics('c0') },
  { name: 'a million empty arrays for topics', form: 'msgpack', frame: topics('90') },
  { name: 'a million empty maps for topics', form: 'msgpack', frame: topics('80') },
  { name: 'small maps for topics', form: 'msgpack', frame: topics('81 a1 61 c0') },
  { name: 'maps of other keys for topics', form: 'msgpack', frame: topics('82 a1 61 c0 a1 62 c0') },
  { name: 'empty strings for topics', form: 'msgpack', frame: topics('a0') },
  { name: 'int64 for topics', form: 'msgpack', frame: topics('cf ffffffffffffffff') },
  { name: 'extensions for topics', form: 'msgpack', frame: topics('d4 05 00') },
  { name: 'times for topics', form: 'msgpack', frame: topics('d6 ff 00000000') },
  { name: 'a book of 20,000 levels a side, cut short', form: 'msgpack', frame: levels() },
  { name: 'a million closing bytes', form: 'msgpack', frame: filled('', 'c1') },
  { name: '[ a million deep', form: 'json', frame: '['.repeat(ROOM) },
  { name: '{"a": without end', form: 'json', frame: '{"a":'.repeat(ROOM / 5) },
  { name: 'a million quotes', form: 'json', frame: '"'.repeat(ROOM) },
  { name: 'a million backslashes', form: 'json', frame: `["${'\\'.repeat(ROOM - 5)}"]` },
  {
    name: 'a number of a million digits',
    form: 'json',
    frame: `[{"type":"ping","id":${'9'.repeat(ROOM - 40)},"time":"1"}]`,
  },
  {
    name: 'a time of a million digits',
    form: 'json',
    frame: `[{"type":"ping","id":1,"time":"${'9'.repeat(ROOM - 40)}"}]`,
  },
  { name: '1e400', form: 'json', frame: '[{"type":"ping","id":1e400,"time":"1e400"}]' },
  {
    name: 'a fraction of a million digits',
    form: 'json',
    frame: `[{"type":"ping","id":0.${'1'.repeat(ROOM - 40)},"time":"1"}]`,
  },
  { name: 'a million empty objects', form: 'json', frame: `[${'{},'.repeat(ROOM / 3 - 1)}{}]` },
  {
    name: 'a member name of a million letters',
    form: 'json',
    frame: `[{"${'a'.repeat(ROOM - 20)}":1}]`,
  },
  {
    name: 'a hundred thousand members',
    form: 'json',
    frame: `[{"type":"ping"${Array.from({ length: 90_000 }, (_, i) => `,"${i.toString(36)}a":1`).join('')}}]`,
  },
  {
    name: 'tens of thousands of indices',
    form: 'json',
    frame: `[{"type":"ping"${Array.from({ length: 65_000 }, (_, i) => `,"${i * 40_001}":1`).join('')}}]`,
  },
  {
    name: 'the same member again and again',
    form: 'json',
    frame: `[{"type":"ping"${',"id":1'.repeat(140_000)}}]`,
  },
  {
    name: '__proto__ again and again',
    form: 'json',
    frame: `[{"type":"ping"${',"__proto__":{}'.repeat(70_000)}}]`,
  },
  {
    name: 'half pairs',
    form: 'json',
    frame: `[{"type":"hello","version":1,"client":"${'\\ud800'.repeat(170_000)}"}]`,
  },
  {
    name: 'a decimal of a million digits',
    form: 'json',
    frame: `[{"type":"order","id":1,"symbol":"DESK","price":"${'1'.repeat(ROOM - 60)}"}]`,
  },
  { name: 'spaces', form: 'json', frame: ' '.repeat(ROOM) },
];
