/**
 * The big market, run by hand: a full market, ten thousand sessions, a steady rate for hours, and a kill at the
 * end. `BIG-MARKET.md` says what is measured and judged.
 *
 *     bun test/endurance/big-market.ts [--minutes 120] [--instruments 10000] [--levels 1000]
 *         [--sessions 10000] [--topics 10] [--rate 20000] [--readers 4] [--sources 2] [--out DIRECTORY]
 */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { descriptorsMax } from '../../src/base/descriptors';
import { Crowd, type CrowdOptions } from './big-market-crowd';
import {
  perEvent,
  sampleOf,
  slopeMbPerHour,
  turnBuckets,
  turnsBetween,
  type Cost,
  type Sample,
  type TurnFigures,
} from './big-market-figures';
import type { BigReaderDone } from './big-market-readers';
import type { BigSourceDone } from './big-market-source';
import { metricValue } from './process-figures';
import { ManagedServer } from './managed-server';
import { until } from '../support/until';

const TURNS = join(import.meta.dir, 'big-market-turns.ts');
const MAIN = join(import.meta.dir, '../../src/main.ts');
const RECOVERY_MS_MAX = 5_000;
const TURN_MS_WARNED = 5;
const SETTLE_MS = 2_000;
/** Descriptors of the server itself, in addition to those of its sessions. */
const OWN_DESCRIPTORS = 256;

export interface BigMarketOptions extends CrowdOptions {
  readonly seconds: number;
  readonly durability: string;
  readonly sampleSeconds: number;
  /** Time limit for `verify`; 0: it is left out. */
  readonly verifySeconds: number;
  readonly out?: string | undefined;
}

export interface BigMarketReport {
  readonly options: BigMarketOptions;
  readonly descriptorsMax: number | null;
  readonly filledSeconds: number;
  readonly openedSeconds: number;
  readonly source: BigSourceDone;
  readonly readers: BigReaderDone;
  readonly cost: Cost;
  /** By wall time, and by the processor time of the thread of the event loop. */
  readonly turns: Readonly<Record<string, TurnFigures>>;
  readonly turnsCpu: Readonly<Record<string, TurnFigures>>;
  /** Lines of the log of level warn and above, by message. */
  readonly warnings: Readonly<Record<string, number>>;
  readonly memory: {
    readonly firstMb: number;
    readonly lastMb: number;
    readonly slopeMbPerHour: number;
  };
  readonly journal: {
    readonly holes: number | undefined;
    readonly holeRecords: number | undefined;
  };
  readonly recovery: {
    readonly announcedMs: number;
    readonly readMs: number;
    readonly records: number;
  };
  readonly verify: 'sound' | 'not sound' | 'not done in time' | 'left out';
  /** What did not meet the criteria. */
  readonly wrong: readonly string[];
}

export async function bigMarket(
  options: BigMarketOptions,
  show: (line: string) => void = () => {},
): Promise<BigMarketReport> {
  const run = new BigMarket(options, show);
  try {
    return await run.run();
  } finally {
    await run.end();
  }
}

class BigMarket {
  private readonly options: BigMarketOptions;
  private readonly show: (line: string) => void;
  private readonly out: string;
  private readonly server: ManagedServer;
  private readonly crowd: Crowd;
  private readonly samples: Sample[] = [];

  constructor(options: BigMarketOptions, show: (line: string) => void) {
    this.options = options;
    this.show = show;
    this.out = options.out ?? mkdtempSync(join(tmpdir(), 'tapedeck-big-'));
    mkdirSync(this.out, { recursive: true });
    this.crowd = new Crowd(options);
    this.server = new ManagedServer(this.out, settingsOf(options), TURNS);
  }

  async run(): Promise<BigMarketReport> {
    const { options, server, crowd, show } = this;
    await server.start();
    const filledSeconds = await timed(() => crowd.fill(server.url, server.key));
    show(`filled in ${filledSeconds.toFixed(1)} s`);
    const openedSeconds = await timed(() => crowd.open(server.url));
    show(`opened in ${openedSeconds.toFixed(1)} s`);
    await crowd.run();
    await Bun.sleep(SETTLE_MS);
    const before = await this.metrics();
    await this.turnsCpu();
    const beganMs = performance.now();
    const began = { sample: this.sample(beganMs), ...(await crowd.moment('begin')) };
    await this.watch(beganMs);
    const ended = { sample: this.sample(beganMs), ...(await crowd.moment('sum')) };
    const turnsCpu = await this.turnsCpu();
    const after = await this.metrics();
    const source = await crowd.published('stop');
    await Bun.sleep(SETTLE_MS);
    const readers = await crowd.received('sum');
    const recovery = await this.kill();
    const verify = await this.verify();
    const { samples } = this;
    const report = {
      options,
      descriptorsMax: descriptorsMax() ?? null,
      filledSeconds,
      openedSeconds,
      source,
      readers,
      cost: perEvent(began, ended),
      turns: turnsBetween(turnBuckets(before), turnBuckets(after)),
      turnsCpu,
      warnings: this.warnings(),
      memory: {
        firstMb: samples[0]!.rssBytes / 1_048_576,
        lastMb: samples.at(-1)!.rssBytes / 1_048_576,
        slopeMbPerHour: slopeMbPerHour(samples),
      },
      journal: {
        holes: metricValue(after, 'journal_holes_total'),
        holeRecords: metricValue(after, 'journal_hole_records_total'),
      },
      recovery,
      verify,
    };
    const whole = { ...report, wrong: wrongOf(report) };
    writeFileSync(join(this.out, 'report.json'), `${JSON.stringify(whole, null, 2)}\n`);
    return whole;
  }

  async end(): Promise<void> {
    await this.crowd.end();
    await this.server.stop('SIGKILL');
    if (this.options.out === undefined) rmSync(this.out, { recursive: true, force: true });
  }

  private sample(beganMs: number): Sample {
    return sampleOf(this.server.pid, (performance.now() - beganMs) / 1_000);
  }

  /** Turns by processor time since the previous call. */
  private async turnsCpu(): Promise<Record<string, TurnFigures>> {
    const path = this.server.turnsPath;
    rmSync(path, { force: true });
    this.server.signal('SIGUSR2');
    await until(() => !this.server.isAlive || existsSync(path));
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, TurnFigures>;
  }

  /** Takes samples until the time is over. */
  private async watch(beganMs: number): Promise<void> {
    const { options, server, samples, show } = this;
    for (let next = 0; ; next += options.sampleSeconds) {
      const waitMs = beganMs + Math.min(next, options.seconds) * 1_000 - performance.now();
      await Bun.sleep(Math.max(0, waitMs));
      if (!server.isAlive) throw new Error(`the server ended; its log is in ${this.out}`);
      const sample = this.sample(beganMs);
      samples.push(sample);
      appendFileSync(join(this.out, 'samples.ndjson'), `${JSON.stringify(sample)}\n`);
      if (next % 60 === 0) show(JSON.stringify(sample));
      if (next >= options.seconds) return;
    }
  }

  /** Kills the server while events arrive, and starts it again. */
  private async kill(): Promise<BigMarketReport['recovery']> {
    const { server, crowd } = this;
    await crowd.run();
    await Bun.sleep(SETTLE_MS);
    await server.stop('SIGKILL');
    await crowd.end();
    const announcedMs = (await timed(() => server.start())) * 1_000;
    const text = await this.metrics();
    const readMs = (metricValue(text, 'recovery_seconds') ?? NaN) * 1_000;
    return { announcedMs, readMs, records: metricValue(text, 'recovery_records') ?? NaN };
  }

  private async verify(): Promise<BigMarketReport['verify']> {
    const { verifySeconds } = this.options;
    if (verifySeconds === 0) return 'left out';
    await this.server.stop('SIGTERM');
    const child = Bun.spawn([process.execPath, MAIN, 'verify', '--data', this.server.data], {
      stdin: 'ignore',
      stdout: Bun.file(join(this.out, 'verify.json')),
      stderr: Bun.file(join(this.out, 'verify.log')),
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), verifySeconds * 1_000);
    await child.exited;
    clearTimeout(timer);
    if (child.signalCode !== null) return 'not done in time';
    return child.exitCode === 0 ? 'sound' : 'not sound';
  }

  private async metrics(): Promise<string> {
    return (await fetch(`${this.server.url}/metrics`)).text();
  }

  private warnings(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const name of readdirSync(this.out).filter((file) => /^log-\d+\.ndjson$/.test(file))) {
      for (const line of readFileSync(join(this.out, name), 'utf8').split('\n')) {
        const found = /^\{"level":[45]0.*"msg":"([^"]+)"/.exec(line);
        if (found !== null) counts[found[1]!] = (counts[found[1]!] ?? 0) + 1;
      }
    }
    return counts;
  }
}

function wrongOf(report: Omit<BigMarketReport, 'wrong'>): string[] {
  const wrong: string[] = [];
  const none = (name: string, count: number | undefined): void => {
    if (count !== 0) wrong.push(`${count} ${name}`);
  };
  const { readers, source, journal, recovery, options } = report;
  for (const name of ['holes', 'repeated', 'gaps', 'resets', 'errors', 'ended', 'wrong'] as const)
    none(name, readers[name]);
  none('holes of the journal', journal.holes);
  none('events that were held back', source.heldBack);
  for (const [code, count] of Object.entries(source.refused))
    wrong.push(`${count} publishes refused: ${code}`);
  if (readers.sessions < options.sessions) wrong.push(`${readers.sessions} sessions`);
  if (readers.checked === 0) wrong.push('no content was checked');
  if (recovery.announcedMs > RECOVERY_MS_MAX)
    wrong.push(`a start took ${Math.round(recovery.announcedMs)} ms`);
  if (report.verify === 'not sound') wrong.push('the journal is not sound');
  return wrong;
}

async function timed(act: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  await act();
  return (performance.now() - beganMs) / 1_000;
}

/** Default settings, except for limits for one address or key, which many clients share here. */
function settingsOf({ instruments, levels, sessions, durability }: BigMarketOptions): string {
  const all = Math.max(100_000, Math.ceil(2.2 * instruments * levels));
  return `
[journal]
durability = "${durability}"
[limits]
instrumentsMax = ${Math.max(10_000, instruments)}
instrumentsPerKeyMax = ${Math.max(5_000, instruments)}
levelsMax = ${all}
levelsPerKeyMax = ${all}
sessionsMax = ${Math.max(10_000, sessions + 100)}
sessionsPerAddressMax = ${sessions + 100}
sessionsForKeysPercent = 0
workPerSecond = 1000000000
[log]
level = "warn"
turnMs = ${TURN_MS_WARNED}
`;
}

if (import.meta.main) {
  const text = (value: string) => ({ type: 'string' as const, default: value });
  const { values: given } = parseArgs({
    options: {
      'minutes': text('120'),
      'instruments': text('10000'),
      'levels': text('1000'),
      'sessions': text('10000'),
      'topics': text('10'),
      'rate': text('20000'),
      'readers': text('4'),
      'sources': text('2'),
      'sample-every': text('100'),
      'sample-seconds': text('10'),
      'durability': text('async'),
      'verify-seconds': text('600'),
      'out': text(''),
    },
  });
  const sessions = Number(given.sessions);
  const most = descriptorsMax();
  if (most !== undefined && most < sessions + OWN_DESCRIPTORS) {
    console.error(
      `${most} descriptors are too few: run "ulimit -n ${sessions + OWN_DESCRIPTORS}" before`,
    );
    process.exit(2);
  }
  const options: BigMarketOptions = {
    seconds: Number(given.minutes) * 60,
    instruments: Number(given.instruments),
    levels: Number(given.levels),
    sessions,
    topics: Number(given.topics),
    rate: Number(given.rate),
    readers: Number(given.readers),
    sources: Number(given.sources),
    sampleEvery: Number(given['sample-every']),
    sampleSeconds: Number(given['sample-seconds']),
    durability: given.durability,
    verifySeconds: Number(given['verify-seconds']),
    out: given.out === '' ? undefined : given.out,
  };
  const report = await bigMarket(options, (line) => console.error(line));
  console.log(JSON.stringify(report, null, 2));
  process.exit(report.wrong.length === 0 ? 0 : 1);
}
