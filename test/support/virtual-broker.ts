/**
 * Virtual broker: the batch log of a shard in virtual time, with everything that goes wrong in a real one: messages
 * are delayed, lost and repeated, answers are lost, elections interrupt appends that are under way, replicas lag,
 * the oldest frames are trimmed, members are cut off. A seed decides.
 *
 * Like NATS JetStream it checks the expected last sequence against what its leader has taken but not yet committed,
 * and sends followers only what is committed.
 */

import type { Prng } from '../../src/base/prng';
import {
  ok,
  unavailable,
  type Answer,
  type AppendResult,
  type CheckpointStore,
  type FollowHandlers,
  type LogBroker,
  type LogEnd,
  type LogInfo,
  type StoredCheckpoint,
  type StoredFrame,
} from '../../src/cluster/broker';
import type { VirtualTime } from './virtual-time';

/** How often what goes wrong; chances from 0 to 1. */
export interface BrokerFaults {
  /** The longest that a message travels. */
  delayMsMax: number;
  lostRequest: number;
  lostAnswer: number;
  /** A request that arrives a second time, up to some seconds later. */
  repeatedRequest: number;
  lostFollow: number;
  repeatedFollow: number;
  /** Frames reach a follower out of order. */
  isUnordered: boolean;
  /** A read is answered by a replica that is behind. */
  laggingRead: number;
  /** A read is answered by a replica that has lost a frame, or in which it is damaged; the leader has it. */
  badRead: number;
  /** How long it keeps the ids of frames. */
  duplicateWindowMs: number;
  /** Whether it looks for a repeated id before it looks at the expected sequence. */
  isIdFirst: boolean;
}

export const NO_FAULTS: Readonly<BrokerFaults> = {
  delayMsMax: 1,
  lostRequest: 0,
  lostAnswer: 0,
  repeatedRequest: 0,
  lostFollow: 0,
  repeatedFollow: 0,
  isUnordered: false,
  laggingRead: 0,
  badRead: 0,
  duplicateWindowMs: 120_000,
  isIdFirst: false,
};

const REQUEST_MS = 2_000;
const KEPT_CHECKPOINTS = 3;
const FRAME_BYTES_MAX = 4_096;

interface Proposal {
  readonly frame: StoredFrame;
  readonly decided: (isStored: boolean) => void;
}

/** The broker's side: what is stored, whoever asks. */
export class VirtualLog {
  readonly time: VirtualTime;
  readonly random: Prng;
  readonly faults: BrokerFaults;
  readonly members = new Set<VirtualBroker>();
  /** Committed, from `first` on. */
  stored: StoredFrame[] = [];
  first = 1;
  checkpoints: { position: StoredCheckpoint; content: Uint8Array }[] = [];
  isFull = false;
  private proposals: Proposal[] = [];
  private readonly ids = new Map<string, { sequence: number; atMs: number }>();
  private electsUntilMs = 0;

  constructor(time: VirtualTime, random: Prng, faults: Partial<BrokerFaults> = {}) {
    this.time = time;
    this.random = random;
    this.faults = { ...NO_FAULTS, ...faults };
  }

  get last(): number {
    return this.first + this.stored.length - 1;
  }

  get isElecting(): boolean {
    return this.time.nowMs < this.electsUntilMs;
  }

  connect(): VirtualBroker {
    const member = new VirtualBroker(this);
    this.members.add(member);
    return member;
  }

  frameAt(sequence: number): StoredFrame | null {
    return this.stored[sequence - this.first] ?? null;
  }

  /** The leader is gone for so long. What was under way survives, from the oldest on, or is lost. */
  elect(ms: number): void {
    this.electsUntilMs = this.time.nowMs + ms;
    let survives = this.random.int(0, this.proposals.length);
    for (const proposal of this.proposals.splice(0)) {
      if (survives-- > 0) this.commit(proposal.frame);
      proposal.decided(false); // its answer is lost in any case
    }
  }

  trim(frames: number): void {
    const dropped = this.stored.splice(0, Math.min(frames, this.stored.length)).length;
    this.first += dropped;
  }

  /** An append arrives at the leader. @param answer is not called if nobody answers */
  append(
    frame: Omit<StoredFrame, 'sequence'>,
    expected: number,
    answer: (result: AppendResult) => void,
  ): void {
    const { random } = this;
    if (this.isElecting) {
      if (random.chance(0.5)) answer(unavailable('no leader'));
      return;
    }
    const known = this.ids.get(frame.id);
    const isKnown =
      known !== undefined && this.time.nowMs - known.atMs < this.faults.duplicateWindowMs;
    if (isKnown && this.faults.isIdFirst) {
      return answer({ outcome: 'stored', sequence: known.sequence, isDuplicate: true });
    }
    if (
      this.proposals.some((proposal) => proposal.frame.id === frame.id) &&
      this.faults.isIdFirst
    ) {
      return answer(unavailable('the id is in process'));
    }
    const taken = this.last + this.proposals.length;
    if (expected !== taken) return answer(this.whoseIsIt(frame.id, expected));
    if (this.isFull) return answer({ outcome: 'refused', reason: 'full', message: 'no room' });
    const sequence = taken + 1;
    this.proposals.push({
      frame: { ...frame, sequence },
      decided: (isStored) => {
        if (isStored) answer({ outcome: 'stored', sequence, isDuplicate: false });
      },
    });
    this.time.after(random.unit() * this.faults.delayMsMax, () => this.commitUpTo(sequence));
  }

  private commitUpTo(sequence: number): void {
    while (this.proposals.length > 0 && this.proposals[0]!.frame.sequence <= sequence) {
      const { frame, decided } = this.proposals.shift()!;
      this.commit(frame);
      decided(true);
    }
  }

  private commit(frame: StoredFrame): void {
    if (frame.sequence !== this.last + 1) throw new Error('the virtual broker lost its order');
    this.stored.push(frame);
    this.ids.set(frame.id, { sequence: frame.sequence, atMs: this.time.nowMs });
    for (const member of this.members) member.publish(frame);
  }

  private whoseIsIt(id: string, expected: number): AppendResult {
    if (this.last < expected)
      return { outcome: 'refused', reason: 'wrong-stream', message: 'shorter' };
    if (this.last === expected) return unavailable('not yet known');
    if (this.frameAt(expected + 1)?.id === id) {
      return { outcome: 'stored', sequence: expected + 1, isDuplicate: true };
    }
    return { outcome: 'deposed', last: this.last };
  }
}

/** A member's connection to it. */
export class VirtualBroker implements LogBroker {
  readonly frameBytesMax = FRAME_BYTES_MAX;
  readonly checkpoints: CheckpointStore;
  private readonly log: VirtualLog;
  private readonly followers = new Set<FollowHandlers>();
  private readonly pending = new Set<(reason: string) => void>();
  private isCut = false;
  private isClosed = false;

  constructor(log: VirtualLog) {
    this.log = log;
    this.checkpoints = {
      put: ({ epoch, seq }, given) => {
        const content = given.slice();
        return this.ask((answer) => {
          const position = { name: `${epoch}.${seq}`, epoch, seq, bytes: content.length };
          const others = log.checkpoints.filter(({ position: { name } }) => name !== position.name);
          log.checkpoints = [...others, { position, content }]
            .sort((a, b) => b.position.epoch - a.position.epoch || b.position.seq - a.position.seq)
            .slice(0, KEPT_CHECKPOINTS);
          answer(ok(position));
        });
      },
      list: () => this.ask((answer) => answer(ok(log.checkpoints.map(({ position }) => position)))),
      get: (name) =>
        this.ask((answer) => {
          const found = log.checkpoints.find(({ position }) => position.name === name);
          answer(ok(found?.content.slice() ?? null));
        }),
    };
  }

  /** Its connection breaks: what is under way gets no answer, and no frame arrives. */
  cut(): void {
    this.isCut = true;
    this.lose('the connection was lost');
  }

  heal(): void {
    if (!this.isCut || this.isClosed) return;
    this.isCut = false;
    for (const follower of this.followers) follower.reconnected();
  }

  append(bytes: Uint8Array, id: string, expectedLast: number): Promise<AppendResult> {
    const { log } = this;
    if (bytes.length > this.frameBytesMax) {
      return Promise.resolve({ outcome: 'refused', reason: 'too-large', message: 'too large' });
    }
    const frame = { id, bytes: bytes.slice() };
    const { repeatedRequest } = log.faults;
    if (log.random.chance(repeatedRequest)) {
      const laterMs = log.random.unit() * 5_000;
      log.time.after(laterMs, () => log.append(frame, expectedLast, () => {}));
    }
    return this.ask<AppendResult>((answer) => log.append(frame, expectedLast, answer));
  }

  last(): Promise<Answer<LogEnd>> {
    const { log } = this;
    return this.ask((answer) => {
      if (log.isElecting) return answer(unavailable('no leader'));
      answer(ok({ sequence: log.last, frame: copyOf(log.frameAt(log.last)) }));
    });
  }

  read(from: number, framesMax: number, bytesMax: number): Promise<Answer<StoredFrame[]>> {
    const { log } = this;
    return this.ask((answer) => {
      const isBehind = log.random.chance(log.faults.laggingRead);
      const upTo = log.last - (isBehind ? log.random.int(1, 6) : 0);
      const frames: StoredFrame[] = [];
      let bytes = 0;
      for (let at = Math.max(from, log.first); at <= upTo && frames.length < framesMax; at++) {
        const frame = copyOf(log.frameAt(at))!;
        bytes += frame.bytes.length;
        if (frames.length > 0 && bytes > bytesMax) break;
        frames.push(frame);
      }
      if (frames.length > 0 && log.random.chance(log.faults.badRead)) this.spoil(frames);
      answer(ok(frames));
    });
  }

  get(sequence: number): Promise<Answer<StoredFrame | null>> {
    const { log } = this;
    return this.ask((answer) => {
      if (log.isElecting) return answer(unavailable('no leader'));
      answer(ok(copyOf(log.frameAt(sequence))));
    });
  }

  follow(handlers: FollowHandlers): () => void {
    this.followers.add(handlers);
    return () => void this.followers.delete(handlers);
  }

  info(): Promise<Answer<LogInfo>> {
    const { log } = this;
    return this.ask((answer) =>
      answer(
        ok({
          firstSequence: log.first,
          lastSequence: log.last,
          frames: log.stored.length,
          bytes: log.stored.reduce((sum, { bytes }) => sum + bytes.length, 0),
          deleted: 0,
          bytesMax: Infinity,
          ageMaxMs: 0,
          replicasWanted: 1,
          replicas: [],
        }),
      ),
    );
  }

  close(): Promise<void> {
    this.isClosed = true;
    this.cut();
    this.followers.clear();
    this.log.members.delete(this);
    return Promise.resolve();
  }

  /** A frame was committed. */
  publish(frame: StoredFrame): void {
    const { random, faults, time } = this.log;
    const times = random.chance(faults.lostFollow)
      ? 0
      : random.chance(faults.repeatedFollow)
        ? 2
        : 1;
    for (let i = 0; i < times; i++) {
      const delayMs = faults.isUnordered
        ? random.unit() * faults.delayMsMax
        : faults.delayMsMax / 2;
      time.after(delayMs, () => {
        if (this.isCut) return;
        for (const follower of this.followers) follower.frame(copyOf(frame)!);
      });
    }
  }

  private spoil(frames: StoredFrame[]): void {
    const { random } = this.log;
    const at = random.int(0, frames.length - 1);
    const { bytes } = frames[at]!;
    if (random.chance(0.5)) bytes[random.int(0, bytes.length - 1)]! ^= 1 << random.int(0, 7);
    else frames.splice(at, 1);
  }

  /** A question travels, is carried out, and its answer travels back; or not. */
  private ask<T extends AppendResult | Answer<unknown>>(
    carryOut: (answer: (value: T) => void) => void,
  ): Promise<T> {
    const { time, random, faults } = this.log;
    if (this.isCut) return Promise.resolve(unavailable('not connected') as T);
    return new Promise((resolve) => {
      const lose = (reason: string): void => {
        if (this.pending.delete(lose)) resolve(unavailable(reason) as T);
      };
      this.pending.add(lose);
      time.after(REQUEST_MS, () => lose('no answer in time'));
      const travelMs = (): number => random.unit() * faults.delayMsMax;
      if (random.chance(faults.lostRequest)) return;
      time.after(travelMs(), () =>
        carryOut((value) => {
          if (random.chance(faults.lostAnswer)) return;
          time.after(travelMs(), () => {
            if (this.pending.delete(lose)) resolve(value);
          });
        }),
      );
    });
  }

  private lose(reason: string): void {
    for (const end of this.pending) end(reason);
  }
}

function copyOf(frame: StoredFrame | null): StoredFrame | null {
  return frame === null ? null : { ...frame, bytes: frame.bytes.slice() };
}
