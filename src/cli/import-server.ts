/** Server sink: imports into a running server, by publish messages, one under way at a time. */

import type { ErrorCode, Fault } from '../../protocol/codes';
import type { Instrument, SourceEvent } from '../../protocol/messages';
import { Connection, TapedeckError } from '../client/connection';
import { publishCounted } from '../client/publish';
import { fetchDefinitions, fetchState } from '../client/rest';
import { ServerTrades } from './import-past';
import type { Recorded } from '../ingest/recording/record';
import type { BookState, Intake, Sink, SinkOptions } from './import-sink';

/** Most events of one publish message; a server may have to hold them. */
const PUBLISH_EVENTS = 1_000;
/** Bytes of a publish message besides its events. */
const PUBLISH_HEAD_BYTES = 32;
/** Faults that do not depend on the record. */
const NOT_OF_A_RECORD = new Set([
  'connection-failed',
  'unauthorized',
  'forbidden',
  'overloaded',
  'journal-failing',
  'shutting-down',
]);

export async function openServerSink(url: string, { key, onFault }: SinkOptions): Promise<Sink> {
  const connection = await Connection.connect(url, { key, client: 'tapedeck import' });
  try {
    return new ServerSink(url, key, connection, await definitionsOf(url, key), onFault);
  } catch (e) {
    connection.close();
    throw e;
  }
}

/** Undefined: this key may not read. Then the server refuses definitions that do not fit. */
async function definitionsOf(
  url: string,
  key: string | undefined,
): Promise<Instrument[] | undefined> {
  try {
    return await fetchDefinitions(url, key);
  } catch (e) {
    const isUnreadable =
      e instanceof TapedeckError && ['unauthorized', 'forbidden'].includes(e.code);
    if (isUnreadable) return undefined;
    throw e;
  }
}

class ServerSink implements Sink {
  private readonly url: string;
  private readonly key: string | undefined;
  private readonly connection: Connection;
  private readonly definitions: Map<string, Instrument>;
  readonly past: ServerTrades;
  private readonly before = new Set<string>();
  private readonly isReadable: boolean;
  private readonly stops: boolean;
  /** Symbols whose newest definition was refused: their events would be read with an older definition. */
  private readonly undefinedNow = new Map<string, Fault>();

  constructor(
    url: string,
    key: string | undefined,
    connection: Connection,
    definitions: readonly Instrument[] | undefined,
    onFault: 'stop' | 'skip',
  ) {
    this.url = url;
    this.key = key;
    this.connection = connection;
    this.definitions = new Map(definitions?.map((one) => [one.symbol, one]));
    this.past = new ServerTrades(url, key);
    this.isReadable = definitions !== undefined;
    this.stops = onFault === 'stop';
    for (const one of this.definitions.values()) connection.know(one.symbol, one);
  }

  definitionOf(symbol: string): Instrument | undefined {
    return this.definitions.get(symbol);
  }

  begin(): Promise<void> {
    for (const symbol of this.definitions.keys()) this.before.add(symbol);
    return Promise.resolve();
  }

  wasThere(symbol: string): boolean {
    return this.before.has(symbol);
  }

  lastTradeNumber(symbol: string): number {
    return this.past.newestIds.get(symbol) ?? 0;
  }

  async bookOf(symbol: string): Promise<BookState | undefined> {
    try {
      const { state } = await fetchState(this.url, symbol, this.key);
      return state === 'incomplete' ? 'incomplete' : 'whole';
    } catch (e) {
      if (e instanceof TapedeckError) return undefined;
      throw e;
    }
  }

  close(): void {
    this.connection.close();
  }

  async take(records: readonly Recorded[]): Promise<Intake> {
    const intake: Intake = { reached: 0, refused: new Map(), repeated: 0, waiting: 0 };
    this.undefinedNow.clear();
    while (intake.reached < records.length) {
      const isApart = this.undefinedNow.size > 0;
      const to = isApart ? intake.reached + 1 : chunkEnd(records, intake.reached, this.bytesMax);
      const chunk = records.slice(intake.reached, to);
      if (!isApart && (await this.publish(chunk, intake)) === undefined) {
        intake.reached = to;
        continue;
      }
      // None of them was taken, so each is sent by itself: then only the one at fault is refused.
      for (; intake.reached < to; intake.reached++) {
        const wrong = await this.publishOne(records[intake.reached]!, intake);
        if (wrong === undefined) continue;
        intake.refused.set(intake.reached, wrong);
        if (!this.stops) continue;
        intake.reached += 1;
        return intake;
      }
    }
    return intake;
  }

  private async publishOne(record: Recorded, intake: Intake): Promise<Fault | undefined> {
    for (const { type, symbol } of record.events) {
      if (type === 'instrument') this.undefinedNow.delete(symbol);
      const before = this.undefinedNow.get(symbol);
      if (before !== undefined) return before;
    }
    const fault = await this.publish([record], intake);
    const definition = record.events.find(({ type }) => type === 'instrument');
    if (fault !== undefined && definition !== undefined) {
      this.undefinedNow.set(definition.symbol, fault);
    }
    return fault;
  }

  /** Publishes all of the records in one message. @returns why they were refused */
  private async publish(records: readonly Recorded[], intake: Intake): Promise<Fault | undefined> {
    const events: SourceEvent[] = [];
    for (const record of records) events.push(...record.events);
    if (events.length === 0) return undefined;
    try {
      // If the server's state cannot be read, it decides itself: a new session then starts its own numbering.
      const continues = this.isReadable ? true : null;
      const { repeated, waiting } = await publishCounted(this.connection, events, continues);
      for (const event of events) {
        if (event.type === 'instrument') this.definitions.set(event.symbol, event);
      }
      intake.repeated += repeated;
      intake.waiting += waiting;
      return undefined;
    } catch (e) {
      if (!(e instanceof TapedeckError) || NOT_OF_A_RECORD.has(e.code)) throw e;
      return { code: e.code as ErrorCode, message: e.message };
    }
  }

  private get bytesMax(): number {
    return this.connection.welcome.limits.frameBytesMax - PUBLISH_HEAD_BYTES;
  }
}

/** The end of as many records as fit one message; at least one. */
function chunkEnd(records: readonly Recorded[], from: number, bytesMax: number): number {
  let events = 0;
  let bytes = 0;
  for (let to = from; to < records.length; to++) {
    for (const event of records[to]!.events) {
      events += 1;
      bytes += encodedBytesMax(event);
    }
    if (to > from && (events > PUBLISH_EVENTS || bytes > bytesMax)) return to;
  }
  return records.length;
}

/** The most bytes of an event on the wire: an integer has at most nine bytes, everything else is bounded. */
function encodedBytesMax(event: SourceEvent): number {
  const numbers = event.type === 'book' ? event.bids.length + event.asks.length : 0;
  return 256 + numbers * 9;
}
