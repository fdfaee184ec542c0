/** Fair queue: bounded; nobody waits while there is room; each job starts within the promised number of turns. */

import { expect, setDefaultTimeout, test } from 'bun:test';
import fc from 'fast-check';

import { Prng } from '../../src/base/prng';
import { FairQueue, type Read } from '../../src/broadcast/playback/fair-queue';

setDefaultTimeout(60_000);

const CLIENTS = ['a', 'b', 'c', 'd'];

interface Asked extends Read {
  hasBegun: boolean;
  /** How many turns its client may take before it, its own included. */
  within: number;
  ahead: number | null;
}

/** Jobs at work; the promises are checked at each step. */
class Model {
  readonly limits: { playbacksMax: number; playbacksPerClientMax: number };
  readonly turns: FairQueue;
  readonly waiting: Asked[] = [];
  readonly held: Asked[] = [];
  /** For each client, whether its last job was the oldest that waited, and whether it was the shortest. */
  private readonly last = new Map<string, readonly [boolean, boolean]>();
  /** For each client that could begin, which other clients began since its own last job. */
  private readonly passes = new Map<string, string[]>();

  constructor(playbacksMax: number, playbacksPerClientMax: number) {
    this.limits = { playbacksMax, playbacksPerClientMax };
    this.turns = new FairQueue(this.limits);
  }

  ask(client: string, distance: number): void {
    const before = this.of(client).length;
    const asked: Asked = {
      client,
      distance,
      hasBegun: false,
      within: 2 * before + 2,
      ahead: null,
      begin: () => this.begun(asked),
      waits: (ahead) => (asked.ahead = ahead),
    };
    if (this.turns.ask(asked)) return;
    expect(asked.ahead).toBe(before);
    this.waiting.push(asked);
    if (before === 0) this.passes.delete(client);
  }

  end(index: number): void {
    const [ended] = this.held.splice(index, 1);
    this.turns.end(ended!.client);
  }

  withdraw(index: number): void {
    const [gone] = this.waiting.splice(index, 1);
    this.turns.withdraw(gone!);
    if (this.of(gone!.client).length === 0) this.last.delete(gone!.client);
  }

  check(): void {
    const { playbacksMax, playbacksPerClientMax } = this.limits;
    expect(this.turns.counts).toEqual({ open: this.held.length, waiting: this.waiting.length });
    expect(this.held.length).toBeLessThanOrEqual(playbacksMax);
    for (const client of CLIENTS) {
      const held = this.held.filter((turn) => turn.client === client).length;
      expect(held).toBeLessThanOrEqual(playbacksPerClientMax);
      const isFull = this.held.length === playbacksMax;
      if (this.of(client).length > 0) expect(isFull || held === playbacksPerClientMax).toBe(true);
    }
    this.turns.notifyWaiting();
    for (const client of CLIENTS) {
      expect(this.of(client).map(({ ahead }) => ahead)).toEqual(this.of(client).map((_, i) => i));
    }
  }

  private of(client: string): Asked[] {
    return this.waiting.filter((turn) => turn.client === client);
  }

  private begun(turn: Asked): void {
    turn.hasBegun = true;
    this.held.push(turn);
    const index = this.waiting.indexOf(turn);
    if (index < 0) return; // it began at once
    const { client } = turn;
    const all = this.of(client);
    const least = Math.min(...all.map(({ distance }) => distance));
    // Of two consecutive jobs of a client one is the oldest, and one the shortest.
    const [wasOldest, wasShortest] = this.last.get(client) ?? [true, true];
    const [isOldest, isShortest] = [turn === all[0], turn.distance === least];
    expect([isOldest || wasOldest, isShortest || wasShortest]).toEqual([true, true]);
    this.waiting.splice(index, 1);
    if (all.length === 1) this.last.delete(client);
    else this.last.set(client, [isOldest, isShortest]);
    for (const other of this.of(client)) other.within -= 1;
    expect(turn.within).toBeGreaterThan(0);
    this.passed(client);
  }

  /** No client begins twice while another client that could begin waits for its first. */
  private passed(client: string): void {
    this.passes.delete(client);
    for (const other of CLIENTS) {
      const held = this.held.filter((turn) => turn.client === other).length;
      const isAble = this.of(other).length > 0 && held < this.limits.playbacksPerClientMax;
      if (other === client || !isAble) {
        this.passes.delete(other);
        continue;
      }
      const passes = this.passes.get(other) ?? [];
      expect(passes).not.toContain(client);
      this.passes.set(other, [...passes, client]);
    }
  }
}

test('it is bounded, nobody waits while there is room, and each job starts within the promise', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e6 }), (seed) => {
      const prng = new Prng(seed);
      const max = prng.int(1, 6);
      const model = new Model(max, prng.int(1, max));
      for (let i = 0; i < 200; i++) {
        const move = prng.int(0, 9);
        if (move < 5) model.ask(CLIENTS[prng.int(0, 3)]!, prng.int(0, 50));
        else if (move < 9 && model.held.length > 0) model.end(prng.int(0, model.held.length - 1));
        else if (model.waiting.length > 0) model.withdraw(prng.int(0, model.waiting.length - 1));
        model.check();
      }
      while (model.held.length > 0) model.end(prng.int(0, model.held.length - 1));
      expect(model.turns.counts).toEqual({ open: 0, waiting: 0 });
    }),
    { numRuns: 300 },
  );
});

test('in a crowd of jobs of one client, a short late job is second, and the last job still starts', () => {
  const turns = new FairQueue({ playbacksMax: 4, playbacksPerClientMax: 1 });
  const begun: number[] = [];
  const ask = (client: string, id: number, distance: number): boolean =>
    turns.ask({ client, distance, begin: () => void begun.push(id), waits: () => {} });
  for (let id = 0; id < 2_000; id++) ask('crowd', id, 100_000 + id);
  ask('crowd', 2_000, 10);
  for (let i = 0; i < 2; i++) turns.end('crowd');
  expect(begun).toEqual([0, 1, 2_000]);
  expect(ask('other', 3_000, 1e9)).toBe(true);
  // Short jobs arrive for ever; every other turn still goes to the oldest job that waits.
  for (let id = 4_000; begun.length < 1_000; id++) {
    ask('crowd', id, 10);
    turns.end('crowd');
  }
  expect(begun.filter((id) => id < 2_000).length).toBeGreaterThan(490);
});
