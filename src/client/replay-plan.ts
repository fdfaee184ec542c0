/** Replay plan: which journals a replay reads. Each shard of the server has one [H6]. */

import { ERRORS } from '../../protocol/codes';
import type { MessageOf } from '../../protocol/messages';
import { parseTopic } from '../../protocol/topics';
import { TapedeckError } from './errors';
import type { ReplayRange, ReplayRequest } from './replay-part';

export interface ReplayOptions<T extends string = string> extends ReplayRange {
  readonly topics: readonly T[];
  /** Multiple of real time: 1 as recorded, 10 ten times as fast. Default: as fast as it is read. */
  readonly speed?: number;
  /**
   * The shard whose journal is read; a topic with a `*`, and `status`, then stand for their part in it. Default: those of the
   * topics.
   */
  readonly shard?: string;
}

/** The shards of symbols; null: not known. */
export interface ShardsOfSymbols {
  shardOf(symbol: string): string | null;
  /** Asks the server for those that are not known. */
  learn(): Promise<void>;
}

export interface ReplayPlan {
  /** Of each journal. */
  readonly requests: readonly ReplayRequest[];
  /** At which the client gives out the messages of several journals, in hundredths of real time; null: at once. */
  readonly speed: number | null;
}

/**
 * @param shards of the server
 * @throws TapedeckError `several-shards` if the topics are of several, and numbers are given
 */
export async function planReplay(
  shards: MessageOf<'welcome'>['shards'],
  options: ReplayOptions,
  symbols: ShardsOfSymbols,
): Promise<ReplayPlan> {
  const { topics } = options;
  const speed = options.speed === undefined ? null : Math.round(options.speed * 100);
  const { from, to, fromSeq, toSeq } = options;
  const rest = { from, to, fromSeq, toSeq, speed };
  if (options.shard !== undefined) return alone({ topics, ...rest, shard: options.shard });
  if (shards === null || shards.length <= 1) return alone({ topics, ...rest, shard: null });
  const names = shards.map(({ shard }) => shard);
  const isOne = (topic: string): boolean => !['', '*'].includes(parseTopic(topic)?.symbol ?? '');
  const shardOf = (topic: string): string | undefined => {
    const shard = symbols.shardOf(parseTopic(topic)!.symbol);
    return names.find((name) => name === shard);
  };
  if (topics.some((topic) => isOne(topic) && shardOf(topic) === undefined)) await symbols.learn();
  // The server refuses a symbol that it does not know, whatever the shard is.
  const isIn = (topic: string, shard: string): boolean =>
    !isOne(topic) || (shardOf(topic) ?? names[0]) === shard;
  const journals = names.flatMap((shard) => {
    const own = topics.filter((topic) => isIn(topic, shard));
    return own.length === 0 ? [] : [{ topics: own, shard }];
  });
  if (journals.length === 1) return alone({ ...rest, ...journals[0]! });
  if (fromSeq !== undefined || toSeq !== undefined) throw ofSeveral();
  const requests = journals.map((journal) => ({
    from,
    to,
    speed: null,
    topics: journal.topics,
    shard: journal.shard,
  }));
  return { requests, speed: speed === 0 ? null : speed };
}

function alone(request: ReplayRequest): ReplayPlan {
  return { requests: [request], speed: null };
}

/** Numbers are given, and there are several journals. */
export function ofSeveral(): TapedeckError {
  const message = 'the topics are of several shards, and sequence numbers are of one';
  const hint = `${ERRORS['several-shards'].hint} Or give times.`;
  return new TapedeckError('several-shards', message, hint, 'replay.fromSeq');
}
