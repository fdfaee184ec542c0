/**
 * Reader run: a reader in any language against a real server under faults, and an independent check of all its
 * conclusions. `READER.md` says what is required of it.
 *
 *     bun test/endurance/reader-run.ts --reader 'python3 x.py' --minutes 60 --seed 1 [--form json]
 *         [--topics a,b] [--rate 60] [--faults kill,cut] [--out DIRECTORY]
 */

import { mkdirSync, mkdtempSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Prng } from '../../src/base/prng';
import { StreamClient } from '../support/stream-client';
import { checkEnded, checkReader } from './reader-check';
import { Checked } from './reader-checked';
import { FAULTS, Faults, type Fault } from './reader-faults';
import { ReaderProxy } from './reader-proxy';
import { ReaderRecord, type Violation } from './reader-record';
import { askAll, checkRest, checkSource, type Answers } from './reader-rest';
import { ReaderServer } from './reader-server';
import { ReaderSource, SYMBOLS } from './reader-source';
import type { Journal, Branches } from './reader-truth';

const GATHER_MS = 500;
const FINISH_MS = 60_000;
const SHOW_MS = 60_000;
const SHOWN_MAX = 40;

export interface RunOptions {
  readonly reader: string;
  readonly minutes: number;
  readonly seed: number;
  readonly form?: string | undefined;
  readonly topics?: readonly string[] | undefined;
  readonly faults?: readonly Fault[] | undefined;
  readonly rate?: number;
  readonly out?: string | undefined;
}

export interface Report {
  readonly seed: number;
  readonly out: string;
  readonly form: string;
  readonly topics: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
  /** Each with the faults that occurred before its line. */
  readonly violations: readonly (Violation & { readonly faults: readonly string[] })[];
  /** How many of each kind. */
  readonly wrong: Readonly<Record<string, number>>;
}

/** Three ways to ask for the same instruments: each by its name, all by `*`, and mixed. */
function drawTopics(random: Prng): string[] {
  const channels = ['trade', 'tick', 'bbo', 'book'];
  const named = channels.flatMap((channel) => SYMBOLS.map((symbol) => `${channel}:${symbol}`));
  const bars = ['bar:BUSY:1s', 'bar:QUIET:1s', 'bar:MID:1m', 'stats:BUSY', 'stats:SLEEPY'];
  const stars = channels.map((channel) => `${channel}:*`);
  const mixed = ['trade:*', 'tick:BUSY', 'tick:SLEEPY', 'book:BUSY', 'book:QUIET', 'bbo:*'];
  const drawn = [named, stars, mixed][random.int(0, 2)]!;
  return [...drawn, ...bars, 'status'];
}

/** What the lines of a reader are compared with after a run. */
export interface Trial {
  readonly source: ReaderSource;
  readonly branches: Branches;
  readonly journal: Journal;
  readonly answers: Answers;
  readonly topics: readonly string[];
  /** The reader has everything up to this seq. */
  readonly seq: number;
}

/** Compares the lines of a reader with everything else. @returns what was compared */
export function judge(record: ReaderRecord, trial: Trial): Checked {
  const { source, branches, journal, answers, topics, seq } = trial;
  const checks = new Checked(record);
  checkReader(record, journal, topics, seq, checks);
  checkEnded(record, branches, checks);
  checkRest(answers, SYMBOLS, journal, record, checks);
  checkSource(source, journal, checks);
  for (const epoch of branches.twice)
    checks.wrong('epoch', '', 0, 0, `two servers have the epoch ${epoch}`);
  return checks;
}

export async function readerRun(options: RunOptions): Promise<{ report: Report; trial: Trial }> {
  const run = new ReaderRun(options);
  try {
    return await run.run();
  } finally {
    await run.end();
  }
}

class ReaderRun {
  private readonly out: string;
  private readonly random: Prng;
  private readonly form: string;
  private readonly topics: readonly string[];
  private readonly server: ReaderServer;
  private readonly source: ReaderSource;
  private readonly record: ReaderRecord;
  private readonly options: RunOptions;
  private proxy!: ReaderProxy;
  private faults!: Faults;
  private child: ReturnType<ReaderRun['spawn']> | undefined;
  /** Reasons of resets, with the kinds of faults since the previous reset. */
  private readonly resets: Record<string, number> = {};
  private reading: Promise<void> | undefined;
  private copiedMs = 0;
  private shownMs = performance.now();

  constructor(options: RunOptions) {
    const { seed, out, form, topics, rate = 60 } = options;
    this.options = options;
    this.out = out ?? mkdtempSync(join(tmpdir(), 'tapedeck-reader-'));
    mkdirSync(this.out, { recursive: true });
    this.random = new Prng(seed);
    this.form = form ?? (this.random.chance(0.7) ? 'msgpack' : 'json');
    this.topics = topics ?? drawTopics(this.random);
    this.server = new ReaderServer(this.out, new Prng(seed + 1));
    this.source = new ReaderSource(new Prng(seed + 2), rate);
    this.record = new ReaderRecord((trade) => this.source.knows(trade));
    let seen = 0;
    this.record.onReset = (reason) => {
      const kinds = this.faults.happened.slice(seen).map(({ fault }) => fault);
      seen = this.faults.happened.length;
      const behind = `${reason}: ${[...new Set(kinds)].sort().join(' ') || 'nothing new'}`;
      this.resets[behind] = (this.resets[behind] ?? 0) + 1;
    };
  }

  async run(): Promise<{ report: Report; trial: Trial }> {
    const { server, source, options } = this;
    this.proxy = await ReaderProxy.start();
    await server.start();
    this.proxy.target = Number(new URL(server.url).port);
    source.use(server.url, server.process.key);
    const longMs = options.minutes < 2 ? 1_500 : 8_000;
    this.faults = new Faults({
      server,
      proxy: this.proxy,
      random: this.random,
      longMs,
      signalReader: (signal) => this.child?.kill(signal),
      line: () => this.record.figures.lines,
    });
    const endMs = performance.now() + options.minutes * 60_000;
    await this.wait(1_000);
    this.child = this.spawn();
    this.reading = this.read(this.child.stdout);
    await this.wait(2_000);
    let bag: Fault[] = [];
    while (performance.now() < endMs && this.child.exitCode === null) {
      if (bag.length === 0) bag = shuffled(options.faults ?? FAULTS, this.random);
      await this.faults.run(bag.pop()!);
      this.show();
      await this.wait(
        this.random.chance(0.25) ? this.random.int(0, 300) : this.random.int(500, longMs),
      );
    }
    return this.finish();
  }

  async end(): Promise<void> {
    this.faults?.heal();
    this.child?.kill('SIGCONT');
    this.child?.kill('SIGKILL');
    await this.source.stop();
    if (this.server.isAlive) await this.server.kill();
    this.proxy?.close();
  }

  /** Prints the progress, once a minute. */
  private show(): void {
    if (performance.now() - this.shownMs < SHOW_MS) return;
    this.shownMs = performance.now();
    const { figures, violations } = this.record;
    const faults = this.faults.happened.length;
    console.error(JSON.stringify({ faults, ...figures, violations: violations.length }));
  }

  /** Waits; meanwhile the journal is read, and sometimes copied. */
  private async wait(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    do {
      await Bun.sleep(Math.min(GATHER_MS, Math.max(0, endMs - performance.now())));
      if (!this.server.isAlive) continue;
      this.server.gather();
      const everyMs = this.options.minutes < 2 ? 1_500 : 5_000;
      if (performance.now() - this.copiedMs < everyMs) continue;
      this.copiedMs = performance.now();
      this.server.copy();
    } while (performance.now() < endMs);
  }

  private spawn() {
    const { reader } = this.options;
    const { form, topics, out } = this;
    const command = `exec ${reader} --url ${this.proxy.url} --form ${form} --topics '${topics.join(',')}'`;
    return Bun.spawn(['sh', '-c', command], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: Bun.file(join(out, 'reader-stderr.log')),
    });
  }

  private async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const file = openSync(join(this.out, 'lines.ndjson'), 'w');
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      writeSync(file, chunk);
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line !== '') this.record.take(line);
    }
  }

  /** Ends all faults, and finishes the run. */
  private async finish(): Promise<{ report: Report; trial: Trial }> {
    const { server, source, record, faults, topics } = this;
    faults.heal();
    await this.wait(1_000);
    await source.stop();
    const seq = await this.settled();
    await this.finishReader(seq);
    const answers = await askAll(server.url, SYMBOLS);
    await server.process.stop('SIGTERM');
    const { branches } = server;
    const trial = {
      source,
      branches,
      journal: branches.close(server.process.data),
      answers,
      topics,
      seq,
    };
    const checks = judge(record, trial);
    for (const fault of server.faults) record.wrong('server', '', 0, 0, fault);
    return { report: this.report(checks, seq), trial };
  }

  /** The newest seq, once no new events arrive. */
  private async settled(): Promise<number> {
    let before = -1;
    for (;;) {
      const client = await StreamClient.open(this.server.url);
      const seq = client.seen[0]!['seq'] as number;
      await client.close();
      if (seq === before) return seq;
      before = seq;
      await Bun.sleep(700);
    }
  }

  private async finishReader(seq: number): Promise<void> {
    const child = this.child!;
    const wrong = (detail: string): void => this.record.wrong('reader', '', seq, 0, detail);
    if (child.exitCode !== null) return wrong(`it ended by itself with ${child.exitCode}`);
    void child.stdin.write(`finish ${seq}\n`);
    await child.stdin.flush();
    const code = await Promise.race([child.exited, Bun.sleep(FINISH_MS).then(() => undefined)]);
    if (code === undefined) return wrong(`it did not finish ${seq} within ${FINISH_MS} ms`);
    if (code !== 0) wrong(`it ended with ${code}; see reader-stderr.log`);
    await this.reading;
  }

  private report(checks: Checked, seq: number): Report {
    const { record, server, source, faults, proxy, options, out, form, topics } = this;
    const violations: Report['violations'][number][] = [];
    for (const v of record.violations) violations.push({ ...v, faults: faults.before(v.line) });
    const byWhat = Map.groupBy(record.violations, ({ what }) => what);
    return {
      seed: options.seed,
      out,
      form,
      topics,
      figures: {
        seq,
        published: source.published,
        starts: server.starts,
        faults: faults.count(),
        bytesToReader: proxy.bytes,
        connections: proxy.connections,
        reader: record.figures,
        gaps: record.gapReasons,
        resets: record.resets,
        resetsBehind: this.resets,
        checked: checks.figures,
      },
      violations,
      wrong: Object.fromEntries([...byWhat].map(([what, of]) => [what, of.length])),
    };
  }
}

function shuffled<T>(values: readonly T[], random: Prng): T[] {
  const left = [...values];
  return values.map(() => left.splice(random.int(0, left.length - 1), 1)[0]!);
}

if (import.meta.main) {
  const { values: given } = parseArgs({
    options: {
      reader: {
        type: 'string',
        default: `${process.execPath} ${join(import.meta.dir, 'reader-sdk.ts')}`,
      },
      minutes: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      form: { type: 'string' },
      topics: { type: 'string' },
      faults: { type: 'string' },
      rate: { type: 'string', default: '60' },
      out: { type: 'string' },
    },
  });
  const { report } = await readerRun({
    reader: given.reader,
    minutes: Number(given.minutes),
    seed: Number(given.seed),
    form: given.form,
    topics: given.topics?.split(','),
    faults: given.faults?.split(',') as Fault[] | undefined,
    rate: Number(given.rate),
    out: given.out,
  });
  for (const violation of report.violations.slice(0, SHOWN_MAX))
    console.log(JSON.stringify(violation));
  const { violations, ...rest } = report;
  console.log(JSON.stringify({ ...rest, violations: violations.length }, null, 2));
  writeFileSync(join(report.out, 'report.json'), JSON.stringify(report, null, 2));
  process.exit(violations.length === 0 ? 0 : 1);
}
