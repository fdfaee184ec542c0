/**
 * JSON in parts: parses long JSON text into a value, and that into a message, a little at a time, so that a server can
 * serve others between. The result equals that of `JSON.parse` and `fromJson`.
 */

import type { Fault } from './codes';
import {
  fromJson,
  JSON_DEPTH_MAX,
  notJson,
  readLevels,
  readMessage,
  SOURCE_OPTIONAL,
  tooDeep,
} from './json';
import { MESSAGES, SOURCE_LEVELS_MAX, type Message } from './messages';
import { Nesting } from './nesting';
import type { FieldSpec } from './fields';
import { FieldError } from './tuple';
import type { Scales, ScalesOf } from './units';

/** Characters that are parsed in one step: some tenths of a millisecond at worst. */
const PART = 16_384;
/** Characters that are scanned in one step. */
const LOOK = 65_536;
/** Events, and pairs of levels, that are read in one step. */
const EVENTS_A_PART = 64;
const LEVELS_A_PART = 512;

const SPACE = /^[ \t\n\r]*$/;
const EVENTS = MESSAGES.publish.fields.events.spec as Extract<FieldSpec, { type: 'messages' }>;

/** Like `parseJson`, in parts. */
export function* parseJsonInParts(text: string): Generator<undefined, { value: unknown } | Fault> {
  const nesting = new Nesting(text, JSON_DEPTH_MAX);
  for (let is = nesting.isDeeper(LOOK); is !== false; is = nesting.isDeeper(LOOK)) {
    if (is === true) return tooDeep(JSON_DEPTH_MAX);
    yield;
  }
  try {
    return { value: yield* parseInParts(text, 0, text.length) };
  } catch (e) {
    return notJson(e as Error);
  }
}

/** Scans text from one element of an array or object to the next. */
class Elements {
  at: number;
  private readonly text: string;
  private readonly end: number;
  private depth = 0;
  private inString = false;

  constructor(text: string, begin: number, end: number) {
    this.text = text;
    this.at = begin;
    this.end = end;
  }

  /** Where the next element ends: at a comma or a closing bracket. @returns −1 if the step ended before */
  next(): number {
    const { text, end } = this;
    const until = Math.min(end, this.at + LOOK);
    for (let i = this.at; i < until; i++) {
      const code = text.charCodeAt(i);
      if (this.inString) {
        if (code === 0x5c) i += 1;
        else if (code === 0x22) this.inString = false;
      } else if (code === 0x22) {
        this.inString = true;
      } else if (code === 0x5b || code === 0x7b) {
        this.depth += 1;
      } else if (code === 0x5d || code === 0x7d) {
        if (this.depth-- === 0) return this.found(i);
      } else if (code === 0x2c && this.depth === 0) {
        return this.found(i);
      }
      this.at = i + 1;
    }
    if (this.at >= end) throw new SyntaxError('it ends too early');
    return -1;
  }

  private found(i: number): number {
    this.at = i + 1;
    return i;
  }
}

/** Like `JSON.parse`, for text that is known not to nest deeply. @throws SyntaxError */
function* parseInParts(text: string, begin: number, end: number): Generator<undefined, unknown> {
  if (end - begin > PART) {
    let at = begin;
    while (SPACE.test(text.charAt(at)) && at < end) at += 1;
    if (text[at] === '[') return yield* parseArray(text, at + 1, end);
    if (text[at] === '{') return yield* parseObject(text, at + 1, end);
  }
  yield;
  return JSON.parse(text.slice(begin, end));
}

function* parseArray(text: string, begin: number, end: number): Generator<undefined, unknown[]> {
  const values: unknown[] = [];
  const run = (from: number, to: number): void => {
    for (const value of JSON.parse(`[${text.slice(from, to)}]`) as unknown[]) values.push(value);
  };
  yield* walk(text, begin, end, ']', run, function* (from, to) {
    values.push(yield* parseInParts(text, from, to));
  });
  return values;
}

function* parseObject(text: string, begin: number, end: number): Generator<undefined, object> {
  const object: Record<string, unknown> = {};
  const run = (from: number, to: number): void => {
    const some = JSON.parse(`{${text.slice(from, to)}}`) as Record<string, unknown>;
    for (const key of Object.keys(some)) define(object, key, some[key]);
  };
  yield* walk(text, begin, end, '}', run, function* (from, to) {
    const [key, colon] = keyOf(text, from, to);
    define(object, key, yield* parseInParts(text, colon + 1, to));
  });
  return object;
}

/** Yields the elements: short ones together, long ones alone. */
function* walk(
  text: string,
  begin: number,
  end: number,
  closing: string,
  run: (from: number, to: number) => void,
  long: (from: number, to: number) => Generator<undefined, void>,
): Generator<undefined, void> {
  const elements = new Elements(text, begin, end);
  const flush = (from: number, to: number, isAll: boolean): void => {
    if (!isAll && SPACE.test(text.slice(from, to))) throw new SyntaxError('an element is missing');
    run(from, to);
  };
  for (let [runFrom, from] = [begin, begin]; ;) {
    const to = elements.next();
    if (to < 0) {
      yield;
      continue;
    }
    const isLast = text[to] !== ',';
    if (isLast && text[to] !== closing) throw new SyntaxError(`${text[to]} in place of ${closing}`);
    const isBlank = isLast && from === begin && SPACE.test(text.slice(from, to));
    if (to - from > PART && !isBlank) {
      if (from > runFrom) flush(runFrom, from - 1, false);
      yield* long(from, to);
      runFrom = to + 1;
    } else if (to - runFrom > PART || isLast) {
      flush(runFrom, to, isLast && runFrom === begin);
      runFrom = to + 1;
      yield;
    }
    from = to + 1;
    if (!isLast) continue;
    if (SPACE.test(text.slice(from, end))) return;
    throw new SyntaxError('something follows the value');
  }
}

/** The key of a member, and the offset of its colon. */
function keyOf(text: string, from: number, to: number): [key: string, colon: number] {
  let at = from;
  while (at < to && SPACE.test(text.charAt(at))) at += 1;
  const begin = at;
  if (text[at] !== '"') throw new SyntaxError('a key is missing');
  for (at += 1; at < to && text[at] !== '"'; at++) if (text[at] === '\\') at += 1;
  const key = JSON.parse(text.slice(begin, at + 1)) as string;
  for (at += 1; at < to && SPACE.test(text.charAt(at)); at++);
  if (text[at] !== ':') throw new SyntaxError('a colon is missing');
  return [key, at];
}

/** Sets a member as `JSON.parse` does, also for the key `__proto__`. */
function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}

/** Like `fromJson`, with the events of a long publish and the levels of its long books read in steps. */
export function* fromJsonInParts(
  value: unknown,
  scalesOf: ScalesOf,
): Generator<undefined, Message | Fault> {
  const events = eventsOf(value);
  if (events === undefined) return fromJson(value, scalesOf);
  const ready: Map<unknown, unknown> = new Map();
  ready.set(events, yield* readEvents(events, scalesOf, ready));
  return fromJson(value, scalesOf, {}, ready);
}

/** The events of a publish, if it has not too many. */
function eventsOf(value: unknown): unknown[] | undefined {
  const { type, events } = (value ?? {}) as { type?: unknown; events?: unknown };
  if (type !== 'publish' || !Array.isArray(events)) return undefined;
  return events.length <= EVENTS.lengthMax ? (events as unknown[]) : undefined;
}

function* readEvents(
  events: readonly unknown[],
  scalesOf: ScalesOf,
  ready: Map<unknown, unknown>,
): Generator<undefined, Message[] | FieldError> {
  const defined = new Map<string, Scales>();
  const known: ScalesOf = (symbol) => defined.get(symbol) ?? scalesOf(symbol);
  const messages: Message[] = [];
  try {
    for (const [i, item] of events.entries()) {
      yield* readLongLevels(item, `publish.events[${i}]`, known, ready);
      const message = readMessage(
        item,
        known,
        SOURCE_OPTIONAL,
        `publish.events[${i}]`,
        EVENTS.kinds,
        ready,
      );
      if (message.type === 'instrument') defined.set(message.symbol, message);
      if (messages.push(message) % EVENTS_A_PART === 0) yield;
    }
    return messages;
  } catch (e) {
    if (e instanceof FieldError) return e;
    throw e;
  }
}

/** Reads the levels of a book in steps. @returns them, or what is wrong with them */
function* readLongLevels(
  item: unknown,
  path: string,
  scalesOf: ScalesOf,
  ready: Map<unknown, unknown>,
): Generator<undefined, void> {
  const book = (item ?? {}) as Record<string, unknown>;
  const scales = typeof book['symbol'] === 'string' ? scalesOf(book['symbol']) : undefined;
  if (book['type'] !== 'book' || scales === undefined) return;
  for (const side of ['bids', 'asks']) {
    const levels = book[side];
    if (!Array.isArray(levels) || levels.length <= LEVELS_A_PART) continue;
    if (levels.length > SOURCE_LEVELS_MAX) continue;
    ready.set(levels, yield* levelsInParts(levels, scales, `${path}.${side}`));
  }
}

function* levelsInParts(
  levels: readonly unknown[],
  scales: Scales,
  path: string,
): Generator<undefined, number[] | FieldError> {
  const flat: number[] = [];
  try {
    for (let from = 0; from < levels.length; from += LEVELS_A_PART) {
      readLevels(levels.slice(from, from + LEVELS_A_PART), scales, path, flat, from);
      yield;
    }
    return flat;
  } catch (e) {
    if (e instanceof FieldError) return e;
    throw e;
  }
}
