/**
 * Binance: captures with one message a line, `<local receive time in ns> <JSON>`, spot streams
 * `@depth`, `@bookTicker` and `@trade` and the REST depth snapshot.
 *
 * Numbers: a depth diff covers the updates U … u, so prevSeq is U − 1 and seq is u; a snapshot stands
 * at lastUpdateId; a bookTicker stands at u; trades are numbered by their ids.
 *
 * A REST snapshot does not name its symbol. It is that of `snapshotSymbol` if given, else of the only
 * symbol heard so far; if none was heard yet it waits for the first. Two symbols make a guess unsafe,
 * and then the capture is at fault, not the book: `ambiguous-symbol`.
 */

import { parseJson } from '../../../protocol/json';
import type { Instrument, SourceEvent } from '../../../protocol/messages';
import { Nanos } from '../../../protocol/time';
import { FieldError } from '../../../protocol/tuple';
import { depth, kindOf, quote, snapshot, trade } from './binance-events';
import { isObject, readSymbol, wrong, type Json } from './binance-fields';
import { binanceInstrument, type Definitions } from './definitions';
import { lineFieldFault } from './faults';
import type { Collector, Decoder } from './record';

const SYMBOL_OPTION = 'the option that names the symbol of the snapshots';

interface HeldSnapshot {
  readonly data: Json;
  readonly line: number;
  readonly time: Nanos;
}

export class BinanceDecoder implements Decoder {
  private readonly definitions: Definitions;
  private readonly snapshotSymbol: string | undefined;
  private readonly symbols = new Set<string>();
  /** A snapshot that came before any line named a symbol. */
  private held: HeldSnapshot | undefined;
  /** The line of a snapshot that went to the only symbol heard until then. */
  private guessedAt: number | undefined;

  constructor(definitions: Definitions, snapshotSymbol?: string) {
    this.definitions = definitions;
    this.snapshotSymbol = snapshotSymbol;
  }

  line(text: string, line: number, into: Collector): void {
    const split = text.indexOf(' ');
    const time = split < 0 ? undefined : Nanos.parse(text.slice(0, split));
    if (time === undefined) {
      if (text.trim() === '') into.skip();
      else into.fault(line, timeFault(text, split));
      return;
    }
    const parsed = parseJson(text.slice(split + 1));
    if (!('value' in parsed)) {
      into.fault(line, parsed);
      return;
    }
    try {
      this.message(parsed.value, line, time, into);
    } catch (e) {
      if (!(e instanceof FieldError)) throw e;
      into.fault(line, e.fault);
    }
  }

  end(into: Collector): void {
    if (this.held === undefined) return;
    into.fault(
      this.held.line,
      lineFieldFault(
        's',
        undefined,
        `a line that names a symbol, or ${SYMBOL_OPTION}`,
        'ambiguous-symbol',
      ),
    );
    this.held = undefined;
  }

  private message(value: unknown, line: number, time: Nanos, into: Collector): void {
    if (!isObject(value)) throw wrong('message', value, 'a JSON object');
    const data = value['data'] ?? value;
    if (!isObject(data)) throw wrong('data', data, 'a JSON object');
    switch (kindOf(value, data)) {
      case 'depth':
        return this.symbolled(data, line, time, into, depth);
      case 'quote':
        return this.symbolled(data, line, time, into, quote);
      case 'trade':
        return this.symbolled(data, line, time, into, trade);
      case 'snapshot':
        return this.snapshot({ data, line, time }, into);
      case 'other':
        return into.skip();
    }
  }

  private symbolled(
    data: Json,
    line: number,
    time: Nanos,
    into: Collector,
    read: (data: Json, instrument: Instrument, time: Nanos) => SourceEvent,
  ): void {
    const symbol = readSymbol(data);
    const event = read(data, this.instrument(symbol), time);
    if (!this.symbols.has(symbol) && !this.heard(symbol, line, into)) return;
    this.deliver(event, symbol, line, time, into);
  }

  /** A symbol speaks for the first time. Whether to go on. */
  private heard(symbol: string, line: number, into: Collector): boolean {
    this.symbols.add(symbol);
    const held = this.held;
    if (held !== undefined) {
      this.held = undefined;
      return this.guess(held, symbol, into);
    }
    if (this.guessedAt === undefined) return true;
    const guessed = this.guessedAt;
    this.guessedAt = undefined;
    const expected = `no other symbol after the snapshot of line ${guessed}, which names none; or ${SYMBOL_OPTION}`;
    return into.fault(line, lineFieldFault('s', symbol, expected, 'ambiguous-symbol')) === 'go-on';
  }

  private snapshot(held: HeldSnapshot, into: Collector): void {
    if (this.snapshotSymbol !== undefined) {
      this.deliverSnapshot(held, this.snapshotSymbol, into);
    } else if (this.symbols.size === 1) {
      this.guess(held, this.symbols.values().next().value!, into);
    } else if (this.symbols.size === 0 && this.held === undefined) {
      this.held = held;
    } else {
      const among = [...this.symbols].slice(0, 5).join(', ') || 'no symbol yet';
      const expected = `${SYMBOL_OPTION}, as the capture speaks of ${among}`;
      into.fault(held.line, lineFieldFault('s', undefined, expected, 'ambiguous-symbol'));
    }
  }

  private guess(held: HeldSnapshot, symbol: string, into: Collector): boolean {
    this.guessedAt = held.line;
    try {
      this.deliverSnapshot(held, symbol, into);
      return true;
    } catch (e) {
      // Caught here, since a snapshot that was held has a line of its own.
      if (!(e instanceof FieldError)) throw e;
      return into.fault(held.line, e.fault) === 'go-on';
    }
  }

  private deliverSnapshot(held: HeldSnapshot, symbol: string, into: Collector): void {
    const event = snapshot(held.data, this.instrument(symbol), held.time);
    this.deliver(event, symbol, held.line, held.time, into);
  }

  private deliver(
    event: SourceEvent,
    symbol: string,
    line: number,
    time: Nanos,
    into: Collector,
  ): void {
    const definition = this.definitions.takeFirst(symbol);
    into.record(line, time, definition === undefined ? [event] : [definition, event]);
  }

  private instrument(symbol: string): Instrument {
    return this.definitions.getOr(symbol, binanceInstrument);
  }
}

function timeFault(text: string, split: number): ReturnType<typeof lineFieldFault> {
  const given = split < 0 ? text : text.slice(0, split);
  return lineFieldFault('time', given, 'digits (ns since 1970), a space and JSON');
}
