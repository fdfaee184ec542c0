/**
 * Open proof: how far the rows after the newest block match what was committed.
 *
 * The fold of the proven rows is kept, so the rows of each commit are read once. All are read again
 * when the proof is `PROOF_MS` old, or a block was completed. Bounded: the rows of one block.
 */

import type { Database, Statement } from 'bun:sqlite';

import { BlockFold } from '../blocks';
import type { BlockRow } from '../checked-rows';
import { BLOCK_ROWS, SLOT, SLOTS } from '../schema';
import type { RowVisitor, VerifyRows } from '../verify/rows';

/** How long a proof is valid. */
export const PROOF_MS = 60_000;

/** A wrong row is found by the checksum; the notes between rows are under no checksum. */
export const NO_VISITOR: RowVisitor = {
  event: () => undefined,
  definition: () => {},
  note: () => undefined,
};

export class OpenProof {
  private readonly rows: VerifyRows;
  private readonly commits: Statement<BlockRow, [number]>;
  private readonly newest: Statement<BlockRow, []>;
  private readonly unproven: Statement<{ id: number }, [number]>;
  private fold = new BlockFold();
  private afterId = -1;
  private atMs = -Infinity;
  private provenId = -1;
  private isBroken = false;

  constructor(db: Database, rows: VerifyRows) {
    this.rows = rows;
    this.commits = db.prepare(
      'SELECT last_id, first_id, crc FROM open_block WHERE last_id > ? ORDER BY last_id',
    );
    this.newest = db.prepare(
      'SELECT last_id, first_id, crc FROM open_block ORDER BY last_id DESC LIMIT 1',
    );
    this.unproven = db.prepare(
      `SELECT id FROM record WHERE id > ? AND id % ${SLOTS} = ${SLOT.event} ORDER BY id DESC LIMIT 1`,
    );
  }

  finalize(): void {
    for (const each of [this.commits, this.newest, this.unproven]) each.finalize();
  }

  /** The last proven id of the rows behind `afterId`. Call it inside a transaction. */
  upTo(afterId: number, nowMs: number): number {
    if (afterId !== this.afterId || nowMs - this.atMs >= PROOF_MS) this.restart(afterId, nowMs);
    if (this.isBroken) return this.provenId;
    const commit = this.newest.get();
    if (commit === null || commit.last_id <= this.provenId) return this.provenId;
    if (this.takes(commit)) return this.provenId;
    // Finds the first commit that does not match.
    this.restart(afterId, nowMs);
    this.isBroken = !this.commits.all(afterId).every((each) => this.takes(each));
    return this.provenId;
  }

  /**
   * The last id of the rows that are not proven; null if all are. Call it after `upTo`, in the same
   * transaction.
   */
  damage(): number | null {
    return this.unproven.get(this.provenId)?.id ?? null;
  }

  private restart(afterId: number, nowMs: number): void {
    this.afterId = afterId;
    this.atMs = nowMs;
    this.provenId = afterId;
    this.isBroken = false;
    this.fold = new BlockFold();
  }

  private takes({ first_id, last_id, crc }: BlockRow): boolean {
    const read = this.rows.read(this.provenId, last_id, NO_VISITOR);
    if ('message' in read || read.isCut || this.fold.rows + read.frame.rows >= BLOCK_ROWS)
      return false;
    this.fold.take(read.frame, null, () => {});
    const block = this.fold.current();
    if (block?.crc !== crc || block.firstId !== first_id || block.lastId !== last_id) return false;
    this.provenId = last_id;
    return true;
  }
}
