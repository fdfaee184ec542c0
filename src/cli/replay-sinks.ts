/** Where `replay` pours its lines: a journal on this machine, or a server that is running. */

import type { ErrorCode } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import { SystemClock } from '../base/clock';
import { StartFault } from '../base/start-fault';
import { Connection, TapedeckError } from '../client/connection';
import { loadConfig, processEnvironment } from '../config';
import type { Recorded } from '../ingest/recording/record';
import { openRecorder } from '../recorder';
import { failNow } from './failure';
import type { SubmitResult } from '../sequencer/sequencer';

export interface SinkOptions {
  readonly data?: string;
  readonly to?: string;
  readonly key?: string;
  readonly config?: string;
  /** With `skip`, what is refused must not take its neighbours along. */
  readonly onFault: 'stop' | 'skip';
}

export interface Sink {
  /**
   * Resolves, for each record in order, with its place or the reason against it; after a refusal with
   * `stop` the list may end early.
   * @throws TapedeckError when the connection fails
   */
  take(records: readonly Recorded[]): Promise<SubmitResult[]>;
  close(): void;
}

/** @throws TapedeckError when the server is away or refuses the key */
export function openSink(options: SinkOptions): Promise<Sink | StartFault> {
  return options.to === undefined
    ? Promise.resolve(openJournalSink(options))
    : openServerSink(options.to, options);
}

function openJournalSink({ data, config: file }: SinkOptions): Sink | StartFault {
  const config = loadConfig({ data, config: file }, processEnvironment());
  if (config instanceof StartFault) return config;
  const recorder = openRecorder(config, new SystemClock(), () => {}, { fail: failNow });
  if (recorder instanceof StartFault) return recorder;
  const { sequencer } = recorder;
  const source = 1;
  return {
    take: (records) => {
      const results: SubmitResult[] = [];
      for (const [i, { events, receiveTime }] of records.entries()) {
        sequencer.submit(source, events, (result) => (results[i] = result), receiveTime);
        if ((i + 1) % SUBMISSIONS_MAX === 0) sequencer.drain();
      }
      sequencer.drain();
      return Promise.resolve(results);
    },
    close: () => recorder.close(),
  };
}

/** Lines handed to the sequencer before it takes its turns. */
const SUBMISSIONS_MAX = 1_000;
/** Events of one publish message, and messages under way: together what a server may have to hold. */
const PUBLISH_EVENTS = 200;
const UNDER_WAY_MAX = 16;
/** What a publish message has around its events. */
const PUBLISH_HEAD_BYTES = 32;

async function openServerSink(url: string, { key, onFault }: SinkOptions): Promise<Sink> {
  const connection = await Connection.connect(url, { key, client: 'tapedeck replay' });
  return {
    take: (records) =>
      onFault === 'stop' ? takeAhead(connection, records) : takeInTurn(connection, records),
    close: () => connection.close(),
  };
}

/** Several messages under way at a time; the first refusal ends it. */
async function takeAhead(
  connection: Connection,
  records: readonly Recorded[],
): Promise<SubmitResult[]> {
  const results: SubmitResult[] = [];
  const underWay: Promise<void>[] = [];
  const state = { refused: false };
  for (let from = 0; from < records.length && !state.refused;) {
    const to = chunkEnd(records, from, bytesMax(connection));
    const first = from;
    underWay.push(
      publish(connection, records.slice(from, to)).then((chunk) => {
        for (const [i, result] of chunk.entries()) results[first + i] = result;
        state.refused ||= chunk.some((result) => 'fault' in result);
      }),
    );
    if (underWay.length >= UNDER_WAY_MAX) await underWay.shift();
    from = to;
  }
  await Promise.all(underWay);
  return results;
}

/** One message at a time; a refused one is sent again record by record, so that its order stays. */
async function takeInTurn(
  connection: Connection,
  records: readonly Recorded[],
): Promise<SubmitResult[]> {
  const results: SubmitResult[] = [];
  for (let from = 0; from < records.length;) {
    const to = chunkEnd(records, from, bytesMax(connection));
    const chunk = records.slice(from, to);
    const taken = await publish(connection, chunk);
    if (taken.every((result) => 'seq' in result)) {
      results.push(...taken);
    } else {
      for (const record of chunk) results.push(...(await publish(connection, [record])));
    }
    from = to;
  }
  return results;
}

/** All of the records in one message; a refusal stands at the record at fault, and takes all. */
async function publish(
  connection: Connection,
  records: readonly Recorded[],
): Promise<SubmitResult[]> {
  const events: SourceEvent[] = [];
  for (const record of records) events.push(...record.events);
  try {
    const seq = await connection.publish(events);
    return records.map(() => ({ seq, intake: NOTHING_DROPPED }));
  } catch (e) {
    if (!(e instanceof TapedeckError) || NOT_OF_A_RECORD.has(e.code)) throw e;
    const index = Number(/events\[(\d+)\]/.exec(e.field ?? '')?.[1] ?? 0);
    const fault = { code: e.code as ErrorCode, message: e.message };
    // The others were not taken either, but through no fault of theirs.
    return records.map((_, i) =>
      i === recordOf(records, index) ? { index, fault } : { seq: 0, intake: NOTHING_DROPPED },
    );
  }
}

const NOTHING_DROPPED = { repeated: 0, waiting: 0 };

function bytesMax(connection: Connection): number {
  return connection.welcome.limits.frameBytesMax - PUBLISH_HEAD_BYTES;
}

/** Failures that no other record would meet differently. */
const NOT_OF_A_RECORD = new Set([
  'connection-failed',
  'unauthorized',
  'forbidden',
  'overloaded',
  'journal-failing',
  'shutting-down',
]);

function recordOf(records: readonly Recorded[], event: number): number {
  let before = 0;
  const found = records.findIndex(({ events }) => (before += events.length) > event);
  return Math.max(0, found);
}

/** As many records as one message may carry, but at least one. */
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

/** No event takes more on the wire: an integer has at most nine bytes, all else is bounded. */
function encodedBytesMax(event: SourceEvent): number {
  const numbers = event.type === 'book' ? event.bids.length + event.asks.length : 0;
  return 256 + numbers * 9;
}
