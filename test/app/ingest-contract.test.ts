/** The contract of IngestSource, tested with each source: the simulator, recordings, remote publishers. */

import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';

import { DemoSource, withDemoInstruments } from '../../src/app/demo';
import { definitionsOf } from '../../src/app/instruments';
import { SourceClients, Sources } from '../../src/app/sources';
import { ByteAccount } from '../../src/base/byte-account';
import { ManualClock } from '../../src/base/clock';
import type { IngestSource } from '../../src/base/contracts/ingest';
import { StartFault } from '../../src/base/start-fault';
import { ImportRun } from '../../src/cli/import-run';
import { openSink } from '../../src/cli/import-sinks';
import { RecordingSource } from '../../src/cli/recording-source';
import { BookMarkets } from '../../src/ingest/recording/markets';
import { at, instrument, SYMBOL, trade } from '../support/market-events';
import { ScratchDirectory } from '../support/scratch-directory';
import { record, testConfig } from '../support/test-recorder';
import { until } from '../support/until';

interface Subject {
  readonly source: IngestSource;
  /** Makes it submit something, unless it does so by itself, and lets that be processed. */
  readonly drive: () => void;
  /** The newest sequence number where it submits to; null: unknown while the source runs. */
  readonly lastSeq: () => number | null;
  readonly close: () => void;
}

const scratch = new ScratchDirectory();
afterAll(() => scratch.remove());

function simulator(): Promise<Subject> {
  const clock = new ManualClock(at(0));
  const directory = scratch.fresh();
  const { recorder } = record(directory, {}, { clock });
  const config = withDemoInstruments(testConfig(directory));
  const defined = definitionsOf(recorder, config.instruments);
  if (defined instanceof StartFault) throw new Error(defined.message);
  const { market, sequencer } = recorder;
  for (const definition of defined) sequencer.act((out) => market.define(definition, out));
  sequencer.drain();
  return Promise.resolve({
    source: new DemoSource(recorder, config, clock),
    drive: () => {
      clock.advance(20e6);
      sequencer.drain();
    },
    lastSeq: () => sequencer.lastSeq,
    close: () => recorder.close(),
  });
}

function publishers(): Promise<Subject> {
  const clock = new ManualClock(at(1_000_000));
  const { recorder } = record(scratch.fresh(), {}, { clock });
  const { sequencer, market } = recorder;
  sequencer.act((out) => market.define(instrument(SYMBOL), out));
  sequencer.drain();
  const account = new ByteAccount({ clientBytesMax: 1e9, clientBytesPerClientMax: 1e9 });
  const silence = { requestsHoldMs: 1_000, requestsIdleMs: 2_000 };
  const source = new Sources(recorder.entry, silence, clock, account, new SourceClients());
  const id = source.nextId(() => 'A');
  return Promise.resolve({
    source,
    drive: () => {
      source.submit(id, [trade({ seq: 0, prevSeq: 0 })], () => {}, {});
      sequencer.drain();
    },
    lastSeq: () => sequencer.lastSeq,
    close: () => recorder.close(),
  });
}

async function recording(): Promise<Subject> {
  const tape = join(import.meta.dir, '../../fixtures/tapes/two-instruments.ndjson');
  const sink = await openSink({ data: scratch.fresh(), onFault: 'stop' });
  if (sink instanceof StartFault) throw new Error(sink.message);
  const clock = new ManualClock(at(0));
  const options = { onFault: 'stop', continues: false, speed: 'max', report: () => {} } as const;
  const run = new ImportRun(sink, { ...options, clock });
  const known = { definitionOf: (symbol: string) => sink.definitionOf(symbol), scales: new Map() };
  const reading = {
    onFault: 'stop',
    timeUnit: 'ns',
    names: new Map(),
    markets: new BookMarkets(),
    known,
    now: () => clock.now(),
  };
  const source = new RecordingSource([tape], run, reading as never, clock);
  return { source, drive: () => {}, lastSeq: () => null, close: () => sink.close() };
}

const SOURCES = [
  ['simulator', simulator],
  ['publishers', publishers],
  ['recording', recording],
] as const;

for (const [name, make] of SOURCES) {
  describe(`ingest source ${name}`, () => {
    test('submits nothing before its start', async () => {
      const { source, lastSeq, drive, close } = await make();
      const before = lastSeq();
      expect(source.status()).toEqual({
        state: 'idle',
        reason: '',
        submitted: 0,
        refused: 0,
        silentMs: null,
      });
      drive();
      expect([source.status().submitted, lastSeq()]).toEqual([0, before]);
      await source.stop();
      close();
    });

    test('submits from its start on, and counts it', async () => {
      const { source, lastSeq, drive, close } = await make();
      const before = lastSeq();
      source.start();
      await until(() => {
        drive();
        return source.status().submitted > 0;
      }, 'something submitted');
      expect(source.status()).toMatchObject({
        reason: '',
        refused: 0,
        silentMs: expect.any(Number),
      });
      expect(['running', 'ended']).toContain(source.status().state);
      if (before !== null) expect(lastSeq()!).toBeGreaterThan(before);
      await source.stop();
      close();
    });

    test('submits nothing after its stop, which may be called twice', async () => {
      const { source, lastSeq, drive, close } = await make();
      source.start();
      drive();
      await source.stop();
      await source.stop();
      const [{ submitted, state }, seq] = [source.status(), lastSeq()];
      expect(['stopped', 'ended']).toContain(state);
      for (let i = 0; i < 5; i++) drive();
      expect([source.status().submitted, lastSeq()]).toEqual([submitted, seq]);
      close();
    });
  });
}
