/**
 * Replay range: which sequence numbers a replay covers, and which of their records belong to its
 * topics.
 *
 * A time selects a seq: that of the first record of the topics whose order time is not before it,
 * or of the last one whose order time is not after it. So a replay is a contiguous range of
 * sequence numbers, in which chains hold, even if the times of a source step back.
 */

import type { Database } from 'bun:sqlite';

import type { ReplayedChannel } from '../../../protocol/channels';
import { parseTopic } from '../../../protocol/topics';
import { ALWAYS, type Blocks } from '../history/blocks';
import type { TimeHalves } from '../../base/contracts/times';
import { KIND, ORDER_TIME, seqOf } from '../schema';

/** Up to this many instruments, SQLite filters the records; beyond, the reader does. */
const FEW = 32;

export class ReplayTopics {
  readonly kinds: readonly number[];
  /** Ids of the instruments named in a topic, in the order of their naming. */
  readonly named: ReadonlySet<number>;
  readonly hasAll: boolean;
  /** By kind: ids of instruments, or all. */
  private readonly wanted = new Map<number, Set<number> | 'all'>();

  /** @param idOf the id of a symbol; undefined if the journal does not have it yet */
  constructor(topics: readonly string[], idOf: (symbol: string) => number | undefined) {
    const named = new Set<number>();
    for (const name of topics) {
      const { channel, symbol } = parseTopic(name)!;
      const kind = KIND[channel as ReplayedChannel];
      const known = this.wanted.get(kind);
      if (symbol === '*' || symbol === '') this.wanted.set(kind, 'all');
      else {
        const id = idOf(symbol);
        if (id === undefined) continue;
        named.add(id);
        if (known === undefined) this.wanted.set(kind, new Set([id]));
        else if (known !== 'all') known.add(id);
      }
    }
    this.named = named;
    this.kinds = [...this.wanted.keys()];
    this.hasAll = [...this.wanted.values()].includes('all');
  }

  isWanted(kind: number, instrument: number): boolean {
    const ids = this.wanted.get(kind);
    return ids === 'all' || (ids?.has(instrument) ?? false);
  }

  /** Whether it is worth while to search for each of its instruments. */
  get isFew(): boolean {
    return !this.hasAll && this.named.size <= FEW;
  }

  /** For a `WHERE` over records: excludes most of the unwanted ones. */
  get condition(): string {
    return this.isFew ? `instrument IN (${[...this.named].join()})` : 'true';
  }

  /** Ids of the instruments that may be in the replay. */
  instruments(all: () => number[]): readonly number[] {
    return this.hasAll ? all() : [...this.named];
  }
}

/** Finds sequence numbers by time. */
export class ReplayTimes {
  private readonly db: Database;
  private readonly blocks: Blocks;

  constructor(db: Database, blocks: Blocks) {
    this.db = db;
    this.blocks = blocks;
  }

  /** Seq of the first record that is not before a time; null if all are. */
  first(of: readonly number[], topics: ReplayTopics, time: TimeHalves): number | null {
    let found: number | null = null;
    for (const instrument of of) {
      const statement = this.statement('>=', 'ASC', topics, instrument);
      const times = { first: time, last: ALWAYS.last };
      for (const { first, last } of this.blocks.from(0, instrument, times, 'anything')) {
        if (found !== null && first > found) break;
        const row = statement.get(first, last, instrument, time.hi, time.lo);
        if (row === null) continue;
        found = Math.min(found ?? row.id, row.id);
        break;
      }
    }
    return found === null ? null : seqOf(found);
  }

  /** Seq of the last record that is not after a time; null if all are. */
  last(of: readonly number[], topics: ReplayTopics, time: TimeHalves): number | null {
    let found: number | null = null;
    for (const instrument of of) {
      const statement = this.statement('<=', 'DESC', topics, instrument);
      const times = { first: ALWAYS.first, last: time };
      const upTo = Number.MAX_SAFE_INTEGER;
      for (const { first, last } of this.blocks.upTo(upTo, instrument, times, 'anything')) {
        if (found !== null && last < found) break;
        const row = statement.get(first, last, instrument, time.hi, time.lo);
        if (row === null) continue;
        found = Math.max(found ?? row.id, row.id);
        break;
      }
    }
    return found === null ? null : seqOf(found);
  }

  private statement(
    comparison: '>=' | '<=',
    order: 'ASC' | 'DESC',
    topics: ReplayTopics,
    of: number,
  ) {
    const kinds = topics.kinds.filter((kind) => topics.isWanted(kind, of));
    return this.db.query<{ id: number }, [number, number, number, number, number]>(
      `SELECT id FROM record WHERE id >= ? AND id <= ? AND instrument = ? AND kind IN (${kinds.join()})
         AND ${ORDER_TIME} ${comparison} (? << 32) | ? ORDER BY id ${order} LIMIT 1`,
    );
  }
}
