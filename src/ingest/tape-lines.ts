/**
 * Tape lines in the body of a request: all of them are taken, or none. They are read a little at a time, whatever
 * they hold.
 */

import { fault, within, type Fault } from '../../protocol/codes';
import { fromJson, parseJson, SOURCE_OPTIONAL } from '../../protocol/json';
import {
  isSourceType,
  SOURCE_LEVELS_MAX,
  type Book,
  type SourceEvent,
} from '../../protocol/messages';
import type { Scales, ScalesOf } from '../../protocol/units';
import { unknownMessageMember } from '../base/members';
import type { LineFault } from './recording/faults';
import { LineSplitter } from './recording/lines';
import { isDerived } from './recording/tape';

export interface TapeLines {
  readonly events: SourceEvent[];
  /** Lines without a source event: blank, or of a derived message type. */
  readonly skipped: number;
  /** The fault of the event at `index` as a fault of its line. */
  within(index: number, f: Fault): Fault;
}

/** Bytes of a body that are split into lines in one step. */
const PIECE_BYTES = 16_384;
/** Levels a side of a book that are read in one step. */
const LEVELS_AT_ONCE = 1_000;

/**
 * The source events of NDJSON, or the first fault, which names its line (counted from 1).
 * @param lineBytesMax the longest line: one event, as long as a frame may be
 */
export function* readTapeLines(
  pieces: readonly Uint8Array[],
  scalesOf: ScalesOf,
  lineBytesMax: number,
): Generator<undefined, TapeLines | Fault> {
  const reader = new TapeReader(scalesOf, lineBytesMax);
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      const wrong = yield* reader.push(piece.subarray(at, at + PIECE_BYTES));
      if (wrong !== undefined) return wrong;
    }
  }
  const wrong = yield* reader.end();
  return wrong ?? reader.lines;
}

class TapeReader {
  private readonly scalesOf: ScalesOf;
  private readonly splitter: LineSplitter;
  private readonly events: SourceEvent[] = [];
  private readonly numbers: number[] = [];
  private readonly defined = new Map<string, Scales>();
  private skipped = 0;
  /** Lines that are split off and not parsed yet. */
  private cut: { readonly text: string; readonly number: number }[] = [];
  private fault: Fault | undefined;

  constructor(scalesOf: ScalesOf, lineBytesMax: number) {
    this.scalesOf = (symbol) => this.defined.get(symbol) ?? scalesOf(symbol);
    const taker = {
      line: (text: string, number: number): boolean => {
        if (text.trim() === '') this.skipped += 1;
        else this.cut.push({ text, number });
        return true;
      },
      fault: ({ code, message }: LineFault, number: number): boolean => {
        const own = code === 'line-too-long' ? 'frame-too-large' : 'malformed-json';
        this.fault = atLine(number, fault(own, message));
        return false;
      },
    };
    this.splitter = new LineSplitter(taker, lineBytesMax);
  }

  get lines(): TapeLines {
    const { events, skipped, numbers } = this;
    return { events, skipped, within: (index, f) => atLine(numbers[index] ?? 0, f) };
  }

  *push(bytes: Uint8Array): Generator<undefined, Fault | undefined> {
    this.splitter.push(bytes);
    return yield* this.read();
  }

  *end(): Generator<undefined, Fault | undefined> {
    this.splitter.end();
    return yield* this.read();
  }

  /** Parses the lines that are split off. @returns the first fault, in the order of the lines */
  private *read(): Generator<undefined, Fault | undefined> {
    const { cut } = this;
    this.cut = [];
    for (const { text, number } of cut) {
      const event = yield* readLine(text, this.scalesOf);
      if (event === 'skipped') {
        this.skipped += 1;
      } else if ('code' in event) {
        return atLine(number, event);
      } else {
        if (event.type === 'instrument') this.defined.set(event.symbol, event);
        this.events.push(event);
        this.numbers.push(number);
      }
      yield;
    }
    yield;
    return this.fault;
  }
}

/** Parses a long line in steps. */
function* readLine(
  line: string,
  scalesOf: ScalesOf,
): Generator<undefined, SourceEvent | 'skipped' | Fault> {
  const parsed = parseJson(line);
  if (!('value' in parsed)) return parsed;
  if (line.length > PIECE_BYTES) yield;
  if (isDerived(parsed.value)) return 'skipped';
  const unknown = unknownMessageMember(parsed.value);
  if (unknown !== undefined) return unknown;
  const event =
    (line.length > PIECE_BYTES ? yield* readLevels(parsed.value, scalesOf) : undefined) ??
    (fromJson(parsed.value, scalesOf, SOURCE_OPTIONAL) as SourceEvent | Fault);
  return 'code' in event ? ofEvent(event) : event;
}

/** Parses a long book, some levels at a time; undefined if it is no book, or is refused as a whole. */
function* readLevels(value: unknown, scalesOf: ScalesOf): Generator<undefined, Book | undefined> {
  const { bids, asks } = value as Record<string, unknown>;
  if (!Array.isArray(bids) || !Array.isArray(asks)) return undefined;
  if (Math.max(bids.length, asks.length) > SOURCE_LEVELS_MAX) return undefined;
  let whole: Book | undefined;
  for (let at = 0; at < bids.length || at < asks.length; at += LEVELS_AT_ONCE) {
    const end = at + LEVELS_AT_ONCE;
    const part = { ...(value as object), bids: bids.slice(at, end), asks: asks.slice(at, end) };
    const read = fromJson(part, scalesOf, SOURCE_OPTIONAL);
    if (!('type' in read) || read.type !== 'book') return undefined;
    whole ??= { ...read, bids: [], asks: [] };
    for (const n of read.bids) whole.bids.push(n);
    for (const n of read.asks) whole.asks.push(n);
    yield;
  }
  return whole;
}

/** `trade.price` becomes `price`: the line is named already, and has one event. */
function ofEvent(f: Fault): Fault {
  const [type = ''] = /^\w+/.exec(f.field ?? '') ?? [];
  if (!isSourceType(type)) return f;
  const prefix = `${type}.`;
  const cut = (text: string): string =>
    text.startsWith(prefix) ? text.slice(prefix.length) : text;
  return { ...f, field: cut(f.field!), message: cut(f.message) };
}

function atLine(line: number, f: Fault): Fault {
  return f.field === undefined
    ? { ...f, message: `line ${line}: ${f.message}`, field: `lines[${line}]` }
    : within(`lines[${line}]`, f);
}
