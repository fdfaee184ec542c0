/** A market with a real journal in a directory, whose turns the test runs; and a copy of it as a crash leaves it. */

import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { ManualClock } from '../../src/base/clock';
import type { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { check, type Config } from '../../src/config/config';
import { openRecorder, type Recorder } from '../../src/app/recorder';
import type { Batch } from '../../src/base/contracts/batch';
import { DEFINITIONS, execute, VENUES, type Answer, type Step } from './script';
import type { VenueInstrument } from '../../src/market/venue-instrument';

/** A checkpoint is written after this many events. */
const NEVER = 100_000_000;

/** How checkpoints are taken when the test steers them: between turns, some pieces at a time. */
export interface Slices {
  readonly random: Prng;
  /** At most this many pieces between two turns. */
  readonly most: number;
}

function settings(directory: string, checkpointEveryEvents: number): Config {
  const config = check({}) as Config;
  return {
    ...config,
    // Snapshots depend on what was written before an interruption, and are tested separately.
    journal: {
      ...config.journal,
      directory,
      durability: 'commit',
      checkpointEveryEvents,
      snapshotEveryMs: 0,
    },
    limits: { ...config.limits, endedOrdersMax: 100 },
  };
}

export class Journaled {
  readonly recorder: Recorder;
  readonly directory: string;
  readonly batches: Batch[];
  /** What was found damaged when it was opened. */
  readonly damage: readonly string[];
  private readonly clock: ManualClock;

  private readonly pending: (() => void)[];
  private readonly slices: Slices | undefined;

  private constructor(
    recorder: Recorder,
    directory: string,
    batches: Batch[],
    clock: ManualClock,
    damage: readonly string[],
    pending: (() => void)[],
    slices: Slices | undefined,
  ) {
    this.pending = pending;
    this.slices = slices;
    this.damage = damage;
    this.recorder = recorder;
    this.directory = directory;
    this.batches = batches;
    this.clock = clock;
  }

  static open(directory: string, checkpointEvery = NEVER, slices?: Slices): Journaled | StartFault {
    const clock = new ManualClock();
    const batches: Batch[] = [];
    const config = settings(directory, checkpointEvery);
    const damage: string[] = [];
    const onDamage = (message: string): void => void damage.push(message);
    const pending: (() => void)[] = [];
    const schedule = (run: () => void): void => void pending.push(run);
    const recorder = openRecorder(config, clock, {
      onDamage,
      ...(slices !== undefined && { slices: { ms: 0, schedule } }),
    });
    if (recorder instanceof StartFault) return recorder;
    recorder.follow((batch) => batches.push(batch));
    return new Journaled(recorder, directory, batches, clock, damage, pending, slices);
  }

  /** A new journal with the instruments of the scripts. */
  static create(directory: string, checkpointEvery = NEVER, slices?: Slices): Journaled {
    const made = Journaled.must(directory, checkpointEvery, slices);
    const { market, sequencer } = made.recorder;
    for (const d of DEFINITIONS) sequencer.act((out) => market.define(d, out));
    sequencer.drain();
    return made;
  }

  /** @throws Error when it does not open */
  static must(directory: string, checkpointEvery = NEVER, slices?: Slices): Journaled {
    const opened = Journaled.open(directory, checkpointEvery, slices);
    if (opened instanceof StartFault) throw new Error(opened.message);
    return opened;
  }

  /** Executes steps, `perTurn` in each turn. @param at time of the first, in steps from the beginning */
  execute(steps: readonly Step[], perTurn: number, at: number): Answer[] {
    const { market, sequencer } = this.recorder;
    const answers: Answer[] = [];
    for (const [i, step] of steps.entries()) {
      // Time is a function of the step, so that a reopened market has the same.
      this.clock.set(new ManualClock().now().plus((at + i + 1) * 1_000_003));
      execute(step, market, sequencer, answers);
      if (i % perTurn !== perTurn - 1) continue;
      sequencer.drain();
      if (this.slices !== undefined) this.capture(this.slices.random.int(0, this.slices.most));
    }
    sequencer.drain();
    return answers;
  }

  /** Captures up to this many pieces of a checkpoint. */
  capture(pieces: number): void {
    for (let i = 0; i < pieces; i++) this.pending.shift()?.();
  }

  /** Checkpoints completed since it was opened. */
  get checkpoints(): number {
    return this.recorder.journal.checkpoints.figures().cycles;
  }

  /** Copies the directory to what a sudden end of the process would leave. */
  crash(to: string): string {
    rmSync(to, { recursive: true, force: true });
    cpSync(this.directory, to, { recursive: true });
    rmSync(join(to, 'lock.sqlite'), { force: true });
    return to;
  }

  /** Everything that a restart must restore. */
  view(): unknown {
    const { market, sequencer } = this.recorder;
    const { desk, statusHead } = market.checkpoint();
    return JSON.parse(
      JSON.stringify({
        lastSeq: sequencer.lastSeq,
        statusHead,
        desk,
        venues: VENUES.map((symbol) => {
          const venue = market.get(symbol) as VenueInstrument;
          return [venue.stateHash(), venue.checkpoint(), venue.levels(10), venue.restingOrders()];
        }),
        markets: [...market.all()].map((i) => [
          i.definition,
          i.tickHead,
          i.bookHead,
          i.currentTick()?.volume ?? 0,
          i.currentTick(),
          i.bookView(),
        ]),
      }),
    ) as unknown;
  }

  /** Releases the files without an orderly end. */
  abandon(): void {
    this.recorder.journal.abandon();
  }
}
