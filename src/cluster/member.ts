/**
 * Member: one server's part in the batch log of a shard. It follows the log; where the log has been silent it may take
 * over as the leader; a leader that another one replaced stops for good.
 *
 *      following ──── silent, and nobody else has appended ────► taking over ──── epoch stored ────► leading
 *          ▲                                                          │                                 │
 *          └────────────────────── another one was first ─────────────┘          deposed ──► lost ◄─────┘
 *
 * The log itself is the lease: it is silent when its leader is gone, and only one frame can follow the last one. A
 * broker that elects is silent as well, so the silence counts only if the broker answered during it.
 *
 * It has no timers: the owner calls `look` at least every 50 ms.
 */

import type { WireBatch } from '../../protocol/batch';
import type { Clock } from '../base/clock';
import type { MemberState } from '../base/contracts/cluster';
import type { Log } from '../log/contract';
import type { LogBroker, LogEnd } from './broker';
import type { LogHole, LogPosition } from './frame-chain';
import { LogReader, type ReaderFigures } from './log-reader';
import {
  HEARTBEAT_MS,
  LogWriter,
  startAt,
  type WriterEnd,
  type WriterFigures,
  type WriterStart,
} from './log-writer';

/** Why a member has to begin again. */
export interface Lost {
  /**
   * `deposed`: another leader has taken over from it. `forked`: it has events that the log does not have; those up to
   * `keepUpTo` are good. `hole`: the log does not have what comes next. `refused`: the broker takes nothing of it.
   */
  readonly reason: 'deposed' | 'forked' | 'hole' | 'refused';
  readonly message: string;
  readonly keepUpTo: number | null;
  /**
   * Its journal leads nowhere: it can go on from a checkpoint of this epoch or a later one, at this number or behind it.
   * Null: its journal is good.
   */
  readonly beginAt: LogPosition | null;
}

export interface MemberHandlers {
  /** The last event that this server has. */
  position(): LogPosition;
  /** The next batch of the leader; it begins after the position. */
  batch(batch: WireBatch): void;
  /** Another leader continues after the position. */
  epoch(epoch: number): void;
  /** It has read up for the first time. */
  caughtUp(): void;
  /** This server leads from now on, under this epoch. @param loggedSeq the log has the events up to this one */
  leading(epoch: number, loggedSeq: number): void;
  /** The log has everything up to this number. */
  acknowledged(lastSeq: number): void;
  /** Called once. Nothing is called after it. */
  lost(why: Lost): void;
}

export interface MemberOptions {
  readonly broker: LogBroker;
  readonly clock: Clock;
  readonly log: Log;
  readonly shard: string;
  /** Names this process among all that ever write to the log: letters and digits. */
  readonly writer: string;
  /** Whether it may lead. */
  readonly mayLead: boolean;
  /** Whether it may also begin a log that has no frames (any more) with what it has. */
  readonly mayBegin: boolean;
  /** After so long without a frame it takes over. */
  readonly silenceMs: number;
  /** An epoch above another. */
  readonly epochAbove: (epoch: number) => number;
  readonly queueBytesMax: number;
  readonly queueBatchesMax: number;
  readonly heldBytesMax: number;
}

export interface MemberFigures {
  readonly state: MemberState;
  readonly takeovers: number;
  readonly reader: ReaderFigures | null;
  readonly writer: WriterFigures | null;
}

export class Member {
  state: MemberState = 'following';
  private readonly options: MemberOptions;
  private readonly handlers: MemberHandlers;
  private reader: LogReader | null = null;
  private writer: LogWriter | null = null;
  private isAsking = false;
  /** The end of the log as the broker gave it during the present silence, and when. */
  private seen: { readonly end: LogEnd; readonly atMs: number } | null = null;
  private hasCaughtUp = false;
  private takeovers = 0;

  constructor(options: MemberOptions, handlers: MemberHandlers) {
    this.options = options;
    this.handlers = handlers;
    this.follow();
  }

  /** Takes a batch of this leader. @returns `full`: not taken; go on behind `loggedFrom` when `hasRoom` */
  accept(batch: WireBatch): 'taken' | 'full' | 'stopped' {
    return this.writer?.accept(batch) ?? 'stopped';
  }

  get hasRoom(): boolean {
    return this.writer?.hasRoom === true;
  }

  /** The last event that the writer has taken. */
  get loggedFrom(): number {
    return this.writer?.position ?? 0;
  }

  /** See `LogWriter`. */
  get inFlightMs(): number {
    return this.writer?.inFlightMs ?? 0;
  }

  /** Whether what this leader knows at the call, with its events up to a number, holds for the cluster. */
  proven(seq: number): Promise<boolean> {
    return this.writer?.proven(seq) ?? Promise.resolve(false);
  }

  look(): void {
    this.reader?.look();
    this.writer?.look();
    if (this.state === 'following' && this.options.mayLead) this.watch();
  }

  /** A leader stops once the log has everything; call `look` until it has. */
  stop(): void {
    if (this.state === 'leading') return this.writer?.close();
    this.end('stopped');
    this.writer?.abandon();
  }

  figures(): MemberFigures {
    return {
      state: this.state,
      takeovers: this.takeovers,
      reader: this.reader?.figures() ?? null,
      writer: this.writer?.figures() ?? null,
    };
  }

  private follow(): void {
    const { broker, clock, log, shard, heldBytesMax } = this.options;
    const start = this.handlers.position();
    this.state = 'following';
    this.seen = null;
    this.writer = null;
    const options = { broker, clock, log, shard, start, heldBytesMax };
    this.reader = new LogReader(options, {
      checkpoint: () => {},
      batch: (batch) => this.take(batch),
      epoch: ({ epoch, seq }) => this.takeEpoch(epoch, seq),
      hole: (hole) => this.takeHole(hole),
      caughtUp: () => {
        if (this.hasCaughtUp) return;
        this.hasCaughtUp = true;
        this.handlers.caughtUp();
      },
    });
  }

  private take(batch: WireBatch): void {
    const { epoch, seq } = this.handlers.position();
    if (batch.lastSeq <= seq) return;
    if (batch.firstSeq === seq + 1) return this.handlers.batch(batch);
    // A leader that reads its batches from its journal may join and divide them.
    if (batch.firstSeq <= seq) {
      const events = batch.events.slice(seq + 1 - batch.firstSeq);
      return this.handlers.batch({ ...batch, firstSeq: seq + 1, events });
    }
    const message = `${batch.firstSeq} follows ${seq}`;
    this.lose({
      reason: 'hole',
      message,
      keepUpTo: null,
      beginAt: { epoch, seq: batch.firstSeq - 1 },
    });
  }

  private takeEpoch(epoch: number, seq: number): void {
    const own = this.handlers.position();
    if (own.seq > seq) {
      const message = `the events from ${seq + 1} to ${own.seq} are not in the log, and epoch ${epoch} goes on without them`;
      return this.lose({ reason: 'forked', message, keepUpTo: seq, beginAt: null });
    }
    this.seen = null;
    this.handlers.epoch(epoch);
  }

  private takeHole({ after, next, reason }: LogHole): void {
    const own = this.handlers.position();
    // What only this server has, since it led and was cut off, may still come to the log.
    if (reason === 'forked' && next.epoch === own.epoch) return;
    const isFork = reason === 'forked';
    const message = `${after.seq} of epoch ${after.epoch} is followed by ${next.seq + 1} of epoch ${next.epoch}: ${reason}`;
    const lost = isFork ? 'forked' : 'hole';
    this.lose({ reason: lost, message, keepUpTo: null, beginAt: next });
  }

  // ── taking over ─────────────────────────────────────────────────────────────────────────────

  private watch(): void {
    const { reader, seen, options } = this;
    const { silentMs, isLive, nextSequence } = reader!.figures();
    if (!isLive || silentMs < HEARTBEAT_MS) {
      this.seen = null;
      return;
    }
    if (seen === null) return this.ask();
    const isOver = options.clock.monotonicMs() - seen.atMs >= HEARTBEAT_MS;
    if (silentMs < options.silenceMs || !isOver) return;
    if (seen.end.sequence !== nextSequence - 1) {
      this.seen = null;
      return;
    }
    this.takeOver(seen.end);
  }

  /** Whether the broker answers, and the log ends where this member has read to. */
  private ask(): void {
    if (this.isAsking) return;
    this.isAsking = true;
    const { reader } = this;
    const atMs = this.options.clock.monotonicMs();
    void this.options.broker.last().then((answer) => {
      this.isAsking = false;
      if (this.reader !== reader || answer.outcome !== 'ok') return;
      this.seen = { end: answer.value, atMs };
    });
  }

  private takeOver(end: LogEnd): void {
    const start = this.startOf(end);
    if (start === undefined) return;
    const { broker, clock, log, shard, writer, queueBytesMax, queueBatchesMax } = this.options;
    const epoch = this.options.epochAbove(start.epoch);
    this.reader?.stop();
    this.reader = null;
    this.state = 'taking-over';
    const options = { broker, clock, log, shard, epoch, writer, start };
    this.writer = new LogWriter(
      { ...options, queueBytesMax, queueBatchesMax },
      {
        opened: () => {
          this.state = 'leading';
          this.takeovers += 1;
          this.handlers.leading(epoch, start.seq);
        },
        acknowledged: (seq) => this.handlers.acknowledged(seq),
        stopped: (why) => this.writerStopped(why),
      },
    );
  }

  /** Where the writer begins; undefined: this server does not have what the log ends with. */
  private startOf(end: LogEnd): WriterStart | undefined {
    const own = this.handlers.position();
    const start = startAt(end);
    this.seen = null;
    if (start !== null && 'code' in start) {
      this.lose({ reason: 'refused', message: start.message, keepUpTo: null, beginAt: null });
      return undefined;
    }
    // A log that has no frames (any more) goes on with what this server has.
    if (start === null || start.sequence === 0) {
      return this.options.mayBegin ? { sequence: end.sequence, ...own } : undefined;
    }
    return start.epoch === own.epoch && start.seq <= own.seq ? start : undefined;
  }

  private writerStopped(why: WriterEnd): void {
    if (why.reason === 'closed') return this.end('stopped');
    if (why.reason === 'refused') {
      return this.lose({ reason: 'refused', message: why.message, keepUpTo: null, beginAt: null });
    }
    if (this.state === 'taking-over') return this.follow();
    const message = `another leader has appended frame ${why.last}`;
    this.lose({ reason: 'deposed', message, keepUpTo: null, beginAt: null });
  }

  private lose(why: Lost): void {
    if (this.state === 'lost' || this.state === 'stopped') return;
    this.end('lost');
    this.options.log.warn({ ...why, shard: this.options.shard }, 'this member begins again');
    this.handlers.lost(why);
  }

  private end(state: 'lost' | 'stopped'): void {
    this.state = state;
    this.reader?.stop();
    this.reader = null;
  }
}
