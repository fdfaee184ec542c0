/**
 * Topics of the past: the trades or the ticks of an instrument, forwards and backwards.
 *
 * If a block has few of them, they are read along their chain (`prev_seq`), each by its id. If the
 * previous block had many, the whole block is scanned: a scan of 1,024 rows takes as long as some
 * 20 look-ups. Where a gap breaks the chain, reading continues on its other side, so everything
 * that exists is found. Must hold: a tick directly follows its trade. Bounded: the rows of one
 * block at a time.
 */

import type { Database, Statement } from 'bun:sqlite';

import { ALWAYS, OPEN, type Blocks, type Stretch, type Times } from './blocks';
import { idOf, KIND, SLOTS } from '../schema';

/** The columns that every row has here. */
export interface TopicRow {
  id: number;
  prev_seq: number;
}

/** Up to this many records of the topic in a block, they are looked up one by one. */
export const FEW = 20;

export class Topic<R extends TopicRow> {
  private readonly blocks: Blocks;
  /**
   * Distance from the seq of a trade to that of its record on this topic: 0 for trades, 1 for
   * ticks.
   */
  private readonly behindTrade: number;
  private readonly byId: Statement<R, [number, number]>;
  private readonly range: Statement<R, [number, number, number]>;
  private readonly newest: Statement<R, [number, number, number]>;

  /** @param select columns of the table `record` */
  constructor(db: Database, blocks: Blocks, kind: 'trade' | 'tick', select: string) {
    this.blocks = blocks;
    this.behindTrade = kind === 'trade' ? 0 : 1;
    // The instrument comes first, since it excludes most rows.
    const own = `instrument = ? AND kind = ${KIND[kind]}`;
    this.byId = db.prepare(`${select} WHERE id = ? AND ${own}`);
    this.range = db.prepare(`${select} WHERE id >= ? AND id <= ? AND ${own} ORDER BY id`);
    this.newest = db.prepare(
      `${select} WHERE id >= ? AND id <= ? AND ${own} ORDER BY id DESC LIMIT 1`,
    );
  }

  /**
   * From an id on, in order: one list for each block that may have some in the range of time.
   * `last` is the id that it reaches.
   */
  *from(
    id: number,
    of: number,
    times: Times,
  ): Generator<{ readonly rows: R[]; readonly last: number }> {
    // A block may have a tick without its trade.
    const holding = this.behindTrade === 0 ? 'trade' : 'anything';
    let few = true;
    for (const stretch of this.blocks.from(id, of, times, holding)) {
      const rows = this.read(stretch, of, few);
      few = rows.length <= FEW;
      yield { rows, last: stretch.last };
    }
  }

  /** The records of one stretch, in order. @param few whether it has hardly more than `FEW` */
  read(stretch: Stretch, of: number, few: boolean): R[] {
    return (few ? this.follow(stretch, of) : undefined) ?? this.goThrough(stretch, of);
  }

  /** Below a seq, the newest first. */
  *below(seq: number, of: number): Generator<R> {
    const self = this.at(seq, of);
    for (let row = self === null ? this.newestBelow(idOf(seq), of) : this.before(self, of); row;) {
      yield row;
      row = this.before(row, of);
    }
  }

  private before({ id, prev_seq }: R, of: number): R | null {
    return this.at(prev_seq, of) ?? this.newestBelow(id, of);
  }

  /** The record with a seq, if it exists and is proven. */
  private at(seq: number, of: number): R | null {
    return this.blocks.proofs.covers(idOf(seq)) ? this.byId.get(idOf(seq), of) : null;
  }

  private newestBelow(id: number, of: number): R | null {
    for (const { first, last, tradeSeq } of this.blocks.upTo(id - 1, of, ALWAYS, 'trade')) {
      const listed = tradeSeq === OPEN ? 0 : idOf(tradeSeq + this.behindTrade);
      const row =
        (listed >= first && listed <= last ? this.byId.get(listed, of) : null) ??
        this.newest.get(first, last, of);
      if (row !== null) return row;
    }
    return null;
  }

  private goThrough({ first, last }: Stretch, of: number): R[] {
    return this.range.all(first, last, of);
  }

  /** Follows the chain; undefined if it does not reach back to the beginning. */
  private follow(stretch: Stretch, of: number): R[] | undefined {
    const { first, last, tradeSeq } = stretch;
    if (tradeSeq === OPEN) return undefined;
    if (tradeSeq === 0) {
      // The tick of a trade that ends the previous block.
      return this.goThrough({ ...stretch, last: Math.min(last, first + SLOTS) }, of);
    }
    const rows: R[] = [];
    for (let seq = tradeSeq + this.behindTrade; idOf(seq) >= first;) {
      const row = idOf(seq) <= last ? this.byId.get(idOf(seq), of) : this.at(seq, of);
      if (row === null) return undefined;
      if (row.id <= last) rows.push(row);
      seq = row.prev_seq;
    }
    return rows.reverse();
  }
}
