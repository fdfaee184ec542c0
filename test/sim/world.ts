/**
 * World: one run of the simulation. A server, its market, its journal, and readers that stall, read slowly,
 * disconnect, come back, change what they want and replay the past. At the end all read everything, and it is
 * checked that each has everything and that nothing of them is left.
 */

import type { Execution } from '../../protocol/messages';
import { ManualClock } from '../../src/base/clock';
import { Prng } from '../../src/base/prng';
import type { PastEpoch } from '../../src/base/contracts/past';
import { countersOf } from '../support/counters';
import { Disk } from './disk';
import { MarketFlow } from './market-flow';
import { Moves } from './moves';
import type { Faults, Outcome } from './outcome';
import type { OwnJournal } from './own-journal';
import { probe, probeEmpty } from './probe';
import { Reader } from './reader';
import { SimServer, type ServerOptions } from './server';
import { SteeredSource } from './source';
import { drawTemper, type Temper } from './temper';
import { hold, Truth } from './truth';

/** One reader, how it reads at present, and when it comes back. */
interface Seat {
  readonly reader: Reader;
  readonly trades: boolean;
  /** The chance that it reads in a step, and how many frames. */
  pace: { readonly often: number; readonly frames: number };
  hasComeBack: boolean;
}

const PACES = [
  { often: 0.95, frames: Infinity },
  { often: 0.4, frames: 3 },
  { often: 0.15, frames: 1 },
  { often: 0, frames: 0 },
] as const;

/** Ends the turn of the event loop, and checks what was promised in it. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class World {
  private readonly random: Prng;
  private readonly clock = new ManualClock();
  private readonly truth = new Truth();
  private readonly temper: Temper;
  private readonly flow: MarketFlow;
  private readonly source: SteeredSource;
  private readonly journal: OwnJournal | null;
  private readonly moves: Moves;
  private readonly seats: Seat[] = [];
  private readonly symbols: string[] = [];
  private readonly outcome: Outcome = {
    messages: 0,
    conflated: 0,
    gaps: 0,
    missed: 0,
    crossed: 0,
    replayed: 0,
    resets: {},
    lagged: 0,
    ended: 0,
    restarts: 0,
    backs: 0,
    crossings: 0,
    executions: 0,
    fromJournal: 0,
  };
  private server: SimServer;
  private readonly disk: Disk;
  /** A generator for faults of the disk alone, so that the rest of a run draws the same numbers as without them. */
  private readonly diskRandom: Prng;
  private readonly faults: Faults;
  private readonly epochs: { current: number; past: ReadonlyMap<number, PastEpoch> };
  /** The first seq of the present epoch. */
  private firstSeq = 1;

  constructor(seed: number, journal: OwnJournal | null = null, faults: Partial<Faults> = {}) {
    this.random = new Prng(seed);
    this.journal = journal;
    this.faults = { hasFaultyDisk: false, numbering: 'random', sendsNewest: true, ...faults };
    this.diskRandom = new Prng(seed + 0x5eed);
    this.disk = new Disk(this.truth, this.diskRandom, this.faults.numbering);
    this.epochs = { current: 0, past: new Map() };
    this.begin();
    this.temper = drawTemper(this.random, journal !== null);
    this.flow = new MarketFlow(this.random, this.clock);
    const definitionOf = (symbol: string) =>
      this.server.broadcaster.encoders.scalesOf(symbol) as never;
    this.source = new SteeredSource(this.truth, this.random, this.temper.source, definitionOf);
    this.server = this.createServer();
    this.moves = new Moves(
      this.random,
      this.truth,
      this.symbols,
      this.epochs,
      this.faults.sendsNewest,
    );
    for (let i = 0; i < 3; i++) this.server.take([this.flow.define()!], this.flow.seq);
    for (let i = 0; i < 10; i++) this.publish(6);
    while (this.server.hasWaiting) this.push();
    for (let i = this.temper.readers; i > 0; i--) this.seat(i);
  }

  async run(): Promise<Outcome> {
    for (let i = this.random.int(40, this.temper.stepsMax); i > 0; i--) await this.step();
    await this.settle();
    await this.leave();
    return this.outcome;
  }

  private async step(): Promise<void> {
    const { random, server } = this;
    if (random.chance(0.8)) this.publish(random.chance(this.temper.bursts) ? 80 : 6);
    if (random.chance(0.5)) server.advance(random.chance(0.03) ? 1_200 : random.int(1, 60));
    while (this.server.hasWaiting && random.chance(0.85)) this.push();
    if (random.chance(0.5)) server.broadcaster.look();
    if (random.chance(0.05)) server.broadcaster.heartbeats.sendAll();
    this.source.step();
    for (const wire of server.wires) if (random.chance(0.8)) wire.deliver(random.int(1, 4));
    this.sweep();
    for (const seat of this.seats) this.stepOf(seat);
    if (this.faults.hasFaultyDisk) this.stepOfDisk();
    else if (random.chance(this.temper.restarts)) this.restart();
    if (random.chance(this.temper.cuts)) this.cutAll();
    if (random.chance(0.5)) await turn();
    if (random.chance(0.15)) probe(this.server);
  }

  private stepOf(seat: Seat): void {
    const { random } = this;
    const { reader } = seat;
    if (random.chance(0.03)) seat.pace = PACES[random.int(0, PACES.length - 1)]!;
    if (reader.wire === null) {
      if (random.chance(0.15)) this.connect(seat);
      return;
    }
    if (random.chance(seat.pace.often)) this.read(seat, seat.pace.frames);
    if (reader.wire === null) return;
    this.comeBack(seat);
    if (random.chance(0.05)) this.moves.any(reader);
    if (!random.chance(0.01)) return;
    // It disconnects silently. The server learns of it at once, or much later.
    if (random.chance(0.5)) reader.wire.isClientGone = true;
    else reader.wire.vanish();
    reader.wire = null;
  }

  private read(seat: Seat, frames: number): void {
    const { reader } = seat;
    try {
      if (reader.read(frames) === undefined) return;
    } catch (e) {
      throw new Error(`${reader.name}: ${(e as Error).message}`, { cause: e });
    }
    hold(this.temper.isStrict || reader.wire!.server !== 'open', () => ['closed', reader.name]);
    reader.wire = null;
  }

  private seat(n: number): void {
    const isText = this.random.chance(0.25);
    const reader = new Reader(`r${n}`, isText, this.truth, this.outcome);
    const trades = this.random.chance(0.3);
    const seat = { reader, trades, pace: PACES[0], hasComeBack: true };
    this.seats.push(seat);
    this.connect(seat);
    seat.hasComeBack = true;
    this.read(seat, 1);
    reader.forget(); // nothing was received, and it is of this epoch
    if (this.random.chance(0.8)) this.moves.subscribe(reader, this.moves.drawNames(0.4));
  }

  private connect(seat: Seat): void {
    const { reader, trades } = seat;
    const wire = this.server.connect(this.temper.wire, reader.isText, trades ? 'trader' : null);
    wire.accepted = (id) => {
      if (reader.wire === wire && reader.replay?.startId === id) reader.replay.accepted();
    };
    seat.hasComeBack = false;
    reader.connect(wire);
    reader.executions = trades ? [] : null;
  }

  /** The first requests on a new connection. */
  private comeBack(seat: Seat): void {
    const { reader } = seat;
    if (seat.hasComeBack || !reader.isWelcome) return;
    seat.hasComeBack = true;
    const { past } = this.epochs;
    if (past.size > 0 && this.random.chance(0.1)) {
      const epochs = [...past.keys(), 1]; // epoch 1 never existed
      this.moves.comeBackLate(reader, epochs[this.random.int(0, epochs.length - 1)]!);
    } else {
      const isCrossing = reader.heldEpoch !== reader.epoch && reader.resumable().names.length > 0;
      if (isCrossing) this.outcome.crossings += 1;
      this.moves.comeBack(reader);
    }
  }

  private publish(most: number): void {
    this.server.take(this.flow.batch(most), this.flow.seq);
  }

  private push(): void {
    const { server, truth, random } = this;
    const events = server.next!;
    this.journal?.append(events);
    truth.push(events);
    for (const e of events) {
      if (e.type === 'instrument' && !this.symbols.includes(e.symbol)) this.symbols.push(e.symbol);
    }
    const executions = random.chance(0.05) && this.symbols.length > 0 ? [this.execution()] : [];
    for (const { message } of executions) {
      for (const { reader } of this.seats) {
        const isThere =
          reader.wire !== null && server.broadcaster.sessions.has(reader.wire.session);
        if (isThere) reader.executions?.push(message);
      }
    }
    server.push(executions);
  }

  private execution(): { owner: string; message: Execution } {
    this.outcome.executions += 1;
    const symbol = this.symbols[this.random.int(0, this.symbols.length - 1)]!;
    const now = this.clock.now();
    const message: Execution = {
      type: 'execution',
      symbol,
      seq: this.truth.lastSeq,
      prevSeq: 0,
      eventTime: now,
      receiveTime: now,
      id: null,
      orderId: this.outcome.executions,
      clientOrderId: 'mine',
      event: 'accepted',
      side: 'buy',
      price: 100,
      open: 1,
      tradePrice: null,
      tradeQuantity: null,
      code: null,
    };
    return { owner: 'trader', message };
  }

  private createServer(): SimServer {
    const { session, memtableEventsMax, playbacks, statesAtOnceMax } = this.temper;
    const { current: epoch, past } = this.epochs;
    const options: ServerOptions = {
      epoch,
      pastEpochs: new Map(past),
      session,
      memtableEventsMax,
      playbacks,
      statesAtOnceMax,
    };
    return new SimServer(options, this.clock, this.journal?.source ?? this.source);
  }

  /** Cuts all connections at once; all readers are back in the same turn. */
  private cutAll(): void {
    for (const wire of this.server.wires) {
      wire.isClientGone = true;
      wire.deliver(0);
    }
    this.sweep();
    for (const seat of this.seats) {
      this.connect(seat);
      this.read(seat, 1);
      this.comeBack(seat);
      seat.reader.wire?.deliver(Infinity);
    }
    const added = this.flow.define();
    if (added !== undefined) this.server.take([added], this.flow.seq);
    this.publish(6);
    while (this.server.hasWaiting) this.push();
  }

  /** Asked to stop, the server notifies all readers; those that read have everything when they are closed. */
  private drain(): void {
    const { server } = this;
    server.broadcaster.goAway(this.random);
    for (let i = 0; i < 12; i++) {
      server.advance(5);
      server.broadcaster.look();
      server.broadcaster.closeDrained(false);
      for (const seat of this.seats) {
        const { reader } = seat;
        if (reader.wire === null) continue;
        const isLetGo = reader.wire.server === 'ending';
        if (isLetGo || this.random.chance(seat.pace.often))
          reader.read(isLetGo ? Infinity : seat.pace.frames);
        if (isLetGo && !this.temper.isStrict) reader.checkAll();
        reader.wire.deliver(isLetGo ? 0 : Infinity);
        if (isLetGo) reader.wire = null;
      }
    }
    server.broadcaster.closeDrained(true);
  }

  private begin(): void {
    const { epoch, past } = this.disk.begin();
    this.epochs.current = epoch;
    this.epochs.past = past;
  }

  private stepOfDisk(): void {
    const { diskRandom } = this;
    if (diskRandom.chance(0.04)) this.disk.copy();
    if (diskRandom.chance(0.03)) this.restart();
  }

  /** Starts another epoch, which may have lost the newest published events, or continues from an older disk. */
  private restart(): void {
    const { random } = this;
    if (random.chance(0.4)) this.drain();
    this.tally();
    this.server.stop();
    this.source.forget();
    for (const { reader } of this.seats) reader.wire = null;
    if (this.faults.hasFaultyDisk && this.diskRandom.chance(0.7) && this.goBack()) {
      this.outcome.backs += 1;
    } else this.lose();
    this.start();
  }

  /** Goes back only if every instrument that a reader knows is still defined. */
  private goBack(): boolean {
    if (this.server.hasDefinition) return false;
    return this.disk.goBack(() => this.truth.symbols.length === this.flow.symbols.length);
  }

  /** Either loses the newest published events, or commits everything that waits. */
  private lose(): void {
    const { truth, random } = this;
    const defined = truth.events.findLast((e) => e.type === 'instrument')!.seq;
    const lost = random.chance(0.5) && !this.server.hasDefinition ? random.int(0, 30) : 0;
    const from = Math.max(defined + 1, this.firstSeq, truth.lastSeq - lost + 1);
    const isLost = lost > 0 && from <= truth.lastSeq;
    if (isLost) truth.lose(from);
    else while (this.server.hasWaiting) truth.push(this.server.drop()); // journaled, but never published
  }

  private start(): void {
    const { truth, random } = this;
    for (const e of truth.events) {
      if (e.type === 'instrument' && !this.symbols.includes(e.symbol)) this.symbols.push(e.symbol);
    }
    this.flow.restart(truth);
    this.begin();
    this.firstSeq = truth.lastSeq + 1;
    this.server = this.createServer();
    const { newest, statistics } = this.flow.recovered(truth);
    const tail = truth.events.slice(random.int(0, truth.lastSeq));
    this.server.hydrate(newest, truth, tail, statistics);
    this.outcome.restarts += 1;
  }

  /** Removes connections that are over on both ends. */
  private sweep(): void {
    for (const wire of this.server.wires)
      if (wire.server === 'ended') this.server.wires.delete(wire);
  }

  /** All readers come back and read to the end. */
  private async settle(): Promise<void> {
    const { seats } = this;
    for (const wire of this.server.wires) {
      if (!seats.some(({ reader }) => reader.wire === wire)) wire.isClientGone = true;
    }
    for (let round = 0; round < 3_000; round++) {
      while (this.server.hasWaiting) this.push();
      // Where sessions are closed for being slow, a step is shorter than the time allowed to them.
      this.server.advance(round < 100 || this.temper.isStrict ? 30 : 300);
      this.server.broadcaster.look();
      this.source.step(round % 3 > 0);
      await turn();
      for (const wire of this.server.wires) wire.deliver(Infinity);
      this.sweep();
      for (const seat of seats) {
        if (seat.reader.wire === null) this.connect(seat);
        this.read(seat, Infinity);
        if (seat.reader.wire === null) continue;
        this.comeBack(seat);
        this.moves.goOn(seat.reader);
      }
      if (round % 10 === 5) this.server.broadcaster.heartbeats.sendAll();
      if (round > 20 && round % 10 === 7 && seats.every((seat) => this.isSettled(seat))) break;
    }
    probe(this.server);
    for (const seat of seats) this.checkSettled(seat);
  }

  private isSettled({ reader }: Seat): boolean {
    const { wire, asked, replay } = reader;
    return (
      wire !== null &&
      wire.isEmpty &&
      !wire.hasMessages &&
      asked.size === 0 &&
      replay === null &&
      wire.session.isNative
    );
  }

  private checkSettled(seat: Seat): void {
    const { reader } = seat;
    hold(this.isSettled(seat), () => [
      'not settled',
      reader.name,
      reader.asked,
      reader.wire?.session.isNative,
    ]);
    hold((reader.executions ?? []).length === 0, () => ['executions are lost', reader.executions]);
    for (const [name, copy] of reader.topics) {
      const head = this.truth.head(name, this.truth.lastSeq);
      hold(copy.isAt(head), () => ['the end is missing', reader.name, name, copy.last, head]);
      copy.account();
    }
    for (const name of reader.wanted.keys())
      hold(reader.served.has(name), () => ['not served', name]);
  }

  /** All readers leave, and nothing of them is left. */
  private async leave(): Promise<void> {
    this.tally();
    for (const wire of this.server.wires) {
      wire.isClientGone = true;
      wire.deliver(0);
    }
    for (let i = 0; i < 5; i++) {
      this.source.step(true);
      await turn();
    }
    probeEmpty(this.server);
    this.journal?.close();
    hold(this.source.playbacks.size === 0, () => [
      'the journal plays on',
      this.source.playbacks.keys(),
    ]);
  }

  private tally(): void {
    const { outcome, server } = this;
    outcome.ended += server.ended;
    outcome.fromJournal += server.playbacksOpened;
    const byChannel = server.broadcaster.counters;
    const counters = countersOf(server.broadcaster);
    outcome.lagged += counters.lagged;
    for (const figure of ['conflated', 'dropped', 'gaps'] as const) {
      const all = Object.values(byChannel).reduce((sum, one) => sum + one[figure], 0);
      hold(all === counters[figure], () => [figure, 'by channel', all, counters[figure]]);
    }
    hold(this.temper.isStrict || outcome.missed <= counters.dropped || outcome.restarts > 0, () => [
      'gaps',
      outcome.missed,
      counters.dropped,
    ]);
  }
}
