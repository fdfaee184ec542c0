/**
 * Tape: Tapedeck's own recording, one message a line in the JSON form of protocol/README.md.
 *
 * Lines that a source may send (`SOURCE_TYPES`) are taken. Other messages, which a recorded stream also has, are
 * derived by the server again, so they are skipped and counted. A source may omit what the server fills in. A venue
 * instrument of a tape becomes a feed instrument: the tape has the results of its orders, not the orders.
 *
 * A line without a receive time counts as received at its event time, unless that is far ahead of the lines around it or
 * of this machine's clock. Then it was received no later than the lines behind it.
 */

import type { Field } from '../../../protocol/fields';
import { fromJson, parseJson, SOURCE_OPTIONAL } from '../../../protocol/json';
import { toJsonText } from '../../../protocol/json-text';
import {
  isSourceType,
  MESSAGES,
  messageByType,
  SOURCE_TYPES,
  type Instrument,
  type Message,
  type SourceEvent,
} from '../../../protocol/messages';
import { kindOf } from '../../../protocol/plain';
import { Nanos } from '../../../protocol/time';
import type { ScalesOf } from '../../../protocol/units';
import type { Definitions } from './definitions';
import type { LineFault } from './faults';
import { AheadDecoder, type WaitingLine } from './line-window';
import type { Collector } from './record';
import type { SymbolNames } from './symbol-names';
import { readTime, type TimeUnit } from './times';

const OPEN_BRACE = 123;
/** Number of later lines that a line without a receive time is compared with. */
const AHEAD = { lines: 16, letters: 16 * 1024 * 1024 };
/** How far ahead of all of them a time may be, in nanoseconds. */
const AHEAD_NANOS_MAX = 60_000_000_000;
/** The fields with times of each message of a source. */
const TIME_FIELDS: ReadonlyMap<string, readonly string[]> = new Map(
  SOURCE_TYPES.map((type) => {
    const fields: [string, Field<unknown>][] = Object.entries(MESSAGES[type].fields);
    return [type, fields.filter(([, f]) => kindOf(f) === 'nanos').map(([name]) => name)];
  }),
);

/** A message as a line, with its line feed. @throws Error if it names an unknown instrument */
export function tapeLine(message: Message, scalesOf: ScalesOf): string {
  return `${toJsonText(message, scalesOf)}\n`;
}

export interface TapeOptions {
  readonly definitions: Definitions;
  readonly names: SymbolNames;
  readonly timeUnit: TimeUnit;
  /** The clock of this machine. */
  readonly now: () => Nanos;
}

type MarketEvent = Exclude<SourceEvent, Instrument>;

interface Waiting extends WaitingLine {
  readonly of: SourceEvent | LineFault | { readonly skip: string };
  /** The definition that an event was read with. */
  readonly definition: Instrument | undefined;
}

export class TapeDecoder extends AheadDecoder<Waiting> {
  private readonly options: TapeOptions;
  /** The receive time of the newest line that has one. */
  private lastTime = Nanos.ZERO;
  /** Time of the newest event of each symbol. */
  private readonly lastEventTimes = new Map<string, Nanos>();

  constructor(options: TapeOptions) {
    super(AHEAD);
    this.options = options;
  }

  protected look(text: string, line: number): Waiting {
    const of = this.read(text);
    const definition = 'symbol' in of ? this.options.definitions.of(of.symbol) : undefined;
    return { line, letters: text.length, of, definition };
  }

  protected unreadable(fault: LineFault, line: number): Waiting {
    return { line, letters: 0, of: fault, definition: undefined };
  }

  protected decide({ line, of, definition }: Waiting, into: Collector): void {
    if ('skip' in of) return into.skip(of.skip);
    if ('code' in of) return void into.refuse(line, of);
    const isFirst = this.options.definitions.give(of.symbol);
    if (of.type === 'instrument') return into.record(line, this.lastTime, [of]);
    // Zero, or a time in the future, counts as missing.
    const { receiveTime } = of;
    if (receiveTime.compare(Nanos.ZERO) === 0 || isFarAhead(receiveTime, this.options.now()))
      of.receiveTime = this.receiveTimeOf(of);
    this.lastTime = of.receiveTime;
    this.lastEventTimes.set(of.symbol, of.eventTime);
    const events = isFirst && definition !== undefined ? [definition, of] : [of];
    into.record(line, of.receiveTime, events);
  }

  private read(text: string): Waiting['of'] {
    if (text.charCodeAt(0) !== OPEN_BRACE && text.trim() === '') return { skip: 'blank' };
    const parsed = parseJson(text);
    if (!('value' in parsed)) return parsed;
    const { value } = parsed;
    if (isDerived(value)) return { skip: (value as { type: string }).type };
    const wrong = this.adapt(value);
    if (wrong !== undefined) return wrong;
    const event = fromJson(value, this.options.definitions.of, SOURCE_OPTIONAL);
    if (!('type' in event)) return event;
    if (event.type !== 'instrument') return event as SourceEvent;
    const fed: Instrument = { ...event, market: 'feed', rules: null };
    this.options.definitions.define(fed);
    return fed;
  }

  /** Converts names and times of the recording to those of Tapedeck. */
  private adapt(value: unknown): LineFault | undefined {
    if (typeof value !== 'object' || value === null) return undefined;
    const object = value as Record<string, unknown>;
    if (typeof object['symbol'] === 'string') {
      const symbol = this.options.names.of(object['symbol'], 'symbol');
      if (typeof symbol !== 'string') return symbol;
      object['symbol'] = symbol;
    }
    const { type } = object;
    const fields = typeof type === 'string' ? TIME_FIELDS.get(type) : undefined;
    for (const field of fields ?? []) {
      if (object[field] === undefined || object[field] === null) continue;
      const time = readTime(field, object[field], this.options.timeUnit);
      if ('code' in time) return time;
      object[field] = time.toString();
    }
    return undefined;
  }

  /** The receive time of a line that has none. */
  private receiveTimeOf({ symbol, eventTime }: MarketEvent): Nanos {
    const behind = this.eventsBehind();
    const now = this.options.now();
    const before = this.lastEventTimes.get(symbol);
    // If a recording goes back to an earlier day, compare with the line before; a symbol that occurs once cannot be
    // compared with itself.
    const isAhead =
      behind.length > 0 &&
      behind.every((other) => isFarAhead(eventTime, other.eventTime)) &&
      (before === undefined
        ? behind.some((other) => other.symbol === symbol)
        : isFarAhead(eventTime, before));
    if (!isAhead && eventTime.compare(now) <= 0) return eventTime;
    const times = behind.map((other) => other.eventTime).filter((time) => time.compare(now) <= 0);
    if (times.length > 0) return times.reduce((a, b) => (a.compare(b) <= 0 ? a : b));
    return this.lastTime.compare(Nanos.ZERO) > 0 ? this.lastTime : now;
  }

  private eventsBehind(): MarketEvent[] {
    const events: MarketEvent[] = [];
    for (const { of } of this.ahead) if ('eventTime' in of) events.push(of);
    return events;
  }
}

function isFarAhead(time: Nanos, of: Nanos): boolean {
  return time.compare(of.plus(AHEAD_NANOS_MAX)) > 0;
}

/** Whether this is a message type that no source sends. */
export function isDerived(value: unknown): boolean {
  const type = (value as { type?: unknown } | null)?.type;
  if (typeof type !== 'string' || isSourceType(type)) return false;
  return messageByType(type) !== undefined;
}
