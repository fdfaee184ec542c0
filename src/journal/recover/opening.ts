/**
 * Opening: from a data directory to a journal that can be written, and to what it holds from
 * earlier epochs.
 *
 * What SQLite or a checksum finds damaged is set aside under a new name and never deleted; the good
 * part continues in a new file (`salvage.ts`). Records that are missing at the end are declared by
 * a gap.
 */

import { Database } from 'bun:sqlite';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { BatchEvent } from '../../../protocol/records';
import type { Clock } from '../../base/clock';
import { freshNumber, secretBytes, type Secrets } from '../../base/secrets';
import { StartFault } from '../../base/start-fault';
import { causeOf, unwritable } from '../write/causes';
import type { Slices } from '../write/checkpoints';
import { checkedRows, JournalDamage } from '../checked-rows';
import { lockDirectory, type DirectoryLock } from './directory';
import { cutOff, dropTraces } from '../write/cut';
import { readHead, type HeadPosition } from '../write/head';
import { headDoubt } from './head-doubt';
import {
  isAsync,
  type Durability,
  type GapNote,
  type GapReason,
  type JournalWarning,
  type Recovered,
  type TailGap,
} from '../journal';
import { newestCheckpoints, readEpochs, readGaps, readPastEpochs, type EpochRow } from './notes';
import { checkForeign, countTables, JOURNAL_FILE, needsUpgrade } from './reading';
import { rowToEvent } from '../records';
import { newestState } from './saved-state';
import { createTables, finishSalvage, salvage } from './salvage';
import { idOf, KIND, seqOf, SLOT, SLOTS } from '../schema';
import type { JournalOptions } from '../write/journal-parts';
import { SqliteJournal } from '../write/sqlite-journal';
import { clearSuspicion, suspicion } from '../write/suspicion';
import { upgrade } from './upgrade';
import { renewViews } from './views';
import {
  InlineWriter,
  type CreateWriter,
  type JournalWriter,
  type WriterEvents,
} from '../write/writer';

export interface OpenedJournal {
  readonly journal: SqliteJournal;
  readonly recovered: Recovered;
}

export interface OpeningOptions {
  /** Creates the writer; by default one on the thread of the caller. */
  readonly createWriter?: CreateWriter | undefined;
  /** Damage that the reader of the tail has found: the records after the good part are set aside. */
  readonly damage?: JournalDamage | undefined;
  /** Reports what was damaged, and what was done about it. */
  readonly onDamage?: ((message: string) => void) | undefined;
  /** Reports how many rows of a damaged journal have been copied so far. */
  readonly onSalvage?: ((rows: number) => void) | undefined;
  /** How checkpoints share the event loop; by default a checkpoint is taken in one turn. */
  readonly slices?: Slices | undefined;
  /** Source of the epoch's number; by default the system's random generator. */
  readonly secrets?: Secrets | undefined;
  /** The journal is that of a replica. */
  readonly following?: Following | undefined;
}

/** A replica's journal continues in the epoch in which it ended. */
export interface Following {
  /** The records after this seq were never replicated: they are set aside. Infinity: none. */
  readonly keepUpTo: number;
}

export function openJournal(
  options: JournalOptions,
  clock: Clock,
  opening: OpeningOptions = {},
): OpenedJournal | StartFault {
  const lock = lockDirectory(options.directory);
  if (lock instanceof StartFault) return lock;
  try {
    const opened = openLocked(options, clock, opening, lock);
    if (opened instanceof StartFault) lock.release();
    return opened;
  } catch (e) {
    lock.release();
    const path = join(options.directory, JOURNAL_FILE);
    const cause = causeOf(e, options.directory);
    const isDisk = cause !== 'other' && cause !== 'foreign-write';
    if (isDisk && !statSync(path, { throwIfNoEntry: false })?.isDirectory()) {
      return unwritable(options.directory, e);
    }
    return new StartFault(
      'journal-damaged',
      `${path} cannot be read: ${(e as Error).message}`,
      'Move the file away to start with an empty journal; it is not changed by this.',
    );
  }
}

function openLocked(
  options: JournalOptions,
  clock: Clock,
  opening: OpeningOptions,
  lock: DirectoryLock,
): OpenedJournal | StartFault {
  const { directory } = options;
  const path = join(directory, JOURNAL_FILE);
  const head = readHead(directory);
  finishSalvage(directory);
  const isNew = !existsSync(path);
  const held = lock.hold(path);
  if (held !== undefined) return held;
  if (isNew) clearSuspicion(directory);
  let { damage } = opening;
  if (!isNew && damage === undefined) {
    const found = inspect(path, head);
    if (found instanceof StartFault) return found;
    damage = found;
  }
  if (damage !== undefined) {
    const aside = salvage(directory, damage.goodSeq, head?.seq, clock.now(), opening.onSalvage);
    clearSuspicion(directory);
    const heldNew = lock.hold(path);
    if (heldNew !== undefined) return heldNew;
    opening.onDamage?.(
      `${path} is damaged: ${damage.message}; it is ${aside} now, and what is good of it goes on`,
    );
  }
  const lossReason = isNew ? 'missing' : damage === undefined ? 'crash' : 'damage';
  const db = new Database(path, { create: true });
  try {
    prepareDatabase(db, options.durability);
    return recover({ db, lock, options, clock, opening, head, lossReason });
  } catch (e) {
    db.close();
    throw e;
  }
}

/** Why the file does not belong to Tapedeck, or must be salvaged; undefined if neither. */
function inspect(
  path: string,
  head: HeadPosition | undefined,
): StartFault | JournalDamage | undefined {
  try {
    if (needsUpgrade(path)) upgrade(path);
    const foreign = checkForeign(path);
    if (foreign !== undefined) return foreign;
    const db = new Database(path, { readonly: true });
    try {
      if (countTables(db) === 0) return undefined; // created, and never written
      // What every start reads, and the first and last row of each table (separate queries:
      // together they would read the whole table).
      readEpochs(db);
      newestCheckpoints(db).next();
      for (const end of ['min', 'max']) {
        db.query(`SELECT ${end}(id) FROM record`).get();
        db.query(`SELECT ${end}(last_id) FROM block`).get();
      }
      db.query('SELECT id, symbol FROM instrument').all();
      const blocks = db.query('SELECT max(last_id) AS id FROM block').get() as {
        id: number | null;
      };
      // The open block, which the next writer reads.
      for (const rows of checkedRows(db, blocks.id ?? -1)) void rows;
      const why = suspicion(dirname(path));
      if (why !== undefined) throw new JournalDamage(Number.MAX_SAFE_INTEGER, why);
    } finally {
      db.close();
    }
    return undefined;
  } catch (e) {
    if (e instanceof JournalDamage) return e;
    const { code } = e as { code?: string };
    // If no head lies beside it, a file that is not a database may belong to somebody else.
    const isOurs =
      code === 'SQLITE_NOTADB' ? head !== undefined : code?.startsWith('SQLITE_CORRUPT');
    if (isOurs !== true) throw e;
    return new JournalDamage(Number.MAX_SAFE_INTEGER, (e as Error).message);
  }
}

function prepareDatabase(db: Database, durability: Durability): void {
  db.run('PRAGMA busy_timeout = 5000');
  db.run('PRAGMA journal_mode = WAL');
  db.run(`PRAGMA synchronous = ${synchronousFor(durability)}`);
  db.run('PRAGMA mmap_size = 1073741824');
  if (countTables(db) === 0) createTables(db);
  else renewViews(db);
}

function synchronousFor(durability: Durability): 'NORMAL' | 'FULL' {
  return durability === 'fsync' ? 'FULL' : 'NORMAL';
}

/** What a recovery begins with. */
interface Opening {
  readonly db: Database;
  readonly lock: DirectoryLock;
  readonly options: JournalOptions;
  readonly clock: Clock;
  readonly opening: OpeningOptions;
  readonly head: HeadPosition | undefined;
  /** Why records that the head covers are missing at the end of the file. */
  readonly lossReason: GapReason;
}

/** The instruments of the journal, by id and by symbol. */
interface InstrumentTable {
  readonly ids: Map<string, number>;
  readonly symbols: ReadonlyMap<number, string>;
}

function recover(from: Opening): OpenedJournal {
  const { db, lock, options, clock, opening, head, lossReason } = from;
  if (opening.following !== undefined) cutUnreplicated(from, opening.following);
  const instruments = readInstrumentTable(db);
  const found = newestState(db);
  const { saved } = found;
  const savedFrom = saved?.from ?? 0;
  cutUnknown(db, savedFrom, options.directory, clock, opening);
  const end = newestSeq(db);
  const isFollowing = opening.following !== undefined;
  // A replica gets records again from its leader that it had published and not committed.
  const lastSeq = isFollowing ? end : Math.max(end, head?.seq ?? 0);
  const gaps: GapNote[] = [];
  if (lastSeq > end) gaps.push({ type: 'gap', from: end + 1, to: lastSeq, reason: lossReason });
  const past = readEpochs(db);
  const epoch = isFollowing
    ? (past.at(-1)?.epoch ?? 0)
    : freshEpoch(past, head, opening.secrets ?? secretBytes);
  const doubt = isFollowing
    ? undefined
    : headDoubt(head, { seq: end, epochs: past }, isAsync(options.durability));
  const journal = new SqliteJournal(
    {
      db,
      lock,
      clock,
      epoch,
      isFollowing,
      epochFrom: isFollowing ? (past.at(-1)?.first_seq ?? 1) - 1 : lastSeq,
      lastSeq,
      isEndTaken: past.some(
        (e) => e.clean === 1 && e.first_seq <= lastSeq && e.last_seq === lastSeq,
      ),
      gaps,
      instrumentIds: instruments.ids,
      known: { ...found.known, tailRecords: end - savedFrom },
      slices: opening.slices,
      createWriter: (events) => createWriter(from, events),
    },
    options,
  );
  // The tail begins behind all notes at the sequence number of the checkpoint, but for the end of an epoch.
  const afterId = saved === null ? -1 : idOf(saved.from, SLOT.checkpoint);
  return {
    journal,
    recovered: {
      epoch,
      lastSeq,
      missingTo: gaps.at(-1)?.to ?? null,
      saved,
      tail: readTail(db, afterId, instruments.symbols),
      pastEpochs: readPastEpochs(db, end, gaps[0]),
      warnings: [
        ...lockWarnings(lock, join(options.directory, JOURNAL_FILE)),
        ...(doubt === undefined ? [] : [doubt]),
      ],
    },
  };
}

/** No two epochs share a number, whatever the clock says. This holds for copies of one journal as well. */
function freshEpoch(
  past: readonly EpochRow[],
  head: HeadPosition | undefined,
  secrets: Secrets,
): number {
  return freshNumber(secrets, new Set(past.map(({ epoch }) => epoch)).add(head?.epoch ?? 0));
}

function readInstrumentTable(db: Database): InstrumentTable {
  const rows = db
    .query<{ id: number; symbol: string }, []>('SELECT id, symbol FROM instrument')
    .all();
  return {
    ids: new Map(rows.map(({ id, symbol }) => [symbol, id])),
    symbols: new Map(rows.map(({ id, symbol }) => [id, symbol])),
  };
}

/** The sequence number at which the file ends; 0 for an empty one. */
function newestSeq(db: Database): number {
  const newest = db.query<{ id: number | null }, []>('SELECT max(id) AS id FROM record').get();
  return newest?.id == null ? 0 : seqOf(newest.id);
}

function createWriter({ db, options, opening }: Opening, events: WriterEvents): JournalWriter {
  const settings = {
    path: join(options.directory, JOURNAL_FILE),
    synchronous: synchronousFor(options.durability),
    retention: options.retention,
  };
  return opening.createWriter?.(settings, db, events) ?? new InlineWriter(db, events);
}

/** Sets aside the records that a leader had not replicated when another one took over. */
function cutUnreplicated({ db, options, clock, opening }: Opening, { keepUpTo }: Following): void {
  const end = newestSeq(db);
  if (end <= keepUpTo) return;
  const aside = cutOff(db, options.directory, keepUpTo + 1, clock.now());
  db.transaction(() => dropTraces(db, keepUpTo + 1)).immediate();
  opening.onDamage?.(
    `the records from ${keepUpTo + 1} to ${end} were not replicated before another leader took over; they are in ${aside} now`,
  );
}

/** The state after a gap is unknown if no checkpoint was taken after the gap. */
function cutUnknown(
  db: Database,
  from: number,
  directory: string,
  clock: Clock,
  { onDamage }: OpeningOptions,
): void {
  const gap = readGaps(db).find(({ reason, to }) => reason === 'disk' && to > from);
  if (gap === undefined) return;
  const aside = cutOff(db, directory, gap.from, clock.now());
  onDamage?.(
    `the process ended before a checkpoint had the state behind the gap from ${gap.from} to ${gap.to}; the records behind it are in ${aside} now, and the market goes on from before it`,
  );
}

function lockWarnings({ unguarded }: DirectoryLock, path: string): JournalWarning[] {
  if (unguarded === undefined) return [];
  const message = `the journal ${path} itself is not locked (${unguarded}); lock.sqlite beside it is all that keeps another Tapedeck from writing it`;
  const hint = 'Leave lock.sqlite where it is, and start one server on this directory.';
  return [{ code: 'journal-unlocked', message, hint }];
}

/** @throws JournalDamage */
function* readTail(
  db: Database,
  afterId: number,
  symbols: ReadonlyMap<number, string>,
): Iterable<readonly BatchEvent[] | TailGap> {
  let gaps: GapNote[] = [];
  for (const rows of checkedRows(db, afterId)) {
    let events: BatchEvent[] = [];
    for (const row of rows) {
      const { kind } = row;
      if (kind === KIND.gap) {
        if (events.length > 0) yield events;
        events = [];
        gaps.push({
          type: 'gap',
          from: row.ref ?? 0,
          to: seqOf(row.id),
          reason: row.text as GapReason,
        });
      } else if (kind === KIND.epoch) {
        if (row.id % SLOTS !== SLOT.opened) continue;
        for (const gap of gaps) yield { ...gap, isContinued: gap.reason !== 'disk' };
        gaps = [];
      } else if (kind !== KIND.checkpoint) {
        if (gaps.length > 0) {
          for (const gap of gaps) yield { ...gap, isContinued: false };
          gaps = [];
        }
        const event = rowToEvent(row, symbols.get(row.instrument) ?? '');
        if (event === undefined) throw new Error(`record ${seqOf(row.id)} does not read`);
        events.push(event);
      }
    }
    if (events.length > 0) yield events;
  }
  // The new epoch begins behind these gaps.
  for (const gap of gaps) yield { ...gap, isContinued: gap.reason !== 'disk' };
}
