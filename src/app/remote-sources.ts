/**
 * Remote sources: the source entry of a member that does not lead. It passes the events of each source to the leader,
 * paces sessions as a sequencer does, and keeps in mind which source feeds which symbol here.
 *
 * Bounds: events that wait, of one client and of all; messages under way of one source (`remote-source.ts`).
 */

import type { StreamReceipts } from '../../protocol/batch';
import { fault, type Fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import type { Nanos } from '../../protocol/time';
import type { SourceEntry } from '../base/contracts/core';
import type { SubmitOptions, SubmitResult } from '../base/contracts/submission';
import {
  decodePublishAnswer,
  encodeAlive,
  encodeLeave,
  type EntryKind,
} from '../cluster/publish-messages';
import type { WriteTransport } from '../cluster/writes';
import { RemoteSource, type Entry } from './remote-source';

const AGAIN_MS = 50;
/** How often this member shows the leader that it is alive, while it has sources. */
const ALIVE_MS = 1_000;
/** As in the sequencer: with this share of `waitingEventsMax` waiting, a client is crowded. */
const CROWDED_PART = 1 / 4;
/** As in the sequencer: so little of a client may wait beyond the bound of all. */
const MODEST_PART = 64;

export interface RemoteSourcesParts {
  readonly transport: WriteTransport;
  /** Names this process among all members, ever: letters and digits, at most 20. */
  readonly writer: string;
  /** The epoch that this member follows, and the last number before it. */
  readonly epoch: () => number;
  readonly epochBase: () => number;
  /** The last number of the log under an epoch; Infinity: of the present one. */
  readonly endOf: (epoch: number) => number;
  /** See `Replica.has`. */
  readonly has: (epoch: number, seq: number) => Promise<boolean>;
  readonly leaderWaitMs: number;
  /** See `SourceEntry.challenge`. */
  readonly challenge: (source: number) => void;
  /** The most events that may wait. Clients that have few waiting may double it. */
  readonly waitingEventsMax: number;
  readonly nowMs: () => number;
  readonly now: () => Nanos;
  /** Calls back after some milliseconds, unless what it returns is called before. */
  readonly later: (ms: number, act: () => void) => () => void;
}

export interface RemoteSourcesFigures {
  readonly sources: number;
  readonly waiting: number;
  readonly taken: number;
  readonly refused: number;
  readonly unknown: number;
}

export class RemoteSources implements SourceEntry {
  private readonly parts: RemoteSourcesParts;
  private readonly sources = new Map<number, RemoteSource>();
  /** Of streams, by their numbers. */
  private readonly streams = new Map<number, RemoteSource>();
  private readonly holders = new Map<string, number>();
  private readonly waitingOf = new Map<string | number, number>();
  private readonly drained = new Map<number, (() => void)[]>();
  private readonly counts = { waiting: 0, taken: 0, refused: 0, unknown: 0 };
  private newestStream = 0;
  private aliveMs = -Infinity;
  private isStopping = false;
  private isEnded = false;
  private onSettled: () => void = () => {};
  private isTicking = false;
  private local: SourceEntry | undefined;

  constructor(parts: RemoteSourcesParts) {
    this.parts = parts;
  }

  figures(): RemoteSourcesFigures {
    return { sources: this.sources.size, ...this.counts };
  }

  // ── as sessions use it ──────────────────────────────────────────────────────────────────────

  refusal(): Fault | undefined {
    if (this.local !== undefined) return this.local.refusal();
    const isOver = this.isStopping || this.isEnded;
    return isOver ? fault('shutting-down', 'the server is being stopped') : undefined;
  }

  submit(
    source: number,
    events: readonly SourceEvent[],
    done: (result: SubmitResult) => void,
    options: SubmitOptions = {},
  ): void {
    if (this.local !== undefined) return this.local.submit(source, events, done, options);
    const client = options.owner || source;
    const refused = this.refusal() ?? this.crowded(client, events.length);
    if (refused !== undefined) return done({ index: -1, fault: refused });
    this.count(client, events.length, 1);
    const remote = this.sources.get(source) ?? this.open(source);
    remote.owner = options.owner ?? '';
    const kind: EntryKind = options.isDecimal === true ? 'decimals' : 'publish';
    const counted = (result: SubmitResult): void => {
      this.count(client, events.length, -1);
      done(result);
    };
    remote.add(kind, events, options, counted);
    this.tick();
  }

  behind(source: number): Promise<void> {
    if (this.local !== undefined) return this.local.behind(source);
    const remote = this.sources.get(source);
    if (remote === undefined || remote.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const waiting = this.drained.get(source);
      if (waiting === undefined) this.drained.set(source, [resolve]);
      else waiting.push(resolve);
    });
  }

  yield(source: number, owner: string): void {
    if (this.local !== undefined) return this.local.yield(source, owner);
    const remote = this.sources.get(source);
    if (remote === undefined || (remote.length === 0 && !remote.isKnown)) return;
    remote.owner = owner;
    remote.add('yield', [], {}, () => {});
    this.tick();
  }

  release(source: number, owner: string): void {
    if (this.local !== undefined) return this.local.release(source, owner);
    const remote = this.sources.get(source);
    if (remote === undefined) return;
    if (remote.length === 0 && !remote.isKnown) return this.forget(source, remote);
    remote.owner = owner;
    remote.add('release', [], {}, () => this.forget(source, remote));
    this.tick();
  }

  holderOf(symbol: string): number {
    return this.local?.holderOf(symbol) ?? this.holders.get(symbol) ?? 0;
  }

  isCrowded(client: string | number): boolean {
    if (this.local !== undefined) return this.local.isCrowded(client);
    const waiting = this.waitingOf.get(client) ?? 0;
    return waiting >= this.parts.waitingEventsMax * CROWDED_PART && !this.isEnded;
  }

  // ── as the cluster uses it ──────────────────────────────────────────────────────────────────

  /** What the log has of the streams of all members; null: of some numbers nobody knows it. */
  logged(epoch: number, receipts: readonly StreamReceipts[] | null): void {
    if (receipts === null) {
      for (const source of this.sources.values()) source.doubt(epoch);
      return;
    }
    for (const { member, stream, receipts: of } of receipts) {
      const source = member === this.parts.writer ? this.streams.get(stream) : undefined;
      if (source === undefined) continue;
      for (const receipt of of) source.receipt(stream, receipt);
    }
  }

  /** This member follows another epoch now: the streams at the leader before are lost. */
  epochBegan(): void {
    let mayHaveTaken = false;
    for (const source of this.sources.values()) {
      source.lose();
      mayHaveTaken ||= source.mayHaveTaken;
    }
    if (mayHaveTaken) this.askBase(this.parts.epoch());
    else this.decide(false);
  }

  /** This process leads. What is under way goes to its own market. */
  lead(local: SourceEntry): void {
    for (const source of this.sources.values()) source.moveTo(local);
    this.local = local;
    this.forgetAll();
  }

  /** Refuses everything new. Resolves when nothing waits for the leader any more, or after some milliseconds. */
  settle(ms: number): Promise<void> {
    this.isStopping = true;
    return new Promise((resolve) => {
      const stop = this.parts.later(ms, resolve);
      this.onSettled = () => {
        stop();
        resolve();
      };
      this.lookSettled();
    });
  }

  /** Nothing more is asked; what is under way is answered with what is known of it. */
  end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    const { transport, epoch, writer } = this.parts;
    if (this.sources.size > 0 && this.local === undefined) {
      void transport.ask(epoch(), encodeLeave(writer));
    }
    for (const source of this.sources.values()) source.end();
    this.forgetAll();
  }

  // ── the leader ──────────────────────────────────────────────────────────────────────────────

  /** Asks a new leader whether it brings numbers with it that the log did not have; then decides. */
  private askBase(epoch: number): void {
    const { parts } = this;
    if (this.isEnded || this.local !== undefined || parts.epoch() !== epoch) return;
    void parts.transport.ask(epoch, encodeAlive(parts.writer)).then((asked) => {
      if (this.isEnded || this.local !== undefined || parts.epoch() !== epoch) return;
      const answer = asked.outcome === 'answered' ? decodePublishAnswer(asked.bytes) : undefined;
      if (answer === undefined || 'code' in answer || answer.kind !== 'alive') {
        parts.later(AGAIN_MS, () => this.askBase(epoch));
        return;
      }
      this.decide(answer.is.base > parts.epochBase());
    });
  }

  private decide(isInherited: boolean): void {
    for (const source of this.sources.values()) source.decide(isInherited);
    this.holders.clear(); // nobody holds anything at a new leader yet
  }

  /** Refuses what waits for too long, and shows the leader that this member is alive. */
  private tick(): void {
    if (this.isTicking || this.isEnded || this.local !== undefined || this.sources.size === 0)
      return;
    this.isTicking = true;
    this.parts.later(AGAIN_MS, () => {
      this.isTicking = false;
      for (const source of this.sources.values()) source.look();
      this.showLife();
      this.tick();
    });
  }

  private showLife(): void {
    const { transport, writer, epoch, nowMs } = this.parts;
    if (this.isEnded || this.local !== undefined || nowMs() - this.aliveMs < ALIVE_MS) return;
    this.aliveMs = nowMs();
    void transport.ask(epoch(), encodeAlive(writer)).then((asked) => {
      const answer = asked.outcome === 'answered' ? decodePublishAnswer(asked.bytes) : undefined;
      if (answer === undefined || 'code' in answer || answer.kind !== 'alive') return;
      for (const source of answer.is.wanted) {
        if (this.sources.has(source)) this.parts.challenge(source);
      }
    });
  }

  // ── the sources ─────────────────────────────────────────────────────────────────────────────

  private open(source: number): RemoteSource {
    const { parts } = this;
    const { writer: member, leaderWaitMs, epoch, endOf, has, nowMs, now } = parts;
    const remote: RemoteSource = new RemoteSource({
      member,
      source,
      leaderWaitMs,
      nextStream: () => {
        this.newestStream += 1;
        this.streams.set(this.newestStream, remote);
        return this.newestStream;
      },
      streamEnded: (stream) => void this.streams.delete(stream),
      epoch,
      endOf,
      has,
      ask: (at, bytes) => parts.transport.ask(at, bytes),
      nowMs,
      now,
      later: parts.later,
      settled: (entry, result) => this.settled(source, remote, entry, result),
    });
    this.sources.set(source, remote);
    return remote;
  }

  private settled(source: number, remote: RemoteSource, entry: Entry, result: SubmitResult): void {
    const { counts } = this;
    if (!('fault' in result)) {
      counts.taken += 1;
      if (entry.kind === 'yield') this.unhold(source, remote);
      for (const { type, symbol } of entry.events) {
        if (type !== 'instrument') this.holders.set(symbol, source);
      }
    } else if (result.fault.code === 'unknown-outcome') counts.unknown += 1;
    else counts.refused += 1;
    entry.done(result);
    if (remote.length > 0) return;
    const waiting = this.drained.get(source);
    this.drained.delete(source);
    for (const resolve of waiting ?? []) resolve();
    this.lookSettled();
  }

  private lookSettled(): void {
    if (!this.isStopping) return;
    for (const { length } of this.sources.values()) if (length > 0) return;
    this.onSettled();
  }

  private unhold(source: number, { fed }: RemoteSource): void {
    for (const symbol of fed) {
      if (this.holders.get(symbol) === source) this.holders.delete(symbol);
    }
  }

  private forget(source: number, remote: RemoteSource): void {
    this.unhold(source, remote);
    this.sources.delete(source);
    remote.close();
  }

  private forgetAll(): void {
    this.sources.clear();
    this.streams.clear();
    this.holders.clear();
    for (const waiting of this.drained.values()) for (const resolve of waiting) resolve();
    this.drained.clear();
  }

  private count(client: string | number, events: number, by: 1 | -1): void {
    this.counts.waiting += by * events;
    const waiting = (this.waitingOf.get(client) ?? 0) + by * Math.max(1, events);
    if (waiting === 0) this.waitingOf.delete(client);
    else this.waitingOf.set(client, waiting);
  }

  /** Why so many more events of a client cannot wait; undefined if they can. */
  private crowded(client: string | number, count: number): Fault | undefined {
    const most = this.parts.waitingEventsMax;
    if (count > most) {
      return fault('frame-too-large', `${count} events at once; at most ${most} are accepted`);
    }
    const isModest = (this.waitingOf.get(client) ?? 0) + count <= most / MODEST_PART;
    const room = isModest ? 2 * most : most;
    const { waiting } = this.counts;
    if (waiting + count <= room) return undefined;
    return fault('overloaded', `${waiting} events wait for the leader; at most ${room} may`);
  }
}
