/**
 * Saved state: reads checkpoints. A checkpoint is sound if its mark is, and if all pieces that the
 * mark counts exist and have their checksums; otherwise the previous checkpoint is used. Bounded:
 * one piece at a time.
 */

import type { Database } from 'bun:sqlite';

import { sumOfSeqs, type KnownPieces, type MarkText } from '../write/checkpoints';
import type { SavedPiece, SavedState } from '../journal';
import { newestCheckpoints, readCheckpoints, type CheckpointRow } from './notes';
import {
  PIECE_KIND,
  pieceCrc,
  unpackPiece,
  type PieceKind,
  type PieceName,
  type PieceRow,
} from '../write/piece';
import { idOf, MARK_SIDE, SLOT } from '../schema';

/** The newest piece of each thing up to a cycle. */
const NEWEST_PIECES = `SELECT kind, key, max(cycle) AS cycle, seq, crc, body FROM piece
  WHERE cycle <= ? GROUP BY kind, key ORDER BY kind, key`;

const KIND_OF = new Map<number, PieceKind>(
  Object.entries(PIECE_KIND).map(([name, number]) => [number, name as PieceKind]),
);

/** The checkpoint that a start continues from. */
export interface Found {
  /** Null: there is no sound checkpoint. */
  readonly saved: SavedState | null;
  readonly known: Omit<KnownPieces, 'tailRecords'>;
}

const NOTHING: Found = { saved: null, known: { lastId: -1, cycle: 0, pieces: [] } };

/** The newest sound checkpoint. */
export function newestState(db: Database): Found {
  for (const row of newestCheckpoints(db)) {
    const state = readState(row, (mark) => piecesOf(db, mark));
    if (typeof state !== 'string') return state;
  }
  return NOTHING;
}

/** The checkpoint with the pieces that its mark counts; or, as a string, what is wrong with it. */
function readState(
  row: CheckpointRow,
  piecesOfMark: (mark: MarkText) => Iterable<PieceRow>,
): Found | string {
  if (Bun.hash.crc32(row.state) !== row.crc) return 'has not its checksum';
  const lastId = idOf(row.seq, SLOT.checkpoint);
  if (row.side !== MARK_SIDE) {
    const saved: SavedState = { from: row.seq, whole: row.state, rest: '', pieces: () => [] };
    return { saved, known: { ...NOTHING.known, lastId } };
  }
  try {
    const mark = JSON.parse(row.state) as MarkText;
    const pieces: (PieceName & { readonly seq: number })[] = [];
    let sum = 0;
    for (const piece of piecesOfMark(mark)) {
      if (pieceCrc(piece) !== piece.crc) return 'has a piece that has not its checksum';
      const { kind, key, seq } = piece;
      pieces.push({ kind, key, seq });
      sum = sumOfSeqs(sum, seq);
    }
    if (pieces.length !== mark.pieces || sum !== mark.places) return 'has not all its pieces';
    const saved: SavedState = {
      from: row.from,
      whole: null,
      rest: mark.rest,
      pieces: () => unpacked(piecesOfMark(mark)),
    };
    return { saved, known: { lastId, cycle: mark.cycle, pieces } };
  } catch (e) {
    return `does not read: ${(e as Error).message}`;
  }
}

/** The stored pieces of the checkpoint whose mark has this id. */
export function* stateRows(db: Database, markId: number): Generator<PieceRow> {
  for (const row of newestCheckpoints(db)) {
    if (idOf(row.seq, SLOT.checkpoint) !== markId) continue;
    yield* piecesOf(db, JSON.parse(row.state) as MarkText);
    return;
  }
}

/** A checkpoint as it was when it was read, whatever is written meanwhile. */
export interface ReadCheckpoint {
  readonly seq: number;
  /** A string says what is wrong with it. */
  readonly saved: SavedState | string;
  /** Also pieces that were not verified. */
  readonly pieces: readonly PieceRow[];
}

/** All checkpoints up to a seq, oldest first. Bounded: twice the state. */
export function readStates(db: Database, upToSeq: number): ReadCheckpoint[] {
  const known = new Map<string, PieceRow>();
  const read = (row: CheckpointRow): ReadCheckpoint => {
    let pieces: PieceRow[] = [];
    const found = readState(row, (mark) => {
      if (pieces.length > 0) return pieces;
      pieces = Array.from(piecesOf(db, mark), (piece) => {
        const name = `${piece.kind} ${piece.key} ${piece.cycle}`;
        if (!known.has(name)) known.set(name, piece);
        return known.get(name)!;
      });
      return pieces;
    });
    return { seq: row.seq, saved: typeof found === 'string' ? found : found.saved!, pieces };
  };
  return db.transaction(() =>
    readCheckpoints(db)
      .filter(({ seq }) => seq <= upToSeq)
      .map(read),
  )();
}

/** The stored pieces of a checkpoint, one after another. */
function* piecesOf(db: Database, mark: MarkText): Generator<PieceRow> {
  const select = db.prepare<PieceRow, [number]>(NEWEST_PIECES);
  try {
    for (const piece of select.iterate(mark.cycle)) {
      if (piece.kind !== PIECE_KIND.ended || piece.key >= mark.endedFrom) yield piece;
    }
  } finally {
    select.finalize(); // an open statement would prevent SQLite's checkpoints
  }
}

function* unpacked(pieces: Iterable<PieceRow>): Generator<SavedPiece> {
  for (const piece of pieces) yield savedPiece(piece);
}

/** @throws RangeError when it is not a packed piece */
export function savedPiece({ kind, key, seq, body }: PieceRow): SavedPiece {
  return { kind: KIND_OF.get(kind)!, key, seq, ...unpackPiece(body) };
}
