/**
 * A run of several epochs on one data directory: each is checked after it has been killed, and so is what the next
 * one makes of what was left. At the end the journal is verified, and executed again from its beginning.
 */

import { rmSync } from 'node:fs';

import { Prng } from '../../src/base/prng';
import { StartFault } from '../../src/base/start-fault';
import { SystemClock } from '../../src/base/clock';
import { check } from '../../src/config/config';
import type { Durability } from '../../src/journal/journal';
import { stateHash } from '../../src/market/state-hash';
import { openRecorder } from '../../src/app/recorder';
import {
  checkAnswers,
  checkPublisher,
  checkReaders,
  checkReturned,
  checkTraders,
  noteReceived,
  Pushed,
  withoutId,
} from './kill-checks';
import { askAll, begin, clientsOf, killEarly, loadAndKill, type LoadedServer } from './kill-server';
import { answersOf, FED, Outside, VENUES, type Trader } from './kill-load';
import { declared, dropCheckpoints, type Json } from './kill-rows';
import { must, Truth } from './kill-truth';
import { ScratchDirectory } from './scratch-directory';
import { Scratch, tapedeck } from './tapedeck-process';
import { stateOf } from './test-recorder';

const SYMBOLS = [...VENUES, FED];
/** How many orders of a trader are sent again in the next epoch. */
const REPEATED = 25;
/** As in the settings of the servers. */
const ENDED_ORDERS_MAX = 2_000;

export interface Figures {
  starts: number;
  early: number;
  records: number;
  pushed: number;
  acknowledged: number;
  published: number;
  repeated: number;
  lost: number;
  gaps: number;
  loadMs: number;
}

export class KillRun {
  readonly figures: Figures = {
    starts: 0,
    early: 0,
    records: 0,
    pushed: 0,
    acknowledged: 0,
    published: 0,
    repeated: 0,
    lost: 0,
    gaps: 0,
    loadMs: 0,
  };
  readonly data: string;
  private readonly random: Prng;
  private readonly isAsync: boolean;
  private readonly scratch = new Scratch();
  private readonly copies = new ScratchDirectory();
  private readonly truth: Truth;
  private readonly pushed = new Pushed();
  private readonly outside: Outside;
  private readonly epochs: number[] = [];
  private before: LoadedServer | undefined;

  constructor(seed: number, isAsync: boolean) {
    this.random = new Prng(seed);
    this.isAsync = isAsync;
    this.data = this.scratch.fresh();
    this.truth = new Truth({ isAsync, fed: FED });
    this.outside = new Outside(new Prng(seed + 1));
  }

  remove(): void {
    this.copies.remove();
    this.scratch.remove();
  }

  /** @throws Error that says what was wrong */
  async live(): Promise<void> {
    const { random, data, truth, pushed, isAsync, figures } = this;
    const durability = this.durability();
    if (random.chance(0.3)) {
      await killEarly(data, durability, this.scratch, random);
      figures.early += 1;
    }
    const number = (figures.starts += 1);
    const loaded = await begin({ number, data, durability, outside: this.outside, random });
    try {
      await this.checkStart(loaded);
      if (random.chance(0.5)) this.outside.pass();
      const { loadMs } = await loadAndKill(loaded, random);
      figures.loadMs += loadMs;
    } finally {
      await loaded.server.remove();
    }
    const receivedBefore = pushed.received;
    noteReceived(loaded, pushed);
    this.readCopy(receivedBefore);
    must(
      isAsync || pushed.received <= truth.seq,
      () => `seq ${pushed.received} was received, the journal ends at ${truth.seq}`,
    );
    figures.lost += checkReaders(loaded, truth, pushed, isAsync);
    figures.acknowledged += checkTraders(loaded, truth, isAsync);
    figures.published += checkPublisher(loaded, this.outside, truth, isAsync);
    figures.records = truth.records;
    figures.pushed = pushed.hashes.size;
    this.epochs.push(loaded.epoch);
    this.before = loaded;
  }

  private durability(): Durability {
    if (this.isAsync) return 'async';
    return this.random.chance(0.3) ? 'fsync' : 'commit';
  }

  /** Checks a restarted server before it gets any new request. */
  private async checkStart(loaded: LoadedServer): Promise<void> {
    const { truth, before } = this;
    // The settings define the venues; the source defines its instrument, whose definition may have been lost.
    const symbols = SYMBOLS.filter((s) => s !== FED || truth.defined.has(s));
    const answers = await askAll(loaded.server, symbols);
    for (const symbol of symbols) checkAnswers(answers, symbol, loaded.epoch, truth);
    checkReturned(loaded.readers[0]!, answers, this.epochs);
    if (before === undefined) return;
    for (const [i, trader] of loaded.traders.entries())
      await this.repeat(before.traders[i]!, trader);
    for (const symbol of symbols) {
      const again = await loaded.server.json(`/v1/orderbook/${symbol}`);
      const received = answers.get(`orderbook/${symbol}`)!;
      must(again['seq'] === received['seq'], () => `repeated orders moved the book of ${symbol}`);
    }
  }

  /** [O3]: a recorded order is answered as before, even if it was never answered. */
  private async repeat(before: Trader, trader: Trader): Promise<void> {
    const answers = answersOf(before.client);
    const names = new Set<unknown>();
    const known = [...before.sent.values()].toReversed().filter((request) => {
      const name = request['clientOrderId'];
      const isOrder = request['type'] === 'order' && name !== '' && request['quantity'] !== '9.999';
      if (
        !isOrder ||
        names.has(name) ||
        !this.truth.orders.has(`${before.owner} ${String(name)}`)
      ) {
        return false;
      }
      names.add(name);
      return true;
    });
    const repeated = known
      .slice(0, REPEATED)
      .map((request) => ({ request, id: trader.repeat(request) }));
    const last = repeated.at(-1);
    if (last === undefined) return;
    await trader.client.find(
      (m) => m['id'] === last.id && (m.type === 'ack' || m.type === 'error'),
    );
    const now = answersOf(trader.client);
    for (const { request, id } of repeated) {
      this.figures.repeated += 1;
      const answer = now.get(id)!;
      const describe = (): string =>
        `${JSON.stringify(request)} was answered again with ${JSON.stringify(answer)}`;
      const onRecord = this.truth.orders.get(
        `${before.owner} ${String(request['clientOrderId'])}`,
      )!;
      const isAccepted = onRecord.orderId > 0;
      must(answer.type === (isAccepted ? 'ack' : 'error'), describe);
      must(!isAccepted || answer['seq'] === onRecord.seq, describe);
      const first = answers.get(request['id']);
      must(
        first === undefined || withoutId(first) === withoutId(answer),
        () => `${describe()}, before with ${JSON.stringify(first)}`,
      );
    }
    const executions = trader.client.seen.filter(({ type }) => type === 'execution');
    must(executions.length === 0, () => `repeated orders did ${JSON.stringify(executions)}`);
  }

  /** Reads a copy of the file, without changing the file for the next start. */
  private readCopy(receivedBefore: number): void {
    const copy = this.copies.copyOf(this.data);
    this.truth.read(copy, receivedBefore);
    const { gaps, epochs } = declared(copy);
    const noted = JSON.stringify(this.truth.gaps);
    const received = JSON.stringify(gaps.map(({ from, to }) => ({ from, to })));
    must(received === noted, () => `the view of gaps shows ${received}, the records ${noted}`);
    this.figures.gaps = gaps.length;
    for (const [i, { epoch, first, last }] of epochs.entries()) {
      const next = epochs[i + 1];
      must(next === undefined || last === next.first - 1, () => `epoch ${epoch} ends at ${last}`);
      must(
        next === undefined || (next.epoch !== epoch && next.first >= first),
        () => `epoch ${epoch} is followed by ${JSON.stringify(next)}`,
      );
    }
    const known = new Set(epochs.map(({ epoch }) => epoch));
    must(
      this.epochs.every((epoch) => known.has(epoch)),
      () => 'an epoch that readers saw is not noted',
    );
    rmSync(copy, { recursive: true });
  }

  /** Starts once more and ends in order; then checks the whole journal at once. */
  async end(): Promise<Json> {
    const { truth, pushed, data, random } = this;
    await this.checkReexecution();
    const durability = this.durability();
    const loaded = await begin({ number: 0, data, durability, outside: this.outside, random });
    await this.checkStart(loaded);
    const { code, stderr } = await loaded.server.stop('SIGTERM');
    must(code === 0, () => `the last server ended with ${code}: ${stderr}`);
    await Promise.all(clientsOf(loaded).map((client) => client.closed));
    await loaded.server.remove();
    const receivedBefore = pushed.received;
    noteReceived(loaded, pushed);
    this.readCopy(receivedBefore);
    must(
      pushed.received <= truth.seq,
      () => `seq ${pushed.received} was received, the journal ends at ${truth.seq}`,
    );
    const again = new Truth({ isAsync: this.isAsync, fed: FED });
    again.read(this.copies.copyOf(data), 0);
    must(
      again.digest === truth.digest && again.seq === truth.seq,
      () => 'records changed after they were read',
    );
    const verified = await tapedeck(['verify', '--data', data], { timeoutMs: 120_000 });
    must(
      verified.code === 0,
      () => `verify: ${verified.code} ${verified.stdout} ${verified.stderr}`,
    );
    const found = JSON.parse(verified.stdout) as Json;
    must(
      found['seqLast'] === truth.seq,
      () => `verify finds ${verified.stdout}, the last seq is ${truth.seq}`,
    );
    const { hash } = this.recovered(this.copies.copyOf(data));
    must(found['stateHash'] === hash, () => `verify finds ${verified.stdout}, a start ${hash}`);
    return found;
  }

  /** Compares recovery from the newest checkpoint with recovery from the first record. */
  private async checkReexecution(): Promise<void> {
    const recovered = this.recovered(this.copies.copyOf(this.data));
    const copy = this.copies.copyOf(this.data);
    must(dropCheckpoints(copy) > 0 || this.truth.records < 1_000, () => 'there was no checkpoint');
    const carriedOut = this.recovered(copy);
    for (const what of ['hash', 'state', 'desk', 'statistics'] as const) {
      must(
        recovered[what] === carriedOut[what],
        () =>
          `${what} by checkpoints is ${recovered[what].slice(0, 2_000)}, carried out from the beginning ${carriedOut[what].slice(0, 2_000)}`,
      );
    }
  }

  private recovered(directory: string): Record<'hash' | 'state' | 'desk' | 'statistics', string> {
    const config = check({ journal: { directory }, limits: { endedOrdersMax: ENDED_ORDERS_MAX } });
    if (config instanceof StartFault) throw new Error(config.message);
    const recorder = openRecorder(config, new SystemClock());
    if (recorder instanceof StartFault) throw new Error(`${recorder.code}: ${recorder.message}`);
    const { market, statistics, journal } = recorder;
    const { owners, orders } = market.checkpoint().desk;
    const byName = orders.map((order) => JSON.stringify(order)).toSorted();
    const state = {
      hash: stateHash(market),
      state: stateOf(market),
      desk: JSON.stringify([owners, byName]),
      statistics: JSON.stringify(SYMBOLS.map((symbol) => statistics.state()[symbol] ?? null)),
    };
    journal.abandon();
    return state;
  }
}
