/**
 * Remote leader: the leader of the cluster, as a member that follows it asks it.
 *
 * A command counts as done once this member has it from the batch log. So what it acknowledges survives every leader:
 * a leader that was replaced may answer, but what it answers is not in the log.
 *
 * A submit is asked again under its client order id until its outcome is known, since a leader answers a repeated id
 * with the first outcome. Anything else is asked again only if it certainly was not carried out.
 */

import { fault, type ErrorCode, type Fault } from '../../protocol/codes';
import type { InstrumentAdministration, SourceEntry } from '../base/contracts/core';
import type { CommandDone, LeaderOrders, LeaderPort } from '../base/contracts/leader';
import type { OrderFields, OwnerCancelled } from '../base/contracts/order-entry';
import {
  decodeAnswer,
  encodeRequest,
  refusalOf,
  type WriteAnswer,
  type WriteRequest,
} from '../cluster/write-messages';
import type { Asked, WriteTransport } from '../cluster/writes';
import { PASSING, carryOut } from './leader-writes';
import { NO_LEADER } from './no-leader';
import { OWN_NAMES, ownNameFault } from './order-stage';
import type { Recorder } from './recorder';

/** The most commands that may be under way. */
const UNDER_WAY_MAX = 2_000;
const AGAIN_MS = 50;
/** A submit that may have been carried out is asked again for so long after it came. */
const OUTCOME_MS = 10_000;
/** How long this member waits for what the leader has answered. */
const ARRIVAL_MS = 10_000;

/** A leader that says this does nothing more; another follows. */
const LEAVING: ReadonlySet<ErrorCode> = new Set(['no-leader', 'shutting-down']);

export interface RemoteLeaderParts {
  readonly transport: WriteTransport;
  /** The epoch that this member follows. */
  readonly epoch: () => number;
  /** See `Replica.has`. */
  readonly has: (epoch: number, seq: number) => Promise<boolean>;
  readonly leaderWaitMs: number;
  /** Names this process among all members, ever: letters and digits, at most 20. */
  readonly writer: string;
  readonly nowMs: () => number;
  /** Calls back after some milliseconds, unless what it returns is called before. */
  readonly later: (ms: number, act: () => void) => () => void;
}

type Done = Exclude<WriteAnswer, { kind: 'refused' }>;
type DoneOf<K> = Extract<Done, { kind: K }>;

export class RemoteLeader implements LeaderPort {
  readonly entry: SourceEntry;
  readonly orders: LeaderOrders;
  readonly administration: InstrumentAdministration;
  private readonly parts: RemoteLeaderParts;
  /** Once this process leads. */
  private local: Recorder | undefined;
  private isEnded = false;
  private underWay = 0;
  /** Client order ids that were assigned. */
  private names = 0;
  /** What waits, and is to look again. */
  private readonly sleepers = new Set<() => void>();

  /** @param entry where sources enter: `RemoteSources` */
  constructor(parts: RemoteLeaderParts, entry: SourceEntry = NO_LEADER.entry) {
    this.parts = parts;
    this.entry = entry;
    this.orders = {
      submit: (owner, fields) => this.submit(owner, fields),
      cancel: (owner, target) => this.command({ kind: 'cancel', is: { owner, ...target } }),
      amend: (owner, fields) => this.command({ kind: 'amend', is: { owner, ...fields } }),
      setState: (owner, symbol, state) =>
        this.command({ kind: 'setState', is: { owner, symbol, state } }),
      cancelAll: (owner) => this.cancelAll(owner),
    };
    this.administration = {
      define: async (fields) => {
        const json = JSON.stringify(fields) ?? 'null';
        const done = await this.ask<'defined'>({ kind: 'define', is: { json } });
        return 'code' in done ? done : done.is.symbol;
      },
      renumber: (symbol) => this.change({ kind: 'renumber', is: { symbol } }),
      delete: (symbol) => this.change({ kind: 'delete', is: { symbol } }),
    };
  }

  /** This member follows another epoch now. */
  epochBegan(): void {
    this.wake();
  }

  /** This process leads: what is under way goes to its own recorder. */
  lead(recorder: Recorder): void {
    this.local = recorder;
    this.wake();
  }

  /** Nothing more is asked; what is under way is answered with what is known of it. */
  end(): void {
    this.isEnded = true;
    this.wake();
  }

  private submit(owner: string, fields: OrderFields): Promise<CommandDone | Fault> {
    const wrong = ownNameFault(fields.clientOrderId);
    if (wrong !== undefined) return Promise.resolve(wrong);
    const isAssigned = fields.clientOrderId === '';
    const clientOrderId = isAssigned
      ? `${OWN_NAMES}${this.parts.writer}-${++this.names}`
      : fields.clientOrderId;
    return this.command({ kind: 'submit', is: { ...fields, owner, isAssigned, clientOrderId } });
  }

  private async command(request: WriteRequest): Promise<CommandDone | Fault> {
    const done = await this.ask<'done'>(request);
    return 'code' in done ? done : { seq: done.is.seq, orderId: done.is.orderId };
  }

  private async cancelAll(owner: string): Promise<OwnerCancelled | Fault> {
    const done = await this.ask<'cancelled'>({ kind: 'cancelAll', is: { owner } });
    if ('code' in done) return done;
    const { cancelled, left, seq } = done.is;
    return { cancelled, left, seq };
  }

  private async change(request: WriteRequest): Promise<number | Fault> {
    const done = await this.ask<'changed'>(request);
    return 'code' in done ? done : done.is.seq;
  }

  /** The answer of the leader, which is of kind `K`. */
  private async ask<K extends Done['kind']>(request: WriteRequest): Promise<DoneOf<K> | Fault> {
    if (this.underWay >= UNDER_WAY_MAX) {
      const message = `${this.underWay} commands wait for the leader already; at most ${UNDER_WAY_MAX} may`;
      return fault('overloaded', message);
    }
    const bytes = encodeRequest(request);
    if ('code' in bytes) return bytes;
    this.underWay += 1;
    const done = await this.tries(request, bytes);
    this.underWay -= 1;
    return done as DoneOf<K> | Fault;
  }

  private async tries(request: WriteRequest, bytes: Uint8Array): Promise<Done | Fault> {
    const { leaderWaitMs, nowMs } = this.parts;
    const beganMs = nowMs();
    /** Whether a try may have been carried out. */
    let isOpen = false;
    for (;;) {
      const tried = await this.attempt(request, bytes);
      if (tried.outcome === 'done') return tried.done;
      if (tried.outcome === 'refused') {
        const { code } = tried.fault;
        if (!(isOpen ? PASSING : LEAVING).has(code)) return tried.fault;
      }
      if (tried.outcome === 'unknown') {
        if (request.kind !== 'submit') return unknownOutcome(request, tried.reason);
        isOpen = true;
      }
      const limitMs = isOpen ? Math.max(OUTCOME_MS, leaderWaitMs) : leaderWaitMs;
      if (this.isEnded || nowMs() - beganMs >= limitMs) {
        return isOpen ? unknownOutcome(request, 'no leader has answered') : this.noLeader();
      }
      await this.pause();
    }
  }

  private noLeader(): Fault {
    if (this.isEnded) return fault('shutting-down', 'the server is being stopped');
    return fault('no-leader', `no leader was there for ${this.parts.leaderWaitMs} ms`);
  }

  private async attempt(request: WriteRequest, bytes: Uint8Array): Promise<Tried> {
    if (this.isEnded) return { outcome: 'nobody' };
    const { local, parts } = this;
    let answer: WriteAnswer;
    if (local === undefined) {
      const asked = await this.untilEpoch(parts.epoch(), bytes);
      if (asked.outcome !== 'answered') return asked;
      const read = decodeAnswer(asked.bytes);
      if ('code' in read || !isAnswerTo(request, read)) {
        return { outcome: 'unknown', reason: 'the answer cannot be read' };
      }
      answer = read;
    } else answer = await carryOut(request, local);
    if (answer.kind === 'refused') return { outcome: 'refused', fault: refusalOf(answer.is) };
    const { epoch, seq } = answer.is;
    const arrived = seq === null ? 'yes' : await this.arrival(epoch, seq);
    if (arrived === 'yes') return { outcome: 'done', done: answer };
    if (arrived === 'never') return { outcome: 'nobody' };
    return {
      outcome: 'unknown',
      reason: 'the leader has carried it out; the log has not yet come',
    };
  }

  /** Asks the leader of an epoch, until this member follows another. */
  private untilEpoch(epoch: number, bytes: Uint8Array): Promise<Asked> {
    return new Promise((resolve) => {
      const end = (asked: Asked): void => {
        this.sleepers.delete(look);
        resolve(asked);
      };
      const look = (): void => {
        const { local, isEnded, parts } = this;
        if (!isEnded && local === undefined && parts.epoch() === epoch) return;
        end({ outcome: 'unknown', reason: 'the leader has gone before it answered' });
      };
      this.sleepers.add(look);
      void this.parts.transport.ask(epoch, bytes).then(end);
    });
  }

  /** Whether this member gets a command from the log: `late`: that cannot be said in time. */
  private arrival(epoch: number, seq: number): Promise<'yes' | 'never' | 'late'> {
    return new Promise((resolve) => {
      const end = (what: 'yes' | 'never' | 'late'): void => {
        this.sleepers.delete(look);
        stop();
        resolve(what);
      };
      const look = (): void => {
        if (this.isEnded) end('late');
      };
      this.sleepers.add(look);
      const stop = this.parts.later(ARRIVAL_MS, () => end('late'));
      void this.parts.has(epoch, seq).then((has) => {
        if (has) end('yes');
        else end(this.isEnded ? 'late' : 'never');
      });
    });
  }

  /** Some time, or until there is another leader. */
  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.sleepers.delete(end);
        stop();
        resolve();
      };
      this.sleepers.add(end);
      const stop = this.parts.later(AGAIN_MS, end);
    });
  }

  private wake(): void {
    for (const look of this.sleepers) look();
  }
}

type Tried =
  | { readonly outcome: 'done'; readonly done: Done }
  | { readonly outcome: 'refused'; readonly fault: Fault }
  /** It certainly was not carried out. */
  | { readonly outcome: 'nobody' }
  | { readonly outcome: 'unknown'; readonly reason: string };

const ANSWER_KINDS: Readonly<Record<WriteRequest['kind'], Done['kind']>> = {
  submit: 'done',
  cancel: 'done',
  amend: 'done',
  setState: 'done',
  cancelAll: 'cancelled',
  define: 'defined',
  renumber: 'changed',
  delete: 'changed',
};

function isAnswerTo({ kind }: WriteRequest, answer: WriteAnswer): boolean {
  return answer.kind === 'refused' || answer.kind === ANSWER_KINDS[kind];
}

function unknownOutcome({ kind, is }: WriteRequest, reason: string): Fault {
  const what = kind === 'submit' ? `the order ${is.clientOrderId}` : `the request ${kind}`;
  return fault('unknown-outcome', `${what} may have been carried out: ${reason}`);
}
