/** A sequencer over a market that echoes, with a loop whose turns the test runs. */

import { fault } from '../../protocol/codes';
import type { SourceEvent } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import type { Batch } from '../../src/base/contracts/batch';
import { Sequencer, type SequencerOptions } from '../../src/sequencer/sequencer';
import { at, trade } from '../support/market-events';
import type { SubmitResult } from '../../src/base/contracts/submission';
import type {
  Admission,
  SequencedMarket,
  SequencerOutput,
  Submitter,
} from '../../src/sequencer/contract';

export const taken = (seq: number): SubmitResult => ({ seq, intake: { repeated: 0, waiting: 0 } });

/** Quantity of an event that this market refuses, with its whole submission. */
export const BAD = 666;

/** A market that makes as many events of each event as its quantity says. */
class EchoMarket implements SequencedMarket {
  readonly applied: number[] = [];
  /** Submissions in progress that reserve what was checked. */
  held = 0;
  takesOthers = false;
  sealed = 0;

  admit(_from: Submitter, events: readonly SourceEvent[], holds: boolean): Admission {
    if (holds) this.held += 1;
    return {
      check: (to) => {
        const index = events
          .slice(0, to)
          .findIndex((e) => e.type === 'trade' && e.quantity === BAD);
        return index < 0 ? undefined : { index, fault: fault('out-of-range', 'bad') };
      },
      close: () => {
        if (holds) this.held -= 1;
      },
    };
  }

  apply(source: number, event: SourceEvent, out: SequencerOutput): 'taken' {
    if (event.type !== 'trade' && this.takesOthers) this.applied.push(0);
    if (event.type !== 'trade' && this.takesOthers) return 'taken';
    if (event.type !== 'trade') throw new Error('these tests use trades');
    this.applied.push(event.tradeId);
    for (let i = 0; i < event.quantity; i++) this.push(event.tradeId, source, out);
    return 'taken';
  }

  push(tradeId: number, source: number, out: SequencerOutput): void {
    const { receiveTime } = out;
    out.push(trade({ seq: out.nextSeq(), tradeId, price: source, receiveTime }));
  }

  seal(): void {
    this.sealed += 1;
  }
}

export class Scene {
  readonly market = new EchoMarket();
  readonly clock = new ManualClock(at(0));
  readonly batches: Batch[] = [];
  readonly answers: { id: number; result: SubmitResult }[] = [];
  readonly sequencer: Sequencer;
  /** Callbacks that wait for durability. */
  readonly undone: (() => void)[] = [];
  durableAtOnce = true;
  /** The time that passing on one event takes, in ns. */
  handOnNs = 0;
  private readonly turns: (() => void)[] = [];

  constructor(options: Partial<SequencerOptions> = {}) {
    this.sequencer = new Sequencer(
      {
        epoch: 5,
        lastSeq: 0,
        waitingEventsMax: 1000,
        batchEventsMax: 100,
        schedule: (turn) => void this.turns.push(turn),
        ...options,
      },
      this.market,
      this.clock,
      (batch, onDurable) => {
        if (batch !== null) this.batches.push(batch);
        this.clock.advance(this.handOnNs * (batch?.events.length ?? 0));
        if (this.durableAtOnce) onDurable();
        else this.undone.push(onDurable);
      },
    );
  }

  get turnsAsked(): number {
    return this.turns.length;
  }

  submit(id: number, quantities: readonly number[], source = 1, owner = ''): void {
    const events = quantities.map((quantity) => trade({ quantity, tradeId: id, timing: null }));
    this.sequencer.submit(source, events, (result) => this.answers.push({ id, result }), { owner });
  }

  turn(): void {
    this.turns.shift()?.();
  }

  turnAll(): void {
    while (this.turns.length > 0) this.turn();
  }

  /** The ids of submissions in a batch, in order, each once. */
  idsOf(batch: Batch): number[] {
    return [...new Set(batch.events.map((e) => (e.type === 'trade' ? e.tradeId : -1)))];
  }
}
