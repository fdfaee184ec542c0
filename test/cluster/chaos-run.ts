/**
 * Chaos run: a cluster of real processes under load. Each round one event, drawn by seed, then time until all goes on;
 * in the end everything is stopped in order and compared.
 */

import { join } from 'node:path';

import { Prng } from '../../src/base/prng';
import type { NatsServer } from '../support/nats';
import { ADMIN_KEY, Scratch, tapedeck, TRADE_KEY } from '../support/tapedeck-process';
import { until } from '../support/until';
import {
  checkPublished,
  compareJournals,
  readFacts,
  ReaderCheck,
  readersBehind,
  readLines,
  Wrongs,
  type JournalFacts,
  type ReaderFigures,
  type ReaderLine,
} from './chaos-checks';
import { ChaosCluster, MEMBER_NAMES, type MemberName } from './chaos-members';
import { checkOrders, type OrderFigures } from './chaos-orders';
import { ChaosPublisher } from './chaos-publisher';

type Target = MemberName | 'stream-leader' | 'broker-follower';
/** `leading`: the core that leads at the time. */
export type ChaosTarget = Target | 'leading';
const TARGETS: readonly ChaosTarget[] = [
  'leading',
  ...MEMBER_NAMES,
  'stream-leader',
  'broker-follower',
];

/** A reader that is still behind then stands still, and is reported. */
const READ_UP_MS = 40_000;

/** Order entry that goes on through all rounds. */
const TRADERS = 5;

/** A process that writes down what it is given, and ends with its standard input. */
interface Child {
  readonly path: string;
  readonly child: Bun.Subprocess<'pipe', 'inherit', 'inherit'>;
}

interface Blow {
  readonly target: Target;
  readonly how: 'kill' | 'stop';
  /** Behind the first of the round. */
  readonly delayMs: number;
  /** Until it comes back. */
  readonly ms: number;
}

export interface ChaosRound {
  readonly blows: readonly Blow[];
  readonly atMs: number;
  /** Whether it hit the core that led, and the other one as well. */
  readonly hasHitLeader: boolean;
  readonly hasHitCores: boolean;
  readonly hasHitStreamLeader: boolean;
  /** From the hit of the leader, or from the first hit, to the first acknowledgement of what was sent after it. */
  ackMs: number;
  settledMs: number;
}

const PUBLISHED_AT = { cores: ['leader', 'standby'], edges: ['edge1', 'edge2'] } as const;

export interface ChaosOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly readers: number;
  readonly durability: 'replicated' | 'async';
  /** What may be hit; default: everything. */
  readonly targets?: readonly ChaosTarget[];
  /** The share of rounds with two targets; default 0.3. */
  readonly pairs?: number;
  /** Where the publisher publishes; default: at the cores. */
  readonly publishAt?: 'cores' | 'edges';
  readonly log?: (text: string) => void;
}

export interface ChaosReport {
  readonly rounds: readonly ChaosRound[];
  readonly wrong: readonly string[];
  readonly wrongs: number;
  readonly acknowledged: number;
  readonly acknowledgedLost: number;
  readonly events: number;
  readonly epochs: number;
  readonly readers: ReaderFigures;
  /** Of each round and reader: the longest time without an item, in ms, sorted. */
  readonly silences: readonly number[];
  readonly refused: Readonly<Record<string, number>>;
  readonly failedStarts: number;
  readonly begunAgain: Readonly<Record<string, number>>;
  readonly orders: OrderFigures;
}

export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const run = new ChaosRun(options, await ChaosCluster.start(options.durability));
  try {
    return await run.run();
  } catch (e) {
    throw new Error(await run.scene(), { cause: e });
  } finally {
    await run.remove();
  }
}

class ChaosRun {
  private readonly options: ChaosOptions;
  private readonly cluster: ChaosCluster;
  private readonly random: Prng;
  readonly scratch = new Scratch();
  private readonly wrongs = new Wrongs();
  private readonly publisher: ChaosPublisher;
  private readonly rounds: ChaosRound[] = [];
  private readonly readers: Child[] = [];
  private traders: Child | undefined;

  constructor(options: ChaosOptions, cluster: ChaosCluster) {
    this.options = options;
    this.cluster = cluster;
    this.random = new Prng(options.seed);
    const names = PUBLISHED_AT[options.publishAt ?? 'cores'];
    this.publisher = new ChaosPublisher(names.map((name) => cluster.of(name).url));
  }

  async remove(): Promise<void> {
    for (const { child } of this.readers) child.kill();
    this.traders?.child.kill();
    await this.publisher.end();
    await this.cluster.remove();
    this.scratch.remove();
  }

  async run(): Promise<ChaosReport> {
    const { options, cluster, publisher } = this;
    publisher.begin();
    await until(() => publisher.acknowledged.length > 10, 'the publisher is acknowledged');
    const edges = [cluster.of('edge1').url, cluster.of('edge2').url];
    const cores = [cluster.of('leader').url, cluster.of('standby').url];
    const few = Math.ceil(options.readers / 5);
    this.startReaders(options.readers - few, edges);
    this.startReaders(few, [...edges, ...cores]);
    this.traders = this.spawn('chaos-traders.ts', TRADERS, [TRADE_KEY, ADMIN_KEY, ...edges]);
    await this.settle();
    for (let i = 0; i < options.rounds; i++) await this.round(i);
    const end = await this.end();
    return this.report(end);
  }

  private startReaders(count: number, urls: readonly string[]): void {
    this.readers.push(this.spawn('chaos-readers.ts', count, urls));
  }

  private spawn(name: string, count: number, more: readonly string[]): Child {
    const path = this.scratch.fresh('.lines');
    const args = [path, String(count), String(this.random.uint32()), ...more];
    const command = [process.execPath, join(import.meta.dir, name), ...args];
    const child = Bun.spawn(command, { stdin: 'pipe', stdout: 'inherit', stderr: 'inherit' });
    return { path, child };
  }

  // ── rounds ──────────────────────────────────────────────────────────────────────────────────

  private async round(i: number): Promise<void> {
    const { random, publisher } = this;
    await Bun.sleep(random.int(300, 1_200));
    const led = await this.leadingCore();
    const blows = this.draw(led);
    const streamLeader = await this.cluster.broker(true);
    const brokers = new Map<Target, NatsServer | undefined>([
      ['stream-leader', streamLeader],
      ['broker-follower', await this.cluster.broker(false)],
    ]);
    const names = new Set(blows.map(({ target }) => target));
    const round: ChaosRound = {
      blows,
      atMs: Date.now(),
      hasHitCores: names.has('leader') && names.has('standby'),
      hasHitLeader: led !== undefined && names.has(led),
      hasHitStreamLeader: names.has('stream-leader'),
      ackMs: 0,
      settledMs: 0,
    };
    this.rounds.push(round);
    const back = blows.map((blow) => this.strike(blow, brokers.get(blow.target)));
    await Promise.all(blows.map(({ delayMs }) => Bun.sleep(delayMs)));
    const hitMs = round.atMs + (blows.find(({ target }) => target === led)?.delayMs ?? 0);
    const first = await until(
      () => publisher.acknowledged.find(({ sentMs }) => sentMs > hitMs + 1),
      'a new event is acknowledged',
    );
    round.ackMs = first.ackMs - hitMs;
    await Promise.all(back);
    await this.settle();
    round.settledMs = Date.now() - round.atMs;
    const text = blows
      .map(
        ({ target, how, ms, delayMs }) =>
          `${how} ${target} ${ms} ms${delayMs > 0 ? ` after ${delayMs}` : ''}`,
      )
      .join(', ');
    this.options.log?.(
      `round ${i + 1}: ${text}${round.hasHitLeader ? ' (it led)' : ''}: acknowledged after ${round.ackMs} ms, settled after ${round.settledMs} ms`,
    );
  }

  private draw(led: MemberName | undefined): Blow[] {
    const { random } = this;
    const targets = (this.options.targets ?? TARGETS).map((target) =>
      target === 'leading' ? (led ?? 'leader') : target,
    );
    const blow = (target: Target, delayMs: number): Blow => {
      const how = random.chance(0.6) ? 'kill' : 'stop';
      // A leader that stays away for longer than brokers elect comes back to a log that goes on without it.
      const killMs = random.int(200, random.chance(0.25) ? 12_000 : 2_500);
      const ms = how === 'kill' ? killMs : random.int(1_000, 5_000);
      return { target, how, delayMs, ms };
    };
    const first = targets[random.int(0, targets.length - 1)]!;
    if (!random.chance(this.options.pairs ?? 0.3) || targets.length === 1) return [blow(first, 0)];
    const isBroker = (target: Target): boolean => /stream|broker/.test(target);
    // Two brokers of three would stop all others too.
    const others = targets.filter((t) => t !== first && !(isBroker(t) && isBroker(first)));
    const second = others[random.int(0, others.length - 1)]!;
    return [blow(first, 0), blow(second, random.chance(0.5) ? 0 : random.int(100, 2_500))];
  }

  /** The core that says that it leads; a standby answers publishers too. */
  private async leadingCore(): Promise<MemberName | undefined> {
    for (const name of ['leader', 'standby'] as const) {
      if (await this.cluster.of(name).leads()) return name;
    }
    return undefined;
  }

  private async strike(
    { target, how, ms, delayMs }: Blow,
    broker: NatsServer | undefined,
  ): Promise<void> {
    await Bun.sleep(delayMs);
    if (target === 'stream-leader' || target === 'broker-follower') {
      if (broker === undefined) return;
      if (how === 'kill') await broker.kill();
      else broker.signal('SIGSTOP');
      await Bun.sleep(ms);
      if (how === 'kill') broker.start();
      else broker.signal('SIGCONT');
      return;
    }
    const member = this.cluster.of(target);
    if (how === 'kill') {
      await member.end('SIGKILL');
      await Bun.sleep(ms);
      await member.start();
    } else {
      member.pause();
      await Bun.sleep(ms);
      member.goOn();
    }
  }

  /** Everything is there again, and has what is acknowledged now. */
  private async settle(): Promise<void> {
    const { cluster, publisher } = this;
    await until(
      async () => (await Promise.all(cluster.brokers.all.map((b) => b.isReady()))).every(Boolean),
      'the brokers are ready',
    );
    const { length } = publisher.acknowledged;
    await until(() => publisher.acknowledged.length > length + 20, 'more is acknowledged');
    const all = [...cluster.members.values()];
    const newest = Math.max(...(await Promise.all(all.map((m) => m.seq()))));
    for (const member of all) {
      await until(async () => {
        if (member.hasDied)
          throw new Error(
            `${member.name} has ended by itself: ${await member.end('SIGKILL')} ${member.logs.at(-1)}`,
          );
        return (await member.seq()) >= newest;
      }, `${member.name} has event ${newest}`);
    }
  }

  /** What the members say of themselves where a run does not go on. */
  async scene(): Promise<string> {
    const texts: string[] = [];
    for (const member of this.cluster.members.values()) {
      const said: string[] = [];
      for (const path of ['/v1/cluster', '/readyz']) {
        const answer = fetch(`${member.url}${path}`, { signal: AbortSignal.timeout(2_000) });
        said.push(await answer.then((a) => a.text()).catch(String));
      }
      await member.end('SIGKILL');
      texts.push(`${member.name}: ${said.join('\n')}\n${member.logs.at(-1)?.slice(-3_000)}`);
    }
    return texts.join('\n\n');
  }

  // ── the end ─────────────────────────────────────────────────────────────────────────────────

  /** Stops all in order. @returns the last event */
  private async end(): Promise<JournalFacts[]> {
    const { cluster, publisher, wrongs } = this;
    await publisher.end();
    await endOf(this.traders!);
    const led = await this.leadingCore();
    const [last, first] =
      led === 'standby' ? (['standby', 'leader'] as const) : (['leader', 'standby'] as const);
    const stop = async (name: MemberName): Promise<void> => {
      const code = await cluster.of(name).end('SIGTERM');
      if (code !== 0)
        wrongs.add(`${name} ended with ${code}: ${cluster.of(name).logs.at(-1)?.slice(-500)}`);
    };
    await stop(first);
    await stop(last);
    const facts = [readFacts(last, cluster.of(last).data)];
    const { lastSeq } = facts[0]!;
    for (const edge of ['edge1', 'edge2'] as const) {
      await until(
        async () => (await cluster.of(edge).seq()) >= lastSeq,
        `${edge} has event ${lastSeq}`,
      );
    }
    await this.untilReadersAreUp(facts[0]!);
    for (const child of this.readers) await endOf(child);
    await stop('edge1');
    await stop('edge2');
    for (const name of MEMBER_NAMES) {
      if (name !== last) facts.push(readFacts(name, cluster.of(name).data));
      const { code, stdout, stderr } = await tapedeck(['verify', '--data', cluster.of(name).data]);
      if (code !== 0) wrongs.add(`verify of ${name}: ${code} ${stdout} ${stderr}`);
    }
    return facts;
  }

  /** Readers get what is in flight, and what they missed while they were between two servers. */
  private async untilReadersAreUp(journal: JournalFacts): Promise<void> {
    const begunMs = performance.now();
    for (const { path } of this.readers) {
      let behind: number;
      do {
        await Bun.sleep(200); // a look reads a whole file
        behind = readersBehind(readLines(path).lines, journal);
      } while (behind > 0 && performance.now() - begunMs < READ_UP_MS);
      const ms = Math.round(performance.now() - begunMs);
      this.options.log?.(`${behind} readers are behind ${ms} ms after the last event`);
    }
  }

  private report(facts: readonly JournalFacts[]): ChaosReport {
    const { wrongs, publisher, options, cluster } = this;
    const isAsync = options.durability === 'async';
    const [journal] = facts;
    compareJournals(facts, wrongs);
    for (const wrong of publisher.wrong) wrongs.add(wrong);
    const acknowledgedLost = checkPublished(journal!, publisher.acknowledged, wrongs, isAsync);
    const all: ReaderFigures = {
      items: 0,
      gaps: 0,
      resets: {},
      withdrawn: 0,
      reconnects: 0,
      epochs: 0,
    };
    const silences: number[] = [];
    for (const [process, { path }] of this.readers.entries()) {
      const { lines, isWhole } = readLines(path);
      if (!isWhole) wrongs.add(`the readers' process ${process} has not ended in order`);
      for (const [reader, own] of Map.groupBy(lines, (line) => line.reader)) {
        const check = new ReaderCheck(`reader ${process}.${reader}`, journal!, wrongs);
        for (const line of own) check.take(line);
        check.end();
        addUp(all, check.figures);
        silences.push(...this.silencesOf(own));
      }
    }
    const logs = [...cluster.members.values()];
    for (const { name, logs: texts } of logs) {
      for (const line of texts.join('').split('\n')) {
        if (/"level":(40|50|"warn"|"error")/.test(line)) options.log?.(`${name}: ${line}`);
      }
    }
    const begunAgain: Record<string, number> = {};
    for (const { logs: texts } of logs) {
      for (const [, reason] of texts
        .join('')
        .matchAll(/"reason":"(deposed|forked|hole|refused)"/g)) {
        begunAgain[reason!] = (begunAgain[reason!] ?? 0) + 1;
      }
    }
    return {
      rounds: this.rounds,
      wrong: wrongs.found,
      wrongs: wrongs.count,
      acknowledged: publisher.acknowledged.length,
      acknowledgedLost,
      events: journal!.lastSeq,
      epochs: journal!.epochs.length,
      readers: all,
      silences: silences.toSorted((a, b) => a - b),
      refused: publisher.refused,
      failedStarts: logs.reduce((sum, { failedStarts }) => sum + failedStarts.length, 0),
      begunAgain,
      orders: checkOrders(this.traders!.path, cluster.of(journal!.name as MemberName).data, wrongs),
    };
  }

  private silencesOf(own: readonly ReaderLine[]): number[] {
    const times = own.filter(({ what }) => what === 'item').map(({ ms }) => ms);
    return this.rounds.map(({ atMs, settledMs }) => {
      let before = times.findLast((ms) => ms <= atMs) ?? atMs;
      let longest = 0;
      for (const ms of times) {
        if (ms <= atMs || before > atMs + settledMs) continue;
        longest = Math.max(longest, ms - before);
        before = ms;
      }
      return longest;
    });
  }
}

async function endOf({ child }: Child): Promise<void> {
  await child.stdin.end();
  await child.exited;
}

function addUp(all: ReaderFigures, one: ReaderFigures): void {
  for (const name of ['items', 'gaps', 'withdrawn', 'reconnects', 'epochs'] as const)
    all[name] += one[name];
  for (const [reason, count] of Object.entries(one.resets)) {
    all.resets[reason] = (all.resets[reason] ?? 0) + count;
  }
}
